"""An order's own money: the card payment, what goes back, the second look, a person's word.

Slips and subscriptions move their money in workflows of their own. Every method here is called under the lock; the
activities know how money is moved once, what an outcome means is decided by `domain` (spec: charging.md §2).
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
    from domain import order as orders
    from domain.errors import ErrorCode, TeikiError
    from domain.operations import PAYMENT_ITSELF
    from domain.order_state import OrderRefund, OrderStatus, State
    from domain.unresolved import InFlight, Mode, Verification, question_mode
    from workflows import order_messages
    from workflows.errors import refusal, refusals, require_confirmed
    from workflows.messages import SettleAttention
    from workflows.options import MONEY
    from workflows.order_memory import OrderMemory

_CARD_PAYMENT = 1
"""A one-time order has one payment."""


class OrderMoney(OrderMemory):
    """What moves money, or asks what became of it."""

    # ------------------------------------------------------------------ the card

    async def _ask(self) -> None:
        state = self._current
        assert state.in_flight is not None
        wanted = state.status is OrderStatus.IN_PROCESS
        await self._charge(question_mode(state.in_flight, self._now(), wanted=wanted, ended=state.is_final))

    async def _charge(self, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        """Bring the payment forward: send it, ask about it, send it again, or give it up."""
        state, now = self._copy(), self._now()
        assert state.terms.price is not None
        if state.in_flight is None:
            state.in_flight = InFlight(state="unknown", sent_at=now, resent_at=now, next_at=now)
        flight, attempt = state.in_flight, state.attempt + 1
        result = await workflow.execute_activity_method(
            BillingContract.charge,
            ChargeInput(
                object_id=state.id,
                number=_CARD_PAYMENT,
                attempt=attempt,
                due_at=flight.sent_at,
                at=flight.sent_at if mode is not Mode.SEND else now,
                amount_minor=state.terms.price.minor,
                currency=state.terms.price.currency,
                row={},
                **({} if mode is Mode.SEND else {"mode": mode, "turn": flight.asks, "learned_at": now}),
                **({"verdict": verdict} if verdict else {}),
                **({"installments": state.terms.installments} if state.terms.installments else {}),
            ),
            activity_id=f"charge-{attempt}-{flight.asks}" + ("-verdict" if verdict else ""),
            summary=f"payment, attempt {attempt}",
            **MONEY,
        )
        if verdict is not None and result.outcome not in ("settled", "declined"):
            return result
        await self._charged(state, result, attempt)
        return result

    async def _charged(self, state: State, result: Outcome, attempt: int) -> None:
        now = self._now()
        events = []
        if result.outcome == "settled":
            assert state.terms.price is not None
            events = orders.paid(state, _CARD_PAYMENT, state.terms.price.minor, now)
        elif result.outcome == "declined":
            assert result.decline is not None
            events = orders.declined(state, result.decline.value)
        else:
            assert state.in_flight is not None
            self._still_open(state.in_flight, result)
        if result.verify_in_s is not None:
            orders.verify_later(state, _CARD_PAYMENT, attempt, now, in_s=result.verify_in_s)
        await self._go_on(state, events, payment=_CARD_PAYMENT)

    # ------------------------------------------------------------------ money that goes back

    async def _refund(self) -> None:
        state = self._copy()
        refund = state.next_refund
        assert refund is not None
        if refund.again:
            await self._close_refused(state, refund)
            return
        result = await self._give_back(refund, question_mode(refund.flight, self._now()))
        if result.outcome == "settled":
            events = orders.refunded(state, refund, self._now(), returned_minor=result.returned_minor)
        else:
            assert result.outcome != "declined", "a refused refund waits for a person"
            self._still_open(refund.flight, result)
            events = []
        await self._go_on(state, events, payment=refund.number)

    async def _close_refused(self, state: State, refund: OrderRefund) -> None:
        """A person asked again: the refused attempt is closed first, unless it moved money after all."""
        result = await self._give_back(refund, Mode.ASK, verdict=Verdict(moved=False))
        events = []
        if result.outcome == "settled":
            events = orders.refunded(state, refund, self._now(), returned_minor=result.returned_minor)
        elif result.outcome == "declined":
            orders.refund_refused_before(state, refund, self._now())
        else:
            self._still_open(refund.flight, result)
        await self._go_on(state, events, payment=refund.number)

    async def _give_back(self, refund: OrderRefund, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        """One question about one refund, under one key for ever."""
        more = {
            "returns": refund.returns,
            "attempt": refund.attempt if refund.attempt > 1 else None,
            "verdict": verdict,
            "bank_account": refund.bank_account,
        }
        return await workflow.execute_activity_method(
            BillingContract.refund,
            RefundInput(
                object_id=refund.object_id,
                number=refund.number,
                at=refund.sent_at,
                reason="double_charge" if refund.returns else refund.why,
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
        state, now = self._copy(), self._now()
        verification = state.next_verification
        assert verification is not None
        result = await workflow.execute_activity_method(
            BillingContract.verify,
            VerifyInput(object_id=state.id, number=verification.number, attempt=verification.attempt, at=now),
            summary=f"verify payment {verification.number}, attempt {verification.attempt}",
            **MONEY,
        )
        again: Verification | None = None if result.is_clear else verification.ask_again(self._now())
        others = tuple(other for other in state.verifications if other is not verification)
        state.verifications = (*others, again) if again is not None else others
        for twin in result.twins:
            if all(refund.returns != twin.gateway_id for refund in state.refunds):
                orders.give_back(
                    state,
                    verification.number,
                    twin.amount_minor,
                    self._now(),
                    why="double_charge",
                    returns=twin.gateway_id,
                )
        await self._go_on(state, [])

    # ------------------------------------------------------------------ a person's word

    @workflow.update(
        description="Settle what waits for a person; the gateway is asked first and knows better."
    )
    async def settle_attention(self, command: SettleAttention) -> order_messages.OrderAnswer:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._answer()
                refund = _waiting(self._current, command)
            verdict = Verdict(moved=command.moved, gateway_id=command.gateway_id)
            if refund is None:
                result = await self._charge(Mode.ASK, verdict=verdict)
            else:
                result = await self._give_back(refund, Mode.ASK, verdict=verdict)
            require_confirmed(result)
            state = self._copy()
            events = []
            if refund is not None:
                (mine,) = (r for r in state.refunds if r == refund)
                if result.outcome == "settled":
                    events = orders.refunded(state, mine, self._now(), returned_minor=result.returned_minor)
                elif command.again:
                    orders.refund_refused_before(state, mine, self._now())
                else:
                    state.refunds = tuple(other for other in state.refunds if other is not mine)
            self._remember(command)
            before = self._current.status
            await self._record(
                state,
                events,
                payment=command.number,
                actor=command.actor,
                operation="settle_attention",
                request_id=command.request_id,
                arguments=command.arguments(),
                comment=command.comment,
            )
            self._remember_state(state, before)
            return self._answer()

    @settle_attention.validator
    def _can_settle_attention(self, command: SettleAttention) -> None:
        if self._state is None:
            raise refusal(ErrorCode.ORDER_NOT_FOUND, "The order is not open yet.", {})
        with refusals():
            if not self._is_repetition(command):
                _waiting(self._state, command)


def _waiting(state: State, command: SettleAttention) -> OrderRefund | None:
    """The refund meant; None: the card payment in flight."""
    if command.returns is None:
        if state.in_flight is not None and state.in_flight.state == "attention":
            return None
    else:
        twin = None if command.returns == PAYMENT_ITSELF else command.returns
        for refund in state.refunds:
            if (
                refund.number == command.number
                and refund.returns == twin
                and refund.flight.state == "attention"
            ):
                return refund
    raise TeikiError(
        ErrorCode.NOTHING_TO_SETTLE,
        "Nothing of this payment waits for a person; while the gateway is still asked, wait.",
        number=command.number,
    )
