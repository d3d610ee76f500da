"""Commands that one workflow gives to another: as an update, so that they are answered or refused by name."""

from __future__ import annotations

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode
from domain.identifiers import deposit_workflow_id, order_workflow_id, subscription_workflow_id

_TOO_LATE = {
    ErrorCode.INVALID_STATUS.value,
    ErrorCode.PERMISSION_NOT_ACTIVE.value,
    ErrorCode.NOT_BLOCKED.value,
    ErrorCode.CUSTOMER_BLOCKED.value,
    "payment_method_blocked",
}
"""Refusals that say: something else came first. Any other is a mistake of ours."""


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
        return await self.command_subscription(
            subscription_id, "cancel", request_id=request_id, actor=actor, comment=comment, mode="now"
        )

    async def suspend_subscription(self, subscription_id: str, *, request_id: str, comment: str) -> bool:
        """Stop charging; under one request id once.

        Returns:
            False when it is suspended already, has ended, or was never paid.

        Raises:
            RPCError, WorkflowUpdateFailedError: it could not be told; try again.
        """
        return await self.command_subscription(
            subscription_id, "suspend", request_id=request_id, actor="system", comment=comment
        )

    async def command_subscription(self, subscription_id: str, update: str, **command: str) -> bool:
        """Any of its updates; `command` holds `request_id`, `actor`, `comment` and the update's own arguments.

        Returns:
            False when it has ended, or something else came first.

        Raises:
            RPCError, WorkflowUpdateFailedError: it could not be told; try again.
        """
        return bool(await self._command(subscription_workflow_id(subscription_id), update, command))

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
        """True: done, now or before; False: something else came first; None: it is not running."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.execute_update(update, command, id=command["request_id"])
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type in _TOO_LATE:
                return False
            raise
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        return True

    async def drop_slip(self, deposit_id: str, *, reason: str) -> bool:
        """Nobody may pay this slip any more; told twice it hears once. False when it is not watched any more."""
        handle = self._client.get_workflow_handle(deposit_workflow_id(deposit_id))
        try:
            await handle.signal("not_wanted", reason)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True
