"""What a running order remembers, and how it writes down what it does."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.orders import OrdersContract, RecordOrderInput
    from activities.contracts.records import RecordResult
    from domain.credit import CreditFact
    from domain.order_projection import OrderRow, changes, row_of, view_of
    from domain.order_state import DepositFact, Event, State, SubscriptionFact
    from workflows import order_messages as messages
    from workflows.entity import SYSTEM, Entity, clock_of
    from workflows.options import RECORD
    from workflows.visibility import STATUS


class OrderMemory(Entity):
    """The shared parts. Everything that changes them holds `_lock`."""

    def __init__(self, start: messages.OrderInput) -> None:
        super().__init__(clock_of(start.clock_offset, start.scenario_start), start.seen)
        self._start = start
        self._state: State | None = start.state
        self._opened: messages.OrderOpened | None = None
        self._stop_requested = False
        self._facts: list[DepositFact | SubscriptionFact | CreditFact] = []
        self._facts_taken = 0
        self._identification = dict(start.identification)
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
        self,
        state: State,
        events: list[Event],
        *,
        payment: int | None = None,
        summary: str = "write down",
        **more: Any,
    ) -> None:
        """Write down what the order did by itself, then remember it."""
        before = self._current.status
        await self._record(state, events, payment=payment, summary=summary, **more)
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

    def _answer(self) -> messages.OrderAnswer:
        return messages.OrderAnswer(order=view_of(self._current, self._now()))
