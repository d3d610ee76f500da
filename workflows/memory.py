"""What a running subscription remembers, and how it writes down what it does.

State, the row as the database has it, the request ids seen, the clock and the one lock: the parts that the main loop
(`subscription`) and the operations (`subscription_operations`) share.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.records import RecordInput, RecordsContract
    from domain.errors import ErrorCode, TeikiError
    from domain.projection import Row, changes, row_of, view_of
    from domain.scenario_clock import ScenarioClock
    from domain.subscription import State, Status, Transition
    from workflows import messages
    from workflows.options import RECORD
    from workflows.visibility import STATUS

SEEN_REQUESTS_MAX = 200
SYSTEM = "system"


class Memory:
    """The shared parts. Everything that changes them holds `_lock`."""

    def __init__(self, start: messages.SubscriptionInput) -> None:
        self._start = start
        self._state: State | None = start.state
        self._opened: messages.Opened | None = None
        self._seen = dict(start.seen)
        self._lock = asyncio.Lock()
        self._changed = False
        self._stop_requested = False
        self._cycles = 0
        self._writes = 0
        self._clock = ScenarioClock(start.clock_offset)
        if start.state is None and start.scenario_start is not None:
            self._clock = ScenarioClock.starting(start.scenario_start, workflow.now())
        self._told = start.told
        self._written = start.written or (row_of(start.state) if start.state else None)

    async def _record(
        self,
        *,
        moves: list[Transition] | None = None,
        payment: int | None = None,
        decline: str | None = None,
        actor: str = SYSTEM,
        **operation: Any,
    ) -> None:
        """Write down what happened: what the subscription did by itself, or a person's word on it (`operation`)."""
        after = row_of(self._current)
        await workflow.execute_activity_method(
            RecordsContract.record,
            RecordInput(
                subscription_id=self._current.id,
                at=self._now(),
                actor=actor,
                row=changes(self._row, after),
                moves=moves or [],
                payment=payment,
                decline=decline,
                event_key=self._event_key(),
                **operation,
            ),
            summary=f"payment {payment}: {decline}" if decline else "write down",
            **RECORD,
        )
        self._written = after
        self._show_status(moves or [])

    @property
    def _current(self) -> State:
        assert self._state is not None
        return self._state

    @property
    def _row(self) -> Row:
        assert self._written is not None
        return self._written

    def _now(self) -> datetime:
        return self._clock.now(workflow.now())

    def _answer(self) -> messages.Answer:
        return messages.Answer(subscription=view_of(self._current))

    def _event_key(self) -> str:
        """Names one write for ever, so that an activity that runs twice writes once."""
        self._writes += 1
        return f"{workflow.info().run_id}:{self._writes}"

    def _is_repetition(self, command: messages.Command) -> bool:
        seen = self._seen.get(command.request_id)
        if seen is not None and seen != command.fingerprint():
            raise TeikiError(
                ErrorCode.REQUEST_ID_CONFLICT,
                "This request id was used for something else.",
                request_id=command.request_id,
            )
        return seen is not None

    def _remember(self, command: messages.Command) -> None:
        self._seen[command.request_id] = command.fingerprint()
        while len(self._seen) > SEEN_REQUESTS_MAX:
            del self._seen[next(iter(self._seen))]

    def _show_status(self, moves: list[Transition]) -> None:
        """Search attributes change with the status only: each upsert is a billed action."""
        if not moves:
            return
        workflow.upsert_search_attributes([STATUS.value_set(self._current.status.value)])
        for move in moves:
            if move.to is Status.SUSPENDED:
                meter = workflow.metric_meter()
                meter.create_counter("teiki_suspensions", "Subscriptions suspended").add(
                    1, {"reason": move.reason}
                )
