"""Counting what renewals cost in history: events, bytes, and the actions a Temporal bill would show.

Pure: histories go in, numbers come out. A subscription's chain of runs is cut at each continue-as-new; its first run
(with the opening) and its last (under way) are left out, what lies between is the steady state
(quality.md, "Speed and cost"; what is billed: reference of Temporal Cloud, actions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from activities.contracts.billing import CHARGE

Run = Sequence[HistoryEvent]

_BILLED_ONCE: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,  # by a client, or by continue-as-new
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
    }
)


@dataclass(frozen=True)
class Counts:
    """Totals of some runs.

    Attributes:
        renewals: charge activities that completed.
        bytes: of the events as stored (protobuf).
        actions: billable ones; each retry of an activity counts.
    """

    renewals: int = 0
    events: int = 0
    bytes: int = 0
    actions: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.renewals + other.renewals,
            self.events + other.events,
            self.bytes + other.bytes,
            self.actions + other.actions,
        )

    def per_renewal(self, what: str) -> float:
        """`events`, `bytes` or `actions` per renewal."""
        assert self.renewals > 0, "no renewal in these runs"
        return float(getattr(self, what)) / self.renewals


def count(run: Run, *, activity: str = CHARGE) -> Counts:
    """The totals of one run."""
    charges = {
        event.event_id
        for event in run
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == activity
    }
    return Counts(
        renewals=sum(
            event.activity_task_completed_event_attributes.scheduled_event_id in charges
            for event in run
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        ),
        events=len(run),
        bytes=sum(event.ByteSize() for event in run),
        actions=sum(map(_actions, run)),
    )


def steady(runs: Sequence[Run]) -> Counts:
    """The totals of the runs between the first and the last.

    Raises:
        ValueError: fewer than three runs: there is nothing in between.
    """
    if len(runs) < 3:
        raise ValueError(f"A steady state needs at least three runs, there are {len(runs)}.")
    total = Counts()
    for run in runs[1:-1]:
        total += count(run)
    return total


def _actions(event: HistoryEvent) -> int:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
        # Retries write nothing until one ends; this event then says which attempt it was.
        return max(0, event.activity_task_started_event_attributes.attempt - 1)
    return int(event.event_type in _BILLED_ONCE)


async def fetch_chain(client: Client, workflow_id: str, first_run_id: str) -> list[list[HistoryEvent]]:
    """All runs of a workflow, oldest first."""
    runs: list[list[HistoryEvent]] = []
    run_id = first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        events = list(history.events)
        runs.append(events)
        run_id = events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs
