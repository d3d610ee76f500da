"""Which subscriptions, orders, slips and credits the engine really runs: asked in batches, one by one when in doubt.

Somebody who terminates a workflow in the Web UI stops them behind the books' back. Visibility lags, so one
that it does not list is asked for by name before it is called missing; one terminated a moment ago may still be
listed as running, and is found by the next census.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.identifiers import workflow_id_of

_TYPES = "'Subscription', 'Order', 'KonbiniDeposit', 'Credit', 'Repayment'"


@dataclass(frozen=True)
class EngineCensus:
    """Asks Temporal."""

    client: Client

    async def not_running(self, object_ids: Sequence[str]) -> list[str] | None:
        """Those of these objects without a running workflow; None when this server cannot be asked."""
        workflow_ids = {workflow_id_of(name): name for name in object_ids}
        names = ", ".join(f"'{workflow_id}'" for workflow_id in workflow_ids)
        query = f"WorkflowType IN ({_TYPES}) AND ExecutionStatus = 'Running' AND WorkflowId IN ({names})"
        try:
            listed = {execution.id async for execution in self.client.list_workflows(query)}
        except RPCError as error:
            if error.status == RPCStatusCode.UNIMPLEMENTED:
                return None
            raise
        doubtful = [name for workflow_id, name in workflow_ids.items() if workflow_id not in listed]
        return [name for name in doubtful if not await self._runs(workflow_id_of(name))]

    async def _runs(self, workflow_id: str) -> bool:
        try:
            described = await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status == WorkflowExecutionStatus.RUNNING
