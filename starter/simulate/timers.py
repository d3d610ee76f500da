"""Which timers of a workflow are running, read from its history."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_CLOSED = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)


async def pending_timers(client: Client, workflow_id: str) -> list[datetime]:
    """The instants, by the engine's clock, at which the workflow's running timers fire; none when it has ended."""
    running: dict[int, datetime] = {}
    try:
        async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                lasts = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
                running[event.event_id] = event.event_time.ToDatetime(UTC) + lasts
            elif event.event_type == EventType.EVENT_TYPE_TIMER_FIRED:
                running.pop(event.timer_fired_event_attributes.started_event_id, None)
            elif event.event_type == EventType.EVENT_TYPE_TIMER_CANCELED:
                running.pop(event.timer_canceled_event_attributes.started_event_id, None)
            elif event.event_type in _CLOSED:
                return []
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return list(running.values())
