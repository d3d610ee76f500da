"""How a repayment moves its money: one charge at a time, by the protocol of all money, and a second look at doubts.

A card's charge is asked about until its outcome is known; a charge that was made twice goes back by itself (spec:
customers.md §4, charging.md §2).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import (
        BillingContract,
        ChargeInput,
        Outcome,
        RefundInput,
        RepaymentOrder,
        Verdict,
        VerifyInput,
    )
    from domain.refunds import RefundDue, without
    from domain.repayment import RepaymentStatus, State
    from domain.scenario_clock import ScenarioClock
    from domain.unresolved import InFlight, Mode, Verification, question_mode
    from workflows.entity import Entity
    from workflows.options import MONEY


class RepaymentMoney(Entity):
    """The part of `Repayment` that moves money. Everything here holds `_lock`."""

    def __init__(self) -> None:
        super().__init__(ScenarioClock(), {})
        self._state: State | None = None

    @property
    def _current(self) -> State:
        assert self._state is not None
        return self._state

    async def _charge(self, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        state, now, flight = self._current, self._now(), self._current.flight
        assert flight is not None
        assert state.payment_method_id is not None
        return await workflow.execute_activity_method(
            BillingContract.charge,
            ChargeInput(
                object_id=state.object_id,
                number=state.number,
                attempt=state.next_attempt,
                due_at=state.expires_at,
                at=flight.sent_at if mode is not Mode.SEND else now,
                amount_minor=state.amount.minor,
                currency=state.amount.currency,
                row={},
                repayment=RepaymentOrder(repayment_id=state.id, payment_method_id=state.payment_method_id),
                **({} if mode is Mode.SEND else {"mode": mode, "turn": flight.asks, "learned_at": now}),
                **({"verdict": verdict} if verdict else {}),
            ),
            summary=f"repayment of payment {state.number}, card {state.next_attempt}: {mode.value}",
            **MONEY,
        )

    async def _concluded(self, result: Outcome) -> None:
        state = self._current
        assert state.flight is not None
        if result.outcome not in ("settled", "declined"):
            self._still_open(state.flight, result)
            return
        done: dict[str, Any] = {"flight": None, "attempt": state.next_attempt, "payment_method_id": None}
        if result.verify_in_s is not None:
            at = self._now() + timedelta(seconds=result.verify_in_s)
            done["verification"] = Verification(number=state.number, attempt=state.next_attempt, next_at=at)
        if result.outcome == "settled":
            done |= {"status": RepaymentStatus.PAID, "reason": "paid", "decline": None}
        else:
            done["decline"] = result.decline.value if result.decline else "card_declined"
        self._state = state.model_copy(update=done)
        self._changed = True

    async def _verify(self) -> None:
        """Look at the gateway's book once more: a second charge is an incident, and goes back by itself."""
        state = self._current
        assert state.verification is not None
        result = await workflow.execute_activity_method(
            BillingContract.verify,
            VerifyInput(
                object_id=state.object_id,
                number=state.number,
                attempt=state.verification.attempt,
                at=self._now(),
                repayment_id=state.id,
            ),
            summary=f"second look at card {state.verification.attempt}",
            **MONEY,
        )
        now, known = self._now(), {refund.returns for refund in state.refunds}
        found = tuple(
            RefundDue(
                number=state.number,
                amount_minor=twin.amount_minor,
                sent_at=now,
                flight=InFlight.unsent(now),
                returns=twin.gateway_id,
            )
            for twin in result.twins
            if twin.gateway_id not in known
        )
        again = None if result.is_clear else state.verification.ask_again(now)
        self._state = state.model_copy(update={"verification": again, "refunds": (*state.refunds, *found)})

    async def _return_twin(self) -> None:
        refund = self._current.next_refund
        assert refund is not None
        result = await self._give_back(refund, question_mode(refund.flight, self._now()))
        if result.outcome == "settled":
            self._returned(refund)
        else:
            self._still_open(refund.flight, result)

    async def _give_back(self, refund: RefundDue, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        return await workflow.execute_activity_method(
            BillingContract.refund,
            RefundInput(
                object_id=self._current.object_id,
                number=refund.number,
                at=refund.sent_at,
                reason="double_charge",
                mode=mode,
                turn=refund.flight.asks,
                returns=refund.returns,
                attempt=refund.attempt,
                repayment_id=self._current.id,
                **({"verdict": verdict} if verdict else {}),
            ),
            summary="return a second charge",
            **MONEY,
        )

    def _returned(self, refund: RefundDue, *, again: bool = False) -> None:
        left = without(self._current.refunds, refund, self._now(), again=again)
        self._state = self._current.model_copy(update={"refunds": left})
