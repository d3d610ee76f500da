"""Commands that one workflow gives to another: as an update, so that they are answered or refused by name."""

from __future__ import annotations

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode
from domain.identifiers import subscription_workflow_id


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
        handle = self._client.get_workflow_handle(subscription_workflow_id(subscription_id))
        command = {"request_id": request_id, "actor": actor, "comment": comment, "mode": "now"}
        try:
            await handle.execute_update("cancel", command, id=request_id)
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == ErrorCode.INVALID_STATUS:
                return False
            raise
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True
