"""Commands that one workflow gives to another: as an update, so that they are answered or refused by name."""

from __future__ import annotations

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode
from domain.identifiers import order_workflow_id, subscription_workflow_id

_NOTHING_TO_END = (ErrorCode.INVALID_STATUS, ErrorCode.PERMISSION_NOT_ACTIVE)


class EngineCommands:
    """Args: the client that the worker has anyway."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def cancel_subscription(
        self, subscription_id: str, *, request_id: str, actor: str, comment: str
    ) -> bool:
        """End it now; under one request id once.

        Returns:
            False when it had ended before.

        Raises:
            RPCError, WorkflowUpdateFailedError: it could not be told; try again.
        """
        command = {"request_id": request_id, "actor": actor, "comment": comment, "mode": "now"}
        return bool(await self._command(subscription_workflow_id(subscription_id), "cancel", command))

    async def suspend_subscription(self, subscription_id: str, *, request_id: str, comment: str) -> bool:
        """Stop charging; under one request id once.

        Returns:
            False when it is suspended already, has ended, or was never paid.

        Raises:
            RPCError, WorkflowUpdateFailedError: it could not be told; try again.
        """
        command = {"request_id": request_id, "actor": "system", "comment": comment}
        return bool(await self._command(subscription_workflow_id(subscription_id), "suspend", command))

    async def revoke_access(self, order_id: str, *, request_id: str, comment: str) -> bool | None:
        """End the access that an order brought; under one request id once.

        Returns:
            False when there is none any more; None when the order's workflow has ended.

        Raises:
            RPCError, WorkflowUpdateFailedError: it could not be told; try again.
        """
        command = {"request_id": request_id, "actor": "system", "comment": comment}
        return await self._command(order_workflow_id(order_id), "revoke_access", command)

    async def _command(self, workflow_id: str, update: str, command: dict[str, str]) -> bool | None:
        """True: done, now or before; False: refused, for there is nothing to end; None: it is not running."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.execute_update(update, command, id=command["request_id"])
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type in _NOTHING_TO_END:
                return False
            raise
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        return True
