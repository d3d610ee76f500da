"""What operators and customers may do to a running subscription: its updates, each with its validator.

Every operation is tried on a copy first. The validator refuses by name before anything is in history; the handler
decides again under the lock, writes it down, and only then remembers it. In handlers nothing but a typed refusal is
ever raised: anything else would wedge the workflow (spec: subscriptions.md §§5–7, interfaces.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.records import CardLink, RecordInput, RecordResult, RecordsContract
    from domain import blocking, operations
    from domain import resume as resuming
    from domain.errors import ErrorCode
    from domain.projection import changes, row_of, view_of
    from domain.subscription import State, Transition
    from workflows import messages
    from workflows.entity import SYSTEM
    from workflows.errors import refusal, refusals
    from workflows.memory import Memory
    from workflows.options import RECORD

Apply = Callable[[State, datetime], list[Transition]]


class SubscriptionOperations(Memory):
    """Updates and queries of `Subscription`."""

    @workflow.update(description="Wait until the subscription is entered into the books.")
    async def await_opened(self) -> messages.Opened:
        await workflow.wait_condition(lambda: self._opened is not None or self._state is not None)
        if self._opened is not None:
            return self._opened
        return messages.Opened(
            outcome="opened", subscription_id=self._current.id, subscription=view_of(self._current)
        )

    @workflow.update(description="Stop charging until resumed.")
    async def suspend(self, command: messages.Suspend) -> messages.Answer:
        return await self._operate("suspend", command, _suspended(command))

    @suspend.validator
    def _can_suspend(self, command: messages.Suspend) -> None:
        self._try(command, _suspended(command))

    @workflow.update(description="Go on after a suspension; answers with the plan.")
    async def resume(self, command: messages.Resume) -> messages.Answer:
        skipped: list[resuming.Skipped] = []

        def apply(state: State, now: datetime) -> list[Transition]:
            done = self._resumed(command, state, now)
            skipped.extend(done.skipped)
            return done.transitions

        answer = await self._operate("resume", command, apply, skipped=skipped)
        plan = resuming.preview(self._current, self._now())
        return answer.model_copy(update={"plan": plan.model_copy(update={"skipped": skipped})})

    @resume.validator
    def _can_resume(self, command: messages.Resume) -> None:
        self._try(command, lambda state, now: self._resumed(command, state, now).transitions)

    @workflow.update(description="The customer is blocked: stop charging, and remember what was.")
    async def block(self, command: messages.Block) -> messages.Answer:
        return await self._operate(command.do, command, blocking.block)

    @block.validator
    def _can_block(self, command: messages.Block) -> None:
        self._try(command, blocking.block)

    @workflow.update(
        description="Nothing is blocked any more: back to what was; missed payments are skipped."
    )
    async def unblock(self, command: messages.Unblock) -> messages.Answer:
        skipped: list[resuming.Skipped] = []

        def apply(state: State, now: datetime) -> list[Transition]:
            done = blocking.unblock(state, now)
            skipped.extend(done.skipped)
            return done.transitions

        return await self._operate(command.do, command, apply, skipped=skipped)

    @unblock.validator
    def _can_unblock(self, command: messages.Unblock) -> None:
        # In the middle of a charge that may have met the block, only its end tells.
        if self._state is None or not self._lock.locked():
            self._try(command, lambda state, now: blocking.unblock(state, now).transitions)

    @workflow.update(description="End it now, or at the next scheduled payment date.")
    async def cancel(self, command: messages.Cancel) -> messages.Answer:
        return await self._operate("cancel", command, lambda state, now: self._canceled(command, state, now))

    @cancel.validator
    def _can_cancel(self, command: messages.Cancel) -> None:
        self._try(command, lambda state, now: self._canceled(command, state, now))

    @workflow.update(description="Take a scheduled cancellation back.")
    async def recover(self, command: messages.Recover) -> messages.Answer:
        return await self._operate("recover", command, lambda state, now: operations.recover(state))

    @recover.validator
    def _can_recover(self, command: messages.Recover) -> None:
        self._try(command, lambda state, now: operations.recover(state))

    @workflow.update(description="Charge another card from now on; a failing payment is tried at once.")
    async def change_card(self, command: messages.ChangeCard) -> messages.Answer:
        return await self._operate(
            "change_card", command, operations.change_card, payment_method_id=command.payment_method_id
        )

    @change_card.validator
    def _can_change_card(self, command: messages.ChangeCard) -> None:
        self._try(command, operations.change_card)

    @workflow.update(description="Another amount from the next scheduled payment, or for that one only.")
    async def change_amount(self, command: messages.ChangeAmount) -> messages.Answer:
        return await self._operate(
            "change_amount", command, lambda state, now: self._amount_changed(command, state)
        )

    @change_amount.validator
    def _can_change_amount(self, command: messages.ChangeAmount) -> None:
        self._try(command, lambda state, now: self._amount_changed(command, state))

    @workflow.update(description="Open a link by which the customer changes the card; older links end.")
    async def open_card_link(self, command: messages.OpenCardLink) -> messages.Answer:
        link = CardLink(token_hash=command.token_hash, expires_at=command.expires_at)
        return await self._operate("open_card_link", command, _card_link_allowed, link=link)

    @open_card_link.validator
    def _can_open_card_link(self, command: messages.OpenCardLink) -> None:
        self._try(command, _card_link_allowed)

    @workflow.query(description="The workflow's own memory, for plans made outside.")
    def snapshot(self) -> messages.Snapshot:
        return messages.Snapshot(state=self._state, clock_offset=self._clock.offset)

    def _resumed(self, command: messages.Resume, state: State, now: datetime) -> resuming.Resumed:
        return resuming.resume(state, now, policy=command.policy or state.terms.resume_policy, at=command.at)

    def _canceled(self, command: messages.Cancel, state: State, now: datetime) -> list[Transition]:
        if command.mode == "period_end":
            return operations.cancel_at_period_end(state, now)
        return operations.cancel_now(state, now)

    def _amount_changed(self, command: messages.ChangeAmount, state: State) -> list[Transition]:
        return operations.change_amount(state, command.amount, next_only=command.next_only)

    def _try(self, command: messages.Command, apply: Callable[[State, datetime], object]) -> None:
        """The validator of every operation: try it on a copy, refuse by name, change nothing."""
        if self._state is None:
            raise refusal(ErrorCode.SUBSCRIPTION_NOT_FOUND, "The subscription is not open yet.", {})
        with refusals():
            if not self._is_repetition(command):
                apply(self._state.model_copy(deep=True), self._now())

    async def _operate(
        self,
        name: str,
        command: messages.Command,
        apply: Apply,
        *,
        skipped: list[resuming.Skipped] | None = None,
        payment_method_id: str | None = None,
        link: CardLink | None = None,
    ) -> messages.Answer:
        """Decide on a copy, write it down, and only then remember it."""
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._answer()
                state, now = self._current.model_copy(deep=True), self._now()
                moves = apply(state, now)
            after = row_of(state)
            result: RecordResult = await workflow.execute_activity_method(
                RecordsContract.record,
                RecordInput(
                    subscription_id=state.id,
                    at=now,
                    actor=command.actor,
                    comment=command.comment,
                    request_id=command.request_id,
                    operation=name,
                    arguments=command.arguments(),
                    row=changes(self._row, after),
                    moves=moves,
                    skipped=skipped or [],
                    payment_method_id=payment_method_id,
                    link=link,
                    terms=state.terms if skipped else None,
                    event_key=self._event_key(),
                ),
                summary=f"{name} by {command.actor}",
                **RECORD,
            )
            if result.outcome == "refused":
                raise refusal(result.code or "refused", result.message, result.facts)
            self._remember(command)
            if result.outcome == "recorded":
                self._state, self._written = state, after
                self._changed = True
                self._show_status(moves)
            return self._answer()


def _card_link_allowed(state: State, now: datetime) -> list[Transition]:
    operations.require_card_change_allowed(state)
    return []


def _suspended(command: messages.Suspend) -> Apply:
    # The system suspends after a chargeback, and for nothing else (`activities.chargebacks`).
    reason = "chargeback" if command.actor == SYSTEM else "suspended_by_operator"
    return lambda state, now: operations.suspend(state, reason=reason)
