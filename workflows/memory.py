"""What a running subscription remembers, and how it writes down what it does.

State, the row as the database has it, the request ids seen, the clock and the one lock: the parts that the main loop
(`subscription`) and the operations (`subscription_operations`) share.
"""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.records import RecordInput, RecordsContract
    from domain.projection import Row, changes, row_of, view_of
    from domain.subscription import State, Status, Transition
    from workflows import messages
    from workflows.entity import SYSTEM, Entity, clock_of
    from workflows.options import RECORD
    from workflows.visibility import STATUS


class Memory(Entity):
    """The shared parts. Everything that changes them holds `_lock`."""

    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(clock_of(start.clock_offset, start.scenario_start), start.seen)
        self._start = start
        self._state: State | None = start.state
        self._opened: messages.Opened | None = None
        self._stop_requested = False
        self._cycles = 0
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

    def _answer(self) -> messages.Answer:
        return messages.Answer(subscription=view_of(self._current))

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
