"""What a running order remembers, and how it writes down what it does."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.orders import OrdersContract, RecordOrderInput
    from activities.contracts.records import RecordResult
    from domain.errors import ErrorCode, TeikiError
    from domain.order_projection import OrderRow, changes, row_of, view_of
    from domain.order_state import DepositFact, Event, State, SubscriptionFact
    from domain.scenario_clock import ScenarioClock
    from workflows import order_messages as messages
    from workflows.memory import SEEN_REQUESTS_MAX, SYSTEM
    from workflows.messages import Command
    from workflows.options import RECORD
    from workflows.visibility import STATUS


class OrderMemory:
    """The shared parts. Everything that changes them holds `_lock`."""

    def __init__(self, start: messages.OrderInput) -> None:
        self._start = start
        self._state: State | None = start.state
        self._opened: messages.OrderOpened | None = None
        self._seen = dict(start.seen)
        self._lock = asyncio.Lock()
        self._changed = False
        self._stop_requested = False
        self._noticed = False
        self._facts: list[DepositFact | SubscriptionFact] = []
        self._facts_taken = 0
        self._writes = 0
        self._identification = dict(start.identification)
        self._clock = ScenarioClock(start.clock_offset)
        if start.state is None and start.scenario_start is not None:
            self._clock = ScenarioClock.starting(start.scenario_start, workflow.now())
        self._written: OrderRow | None = start.written

    async def _record(
        self,
        state: State,
        events: list[Event],
        *,
        actor: str = SYSTEM,
        payment: int | None = None,
        summary: str = "write down",
        **operation: Any,
    ) -> RecordResult:
        """Write down what `state` says beyond the remembered one, and the events that led there.

        The state is remembered by the caller, when the write was accepted.
        """
        now = self._now()
        after = row_of(state, now)
        known = self._current
        permission = state.permission if state.permission != known.permission else None
        answers = state.custom_fields if state.custom_fields != known.custom_fields else None
        result: RecordResult = await workflow.execute_activity_method(
            OrdersContract.record,
            RecordOrderInput(
                order_id=state.id,
                at=now,
                actor=actor,
                row=changes(self._row, after),
                events=tuple(events),
                permission=permission,
                numbered=state.terms.membership_numbers,
                identification=self._identification if permission is not None else {},
                custom_fields=answers,
                payment=payment,
                event_key=self._event_key(),
                **operation,
            ),
            summary=summary,
            **RECORD,
        )
        if result.outcome == "recorded":
            self._written = after
        return result

    async def _go_on(
        self, state: State, events: list[Event], *, payment: int | None = None, summary: str = "write down"
    ) -> None:
        """Write down what the order did by itself, then remember it."""
        before = self._current.status
        await self._record(state, events, payment=payment, summary=summary)
        self._remember_state(state, before)

    def _remember_state(self, state: State, before: str) -> None:
        self._state = state
        self._changed = True
        if state.status != before:
            # Search attributes change with the status only: each upsert is a billed action.
            workflow.upsert_search_attributes([STATUS.value_set(state.status.value)])

    def _copy(self) -> State:
        return self._current.model_copy(deep=True)

    @property
    def _current(self) -> State:
        assert self._state is not None
        return self._state

    @property
    def _row(self) -> OrderRow:
        assert self._written is not None
        return self._written

    def _now(self) -> datetime:
        return self._clock.now(workflow.now())

    def _answer(self) -> messages.OrderAnswer:
        return messages.OrderAnswer(order=view_of(self._current, self._now()))

    def _event_key(self) -> str:
        """Names one write for ever, so that an activity that runs twice writes once."""
        self._writes += 1
        return f"{workflow.info().run_id}:{self._writes}"

    def _is_repetition(self, command: Command) -> bool:
        seen = self._seen.get(command.request_id)
        if seen is not None and seen != command.fingerprint():
            raise TeikiError(
                ErrorCode.REQUEST_ID_CONFLICT,
                "This request id was used for something else.",
                request_id=command.request_id,
            )
        return seen is not None

    def _remember(self, command: Command) -> None:
        self._seen[command.request_id] = command.fingerprint()
        while len(self._seen) > SEEN_REQUESTS_MAX:
            del self._seen[next(iter(self._seen))]
