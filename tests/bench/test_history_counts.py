"""The counting of events, bytes and billable actions, on small histories made by hand."""

from __future__ import annotations

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from activities.contracts.billing import CHARGE
from activities.contracts.records import RECORD
from bench.histories import Counts, count, steady
from bench.measurements import sum_of


def history(*kinds: EventType.ValueType, activity: str = CHARGE, attempt: int = 1) -> list[HistoryEvent]:
    """Events of these kinds in order; an activity's completion points to the last one scheduled."""
    events: list[HistoryEvent] = []
    scheduled = 0
    for number, kind in enumerate(kinds, start=1):
        event = HistoryEvent(event_id=number, event_type=kind)
        if kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = number
            event.activity_task_scheduled_event_attributes.activity_type.name = activity
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            event.activity_task_started_event_attributes.attempt = attempt
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            event.activity_task_completed_event_attributes.scheduled_event_id = scheduled
        events.append(event)
    return events


TASK = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
)
ACTIVITY = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
)
RENEWAL = (
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_TIMER_FIRED,
    *TASK,
    *ACTIVITY,
    *TASK,
)
START = (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, *TASK)
CUT = (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,)


def test_a_run_of_two_renewals_counts_its_start_and_its_cut() -> None:
    counts = count(history(*START, *RENEWAL, *RENEWAL, *CUT))

    assert (counts.renewals, counts.events, counts.actions) == (2, 4 + 2 * 11 + 1, 1 + 2 * 2)


def test_bytes_are_those_of_the_stored_events() -> None:
    run = history(*RENEWAL)

    assert count(run).bytes == sum(len(event.SerializeToString()) for event in run)


def test_only_completed_charges_are_renewals() -> None:
    assert count(history(*RENEWAL, activity=RECORD)).renewals == 0
    assert count(history(*RENEWAL[:-4])).renewals == 0


def test_each_retry_of_an_activity_is_an_action() -> None:
    assert count(history(*ACTIVITY, attempt=1)).actions == 1
    assert count(history(*ACTIVITY, attempt=3)).actions == 3


def test_updates_signals_and_search_attributes_are_actions_and_tasks_are_not() -> None:
    billed = (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    )

    assert count(history(*billed, *TASK)).actions == 3


def test_the_steady_state_leaves_out_the_first_and_the_last_run() -> None:
    opening = history(*START, *ACTIVITY, *RENEWAL, *CUT, activity=RECORD)
    middle = history(*START, *RENEWAL, *RENEWAL, *CUT)
    under_way = history(*START)

    total = steady([opening, middle, middle, under_way])

    assert (total.renewals, total.events) == (4, 2 * 27)
    assert total.per_renewal("events") == 13.5
    assert total.per_renewal("actions") == 2.5


def test_there_is_no_steady_state_in_two_runs() -> None:
    with pytest.raises(ValueError, match="three runs"):
        steady([history(*START), history(*START)])


def test_nothing_per_renewal_without_renewals() -> None:
    with pytest.raises(AssertionError):
        Counts(events=4).per_renewal("events")


def test_a_servers_counter_is_summed_over_its_labels_and_no_others() -> None:
    exposition = '# TYPE action counter\naction{kind="a"} 2\naction{kind="b"} 3\nactions_other{kind="a"} 40\n'

    assert sum_of("action", exposition) == 5
