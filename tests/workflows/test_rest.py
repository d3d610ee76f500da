"""When a history is at rest: every beginning of a real one, cut after each event."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from starter.simulate.rest import under_way

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"
SIGNALED = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED


def events(*about: tuple[str, int]) -> list[HistoryEvent]:
    """Events by name, each with the id of what it ends (0: nothing)."""
    made = []
    for place, (name, ends) in enumerate(about, start=1):
        event = HistoryEvent(event_id=place, event_type=EventType.Value(f"EVENT_TYPE_{name.upper()}"))
        if ends:
            attributes = getattr(event, f"{name}_event_attributes")
            field = (
                "initiated_event_id" if hasattr(attributes, "initiated_event_id") else "scheduled_event_id"
            )
            setattr(attributes, field, ends)
        made.append(event)
    return made


BEGUN = (("workflow_execution_started", 0), ("workflow_task_scheduled", 0))
AWAKE = (*BEGUN, ("workflow_task_started", 2), ("workflow_task_completed", 2))


@pytest.mark.parametrize(
    ("history", "open_events"),
    [
        (BEGUN[:1], {1}),
        (BEGUN, {2}),
        (AWAKE[:3], {2}),
        ((*AWAKE, ("timer_started", 0)), set()),
        ((*AWAKE, ("activity_task_scheduled", 0)), {5}),
        ((*AWAKE, ("activity_task_scheduled", 0), ("activity_task_completed", 5)), set()),
        ((*AWAKE, ("signal_external_workflow_execution_initiated", 0)), {5}),
        (
            (
                *AWAKE,
                ("signal_external_workflow_execution_initiated", 0),
                ("external_workflow_execution_signaled", 5),
            ),
            set(),
        ),
        ((*AWAKE, ("start_child_workflow_execution_initiated", 0)), {5}),
        (
            (
                *AWAKE,
                ("start_child_workflow_execution_initiated", 0),
                ("child_workflow_execution_started", 5),
            ),
            set(),
        ),
    ],
)
def test_what_has_begun_and_not_ended_is_under_way(history, open_events):
    assert under_way(events(*history)) == open_events


def test_recorded_lives_rest_only_after_a_completed_task_and_are_busy_while_they_tell_another():
    told = 0
    for path in sorted(HISTORIES.glob("*.json")):
        life = list(WorkflowHistory.from_json("x", path.read_text(encoding="utf-8")).events)
        for length in range(1, len(life) + 1):
            if life[length - 1].event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                assert under_way(life[:length])
            if life[length - 1].event_type == SIGNALED:
                told += 1
                assert length in under_way(life[:length])
    assert told
