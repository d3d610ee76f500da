"""Which subscriptions the engine really runs: asked in batches through its visibility, and one by one when in doubt.

Somebody who terminates a workflow in the Web UI stops a subscription behind the books' back. Visibility lags, so one
that it does not list is asked for by name before it is called missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.identifiers import require_id, subscription_workflow_id


@dataclass(frozen=True)
class EngineCensus:
    """Asks Temporal."""

    client: Client

    async def not_running(self, subscription_ids: Sequence[str]) -> list[str] | None:
        """Those of these subscriptions without a running workflow; None when this server cannot be asked."""
        # `require_id`: the ids become part of a query.
        workflow_ids = {subscription_workflow_id(require_id(name, "sub")): name for name in subscription_ids}
        names = ", ".join(f"'{workflow_id}'" for workflow_id in workflow_ids)
        query = f"WorkflowType = 'Subscription' AND ExecutionStatus = 'Running' AND WorkflowId IN ({names})"
        try:
            listed = {execution.id async for execution in self.client.list_workflows(query)}
        except RPCError as error:
            if error.status == RPCStatusCode.UNIMPLEMENTED:
                return None
            raise
        doubtful = [name for workflow_id, name in workflow_ids.items() if workflow_id not in listed]
        return [name for name in doubtful if not await self._runs(subscription_workflow_id(name))]

    async def _runs(self, workflow_id: str) -> bool:
        try:
            described = await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status == WorkflowExecutionStatus.RUNNING
