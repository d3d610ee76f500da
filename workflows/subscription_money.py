"""A subscription's money: its charges, what goes back, the second look, and a person's word.

Every method here is called under the lock. The activities know how money is moved once; what an outcome means for the
subscription is decided by `domain` (spec: charging.md §2).
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import (
        BillingContract,
        ChargeInput,
        Outcome,
        RefundInput,
        Verdict,
        VerifyInput,
    )
    from domain import operations
    from domain.declines import category_of
    from domain.errors import ErrorCode
    from domain.notices import hurry
    from domain.projection import changes, row_of
    from domain.refunds import RefundDue
    from domain.subscription import attempted, declined, settled, twin_found, verify_later
    from domain.unresolved import Mode, question_mode
    from workflows import messages
    from workflows.entity import SYSTEM
    from workflows.errors import refusal, refusals, require_confirmed
    from workflows.memory import Memory
    from workflows.options import MONEY


class SubscriptionMoney(Memory):
    """What moves money, or asks what became of it."""

    # ------------------------------------------------------------------ charges

    async def _ask(self) -> None:
        state = self._current
        assert state.in_flight is not None
        mode = question_mode(state.in_flight, self._now(), wanted=state.wants_charges, ended=state.is_final)
        await self._charge(mode)

    async def _charge(self, mode: Mode, *, verdict: Verdict | None = None, actor: str = SYSTEM) -> Outcome:
        """Bring the attempt forward: send it, ask about it, send it again, or give it up."""
        state, now = self._current, self._now()
        if state.in_flight is None:
            attempted(state, now)
        payment, flight = state.open, state.in_flight
        assert payment is not None
        assert flight is not None
        attempt = payment.attempts + 1
        paid = state.model_copy(deep=True)
        moves = settled(paid, now)
        result = await workflow.execute_activity_method(
            BillingContract.charge,
            ChargeInput(
                object_id=state.id,
                number=payment.number,
                attempt=attempt,
                due_at=payment.due_at,
                at=flight.sent_at if mode is not Mode.SEND else now,
                amount_minor=payment.amount_minor,
                currency=state.terms.currency,
                row=changes(self._row, row_of(paid)),
                **({"moves": moves} if moves else {}),
                **({} if mode is Mode.SEND else {"mode": mode, "turn": flight.asks, "learned_at": now}),
                **({"verdict": verdict} if verdict else {}),
            ),
            activity_id=f"charge-{payment.number}-{attempt}-{flight.asks}" + ("-verdict" if verdict else ""),
            summary=f"payment {payment.number}, attempt {attempt}",
            **MONEY,
        )
        if verdict is not None and result.outcome not in ("settled", "declined"):
            return result
        if result.outcome == "settled":
            self._state, self._written = paid, row_of(paid)
            self._cycles += 1
            self._show_status(moves)
        else:
            await self._not_settled(result, actor=actor)
        if result.verify_in_s is not None:
            verify_later(self._current, payment.number, attempt, self._now(), in_s=result.verify_in_s)
        return result

    async def _not_settled(self, result: Outcome, *, actor: str) -> None:
        state, now = self._current, self._now()
        payment = state.open
        assert payment is not None
        if result.outcome == "declined":
            assert result.decline is not None
            moves = declined(state, category_of(result.decline), now)
            await self._record(moves=moves, payment=payment.number, decline=result.decline.value, actor=actor)
            return
        assert state.in_flight is not None
        self._still_open(state.in_flight, result)
        # People must see that the outcome is open, and when it is asked for again.
        await self._record(payment=payment.number)

    @workflow.signal
    async def gateway_notified(self, notice: messages.GatewayNotice) -> None:
        """The payment company has news: what is in flight under that reference is asked about now.

        After whatever is under way, whose answer may be older than the news. Never raises.
        """
        async with self._lock:
            if self._state is not None and hurry(self._state, notice.reference, self._now()):
                self._changed = True

    # ------------------------------------------------------------------ money that goes back

    async def _refund(self) -> None:
        refund = self._current.next_refund
        assert refund is not None
        result = await self._give_back(refund, question_mode(refund.flight, self._now()))
        if result.outcome == "settled":
            operations.refund_closed(self._current, refund, self._now())
        else:
            assert result.outcome != "declined", "a refused refund waits for a person"
            self._still_open(refund.flight, result)
        await self._record(payment=refund.number)

    async def _give_back(self, refund: RefundDue, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        """One question about one refund, under one key for ever."""
        more = {
            "returns": refund.returns,
            "attempt": refund.attempt if refund.attempt > 1 else None,
            "verdict": verdict,
        }
        return await workflow.execute_activity_method(
            BillingContract.refund,
            RefundInput(
                object_id=self._current.id,
                number=refund.number,
                at=refund.sent_at,
                reason="settled_after_the_end" if refund.returns is None else "double_charge",
                mode=mode,
                turn=refund.flight.asks,
                **{name: value for name, value in more.items() if value is not None},
            ),
            summary=f"return payment {refund.number}",
            **MONEY,
        )

    # ------------------------------------------------------------------ the second look

    async def _verify(self) -> None:
        """What got its outcome after a doubt is looked at once more; a second charge goes back."""
        state, now = self._current, self._now()
        verification = state.next_verification
        assert verification is not None
        result = await workflow.execute_activity_method(
            BillingContract.verify,
            VerifyInput(
                object_id=state.id,
                number=verification.number,
                attempt=verification.attempt,
                at=now,
            ),
            summary=f"verify payment {verification.number}, attempt {verification.attempt}",
            **MONEY,
        )
        again = None if result.is_clear else verification.ask_again(self._now())
        others = tuple(other for other in state.verifications if other is not verification)
        state.verifications = (*others, again) if again is not None else others
        for twin in result.twins:
            twin_found(state, verification.number, twin.gateway_id, twin.amount_minor, self._now())

    # ------------------------------------------------------------------ a person's word

    @workflow.update(
        description="Settle what waits for a person; the gateway is asked first and knows better."
    )
    async def settle_attention(self, command: messages.SettleAttention) -> messages.Answer:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._answer()
                refund = operations.waiting_for_a_person(self._current, command.number, command.returns)
            verdict = Verdict(moved=command.moved, gateway_id=command.gateway_id)
            if refund is None:
                result = await self._charge(Mode.ASK, verdict=verdict, actor=command.actor)
            else:
                result = await self._give_back(refund, Mode.ASK, verdict=verdict)
            require_confirmed(result)
            if refund is not None:
                operations.refund_closed(
                    self._current, refund, self._now(), again=command.again and result.outcome == "declined"
                )
            self._remember(command)
            self._changed = True
            await self._record(
                payment=command.number,
                actor=command.actor,
                operation="settle_attention",
                request_id=command.request_id,
                arguments=command.arguments(),
                comment=command.comment,
            )
            return self._answer()

    @settle_attention.validator
    def _can_settle_attention(self, command: messages.SettleAttention) -> None:
        if self._state is None:
            raise refusal(ErrorCode.SUBSCRIPTION_NOT_FOUND, "The subscription is not open yet.", {})
        with refusals():
            if not self._is_repetition(command):
                operations.waiting_for_a_person(self._state, command.number, command.returns)
