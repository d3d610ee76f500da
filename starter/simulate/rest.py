"""When nothing moves: what a simulation waits for before its clock runs on.

A workflow is at rest when none of its tasks and activities is pending, and nothing it told another (a signal, a child
to start) is still on its way. Only its history shows all of it: the engine carries over by itself what one tells
another, and for a moment neither looks busy; and the time-skipping server describes a task as pending until somebody
takes it, not until it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_CALM_LOOKS: Final = 2
_POLL_SECONDS: Final = 0.01
_MOMENT_SECONDS: Final = 0.003
_BEGUN: Final = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
}
_DONE: Final = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "workflow_task_completed",
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: "workflow_task_failed",
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: "workflow_task_timed_out",
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled",
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: "external_workflow_execution_signaled",
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: "signal_external_workflow_execution_failed",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: "child_workflow_execution_started",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: "start_child_workflow_execution_failed",
}
"""With where its event keeps what it is about."""


class Onlooker:
    """Looks whether workflows are at rest; one that has not moved since is not read again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._at_rest: dict[tuple[str, int], bool] = {}

    async def wait_for_rest(self, workflow_ids: Sequence[str]) -> None:
        """Until all of them rest at once."""
        calm = 0
        while calm < _CALM_LOOKS:
            # One may wake another that was looked at before, so all must be seen at rest one after the other, twice.
            calm = calm + 1 if await self.sees_rest(workflow_ids) else 0
            await asyncio.sleep(_MOMENT_SECONDS if calm else _POLL_SECONDS)

    async def sees_rest(self, workflow_ids: Sequence[str]) -> bool:
        """Whether none of them has anything to do before its next timer; one that does not exist rests too."""
        return all([await self._rests(name) for name in workflow_ids])

    async def _rests(self, workflow_id: str) -> bool:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            described = (await handle.describe()).raw_description
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return True
            raise
        if described.pending_activities or described.HasField("pending_workflow_task"):
            return False
        info = described.workflow_execution_info
        if info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
            # Who has been continued as new is about to begin again.
            return info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
        version = (info.execution.run_id, info.history_length)
        if version not in self._at_rest:
            events = (await handle.fetch_history()).events
            at_rest = not under_way(events)
            if len(events) != info.history_length:
                return at_rest  # it moved meanwhile
            self._at_rest[version] = at_rest
        return self._at_rest[version]


def under_way(events: Sequence[HistoryEvent]) -> set[int]:
    """Events that began something which has no end yet; the very first one when nothing has begun."""
    begun = {event.event_id for event in events if event.event_type in _BEGUN}
    done = set()
    for event in events:
        if name := _DONE.get(event.event_type):
            about = getattr(event, f"{name}_event_attributes")
            done.add(
                about.initiated_event_id
                if "initiated_event_id" in about.DESCRIPTOR.fields_by_name
                else about.scheduled_event_id
            )
    return begun - done if begun else {1}
