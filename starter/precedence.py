"""Somebody is waiting: an operation goes before the engine's own backlog.

When thousands of payments fall due at one instant, each is a workflow task in one queue, and an operation's own tasks
would stand behind them. The server serves a smaller `priority_key` first and moves a task that is waiting already, so
a workflow is put in front while somebody waits for its answer, and back afterwards. Costs two short calls and two
events per operation, nothing per renewal (ARCHITECTURE.md, "The 1st of the month").
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_IN_FRONT: Final = Priority(priority_key=1)
_AS_EVERYBODY: Final = Priority()
_PATIENCE: Final = timedelta(seconds=5)

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def precedence(client: Client, workflow_id: str) -> AsyncIterator[None]:
    """Let this workflow go first inside the block. Never fails: without it an operation is slower, not wrong."""
    moved = await _place(client, workflow_id, _IN_FRONT)
    try:
        yield
    finally:
        if moved:
            await _place(client, workflow_id, _AS_EVERYBODY)


async def _place(client: Client, workflow_id: str, priority: Priority) -> bool:
    request = UpdateWorkflowExecutionOptionsRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        workflow_execution_options=WorkflowExecutionOptions(priority=priority),
        update_mask=FieldMask(paths=["priority"]),
        identity=client.identity,
    )
    try:
        await client.workflow_service.update_workflow_execution_options(request, timeout=_PATIENCE)
    except RPCError as error:
        # Ended meanwhile, or a server that knows no priorities (the time-skipping one): the operation itself tells.
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.UNIMPLEMENTED):
            _logger.warning(
                "a workflow's precedence could not be changed", extra={"status": error.status.name}
            )
        return False
    return True
