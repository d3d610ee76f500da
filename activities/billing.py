"""Charging once (spec: charging.md §2).

One attempt is one row written before the call, one key for ever, and an answer that may be "we don't know". The
activity can run twice at any point: a second run finds the row and asks the gateway instead of sending again. Only
the workflow decides, after the gateway's in-flight horizon, that the same key may be sent once more.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from temporalio import activity

from activities.contracts.billing import (
    CHARGE,
    REFUND,
    BillingContract,
    ChargeInput,
    ChargeResult,
    RefundInput,
    RefundResult,
)
from db import attempts
from db.engine import Database
from domain.declines import DeclineCode
from domain.identifiers import charge_reference, idempotency_key, refund_reference
from domain.money import Money
from domain.unresolved import Mode
from gateways.port import (
    ChargeOutcome,
    Declined,
    GatewayUnavailable,
    PaymentGateway,
    Pending,
    Settled,
    Unavailable,
    Unknown,
)


@dataclass(frozen=True)
class BillingActivities(BillingContract):
    """Talks to the payment company and the books; nothing else does both."""

    db: Database
    gateway: PaymentGateway

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> ChargeResult:
        reference = charge_reference(order.subscription_id, order.number, order.attempt)
        key = idempotency_key("charge", reference)
        begun = await attempts.begin_attempt(
            self.db,
            key=key,
            reference=reference,
            subscription_id=order.subscription_id,
            number=order.number,
            attempt=order.attempt,
            due_at=order.due_at,
            amount_minor=order.amount_minor,
            currency=order.currency,
            at=order.at,
            resend_unsent=order.mode is Mode.SEND,
        )
        question = _Question(self, order, key, reference)
        if begun.outcome == "blocked":
            assert begun.decline is not None
            result = ChargeResult(outcome="declined", decline=DeclineCode(begun.decline))
        elif begun.state == "settled":
            result = ChargeResult(outcome="settled")
        elif begun.state in ("declined", "abandoned"):
            result = ChargeResult(
                outcome="declined", decline=DeclineCode(begun.decline or DeclineCode.NEVER_ARRIVED)
            )
        elif begun.outcome == "new" and order.mode in (Mode.SEND, Mode.RESEND):
            result = await question.send(begun)
        else:
            result = await question.ask_then(begun)
        _count(result)
        return result

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> RefundResult:
        reference = refund_reference(order.subscription_id, order.number)
        key = idempotency_key("refund", reference)
        begun = await attempts.begin_refund(
            self.db,
            key=key,
            reference=reference,
            subscription_id=order.subscription_id,
            number=order.number,
            at=order.at,
            resend_unsent=order.mode is Mode.SEND,
        )
        if begun.state == "settled":
            return RefundResult(outcome="settled")
        outcome: ChargeOutcome | None = None
        if begun.outcome != "new":
            try:
                outcome = await self.found(reference)
            except GatewayUnavailable as error:
                return await self._refunded(order, key, Unknown(hint=str(error)), sent=False)
            if begun.state == "attention" and outcome is None:
                # The gateway refused to return it: that waits for a person, whatever is asked meanwhile.
                return RefundResult(outcome="declined")
        may_send = begun.outcome == "new" or (
            order.mode is Mode.RESEND
            and not isinstance(outcome, Settled | Pending)
            and await attempts.claim_resend(self.db, key=key, turn=order.turn)
        )
        if may_send:
            assert begun.charge_id is not None
            assert begun.amount_minor is not None
            assert begun.currency is not None
            outcome = await self.gateway.refund(
                charge_id=begun.charge_id,
                amount=Money(minor=begun.amount_minor, currency=begun.currency),
                reference=reference,
                idempotency_key=key,
            )
        return await self._refunded(order, key, outcome or Unknown(hint="not found"), sent=may_send)

    async def _refunded(
        self, order: RefundInput, key: str, outcome: ChargeOutcome, *, sent: bool
    ) -> RefundResult:
        """Write the refund's outcome down; one that is refused waits for a person."""
        if isinstance(outcome, Settled):
            await attempts.settle_refund(
                self.db, key=key, gateway_id=outcome.gateway_id, at=order.at, reason=order.reason
            )
            return RefundResult(outcome="settled")
        if isinstance(outcome, Declined):
            await attempts.note_attempt(self.db, key=key, state="attention", hint=outcome.gateway_code)
            return RefundResult(outcome="declined", resent=True)
        if isinstance(outcome, Pending):
            await attempts.note_attempt(self.db, key=key, state="pending", gateway_id=outcome.gateway_id)
            return RefundResult(outcome="pending", resent=True)
        if isinstance(outcome, Unavailable) and order.mode is Mode.SEND:
            await attempts.note_attempt(self.db, key=key, state="unsent", hint=outcome.hint)
            return RefundResult(outcome="unsent")
        await attempts.note_attempt(self.db, key=key, state="unknown", hint=outcome.hint)
        return RefundResult(
            outcome="unknown",
            horizon_s=int(self.gateway.capabilities.inflight_horizon.total_seconds()),
            resent=sent or order.mode is Mode.SEND,
        )

    async def found(self, reference: str) -> ChargeOutcome | None:
        """What the gateway's book shows under our reference; None: nothing.

        Raises:
            GatewayUnavailable: it could not be asked, which is no answer: never take it for "nothing".
        """
        entries = await self.gateway.lookup(reference)
        if not entries:
            return None
        # Several entries mean trouble that reconciliation reports; money that moved is what counts here.
        settled = [entry for entry in entries if entry.state == "settled"]
        pending = [entry for entry in entries if entry.state == "pending"]
        return (settled or pending or entries)[0].outcome()


@dataclass(frozen=True)
class _Question:
    """One attempt, being asked about or sent."""

    desk: BillingActivities
    order: ChargeInput
    key: str
    reference: str

    async def send(self, begun: attempts.Begun) -> ChargeResult:
        if begun.blocked is not None:
            return await self.conclude(Declined(code=DeclineCode(begun.blocked), gateway_code="blocked"))
        assert begun.token is not None
        outcome = await self.desk.gateway.charge(
            token=begun.token,
            amount=Money(minor=self.order.amount_minor, currency=self.order.currency),
            reference=self.reference,
            idempotency_key=self.key,
        )
        if isinstance(outcome, Unknown):
            # Often the gateway has it in its book already and only the answer was lost.
            with contextlib.suppress(GatewayUnavailable):
                outcome = await self.desk.found(self.reference) or outcome
        return await self.conclude(outcome, resent=True)

    async def ask_then(self, begun: attempts.Begun) -> ChargeResult:
        """Ask first, whatever the mode: what is found needs no sending and no giving up."""
        try:
            outcome = await self._asked(begun)
        except GatewayUnavailable as error:
            # Not to be able to ask proves nothing: neither another request nor "it never arrived" follows from it.
            return await self.conclude(Unknown(hint=str(error)))
        if isinstance(outcome, Settled | Declined):
            return await self.conclude(outcome)
        if self.order.mode is Mode.RESEND and not isinstance(outcome, Pending):
            # A second run of this activity must not send a second time: the first may still be in flight.
            if await attempts.claim_resend(self.desk.db, key=self.key, turn=self.order.turn):
                return await self.send(begun)
            return await self.conclude(outcome, resent=True)
        if self.order.mode is Mode.GIVE_UP:
            return await self._give_up(begun, outcome)
        return await self.conclude(outcome)

    async def _asked(self, begun: attempts.Begun) -> ChargeOutcome:
        if begun.gateway_id is None:
            return await self.desk.found(self.reference) or Unknown(hint="not found")
        try:
            entry = await self.desk.gateway.get(begun.gateway_id)
        except GatewayUnavailable:
            if begun.state != "pending":
                raise
            return Pending(gateway_id=begun.gateway_id)
        return entry.outcome() if entry else Unknown(hint="the gateway lost it")

    async def _give_up(self, begun: attempts.Begun, outcome: ChargeOutcome) -> ChargeResult:
        if isinstance(outcome, Pending):
            voided = await self.desk.gateway.void(
                charge_id=outcome.gateway_id,
                reference=self.reference,
                idempotency_key=idempotency_key("void", self.reference),
            )
            if not isinstance(voided, Settled | Declined):
                return await self.conclude(outcome)
            if isinstance(voided, Declined):
                voided = voided.model_copy(update={"code": DeclineCode.PENDING_EXPIRED})
            return await self.conclude(voided)
        # Not in the gateway's book after the horizon, or never sent: it did not happen.
        return await self.conclude(Declined(code=DeclineCode.NEVER_ARRIVED, gateway_code=begun.state or ""))

    async def conclude(self, outcome: ChargeOutcome, *, resent: bool = False) -> ChargeResult:
        """Write the outcome down, all of it in one transaction, and tell the workflow."""
        db, order = self.desk.db, self.order
        at = order.learned_at or order.at
        if isinstance(outcome, Settled):
            await attempts.settle_attempt(
                db,
                key=self.key,
                gateway_id=outcome.gateway_id,
                at=at,
                row=order.row,
                moves=order.moves,
                idempotency_check_failed=outcome.idempotency_check_failed,
            )
            return ChargeResult(outcome="settled")
        if isinstance(outcome, Declined):
            await attempts.decline_attempt(
                db,
                key=self.key,
                decline=outcome.code.value,
                gateway_code=outcome.gateway_code,
                gateway_id=outcome.gateway_id,
                at=at,
            )
            return ChargeResult(outcome="declined", decline=outcome.code)
        if isinstance(outcome, Pending):
            await attempts.note_attempt(db, key=self.key, state="pending", gateway_id=outcome.gateway_id)
            return ChargeResult(outcome="pending")
        if isinstance(outcome, Unavailable) and order.mode is Mode.RESEND:
            # The re-send did not leave; that says nothing about the first request, which is still unknown.
            outcome, resent = Unknown(hint=outcome.hint), False
        if isinstance(outcome, Unavailable):
            await attempts.note_attempt(db, key=self.key, state="unsent", hint=outcome.hint)
            return ChargeResult(outcome="unsent")
        await attempts.note_attempt(db, key=self.key, state="unknown", hint=outcome.hint)
        promises = self.desk.gateway.capabilities
        return ChargeResult(
            outcome="unknown",
            horizon_s=int(promises.inflight_horizon.total_seconds()),
            key_ttl_s=_usable_key_life_s(promises.idempotency_key_ttl.total_seconds()),
            # In a second run we cannot tell when the first one sent: count the horizon from now.
            resent=resent or order.mode is Mode.SEND,
        )


def _usable_key_life_s(ttl_s: float) -> int:
    """An hour less than the gateway promises (23 h where it is 24 h): clocks differ, requests travel."""
    return max(0, int(ttl_s) - 3600)


def _count(result: ChargeResult) -> None:
    meter = activity.metric_meter()
    decline = result.decline.value if result.decline else "none"
    meter.create_counter("teiki_charges", "Charge attempts by outcome").add(
        1, {"outcome": result.outcome, "decline": decline}
    )
    if result.outcome == "unknown":
        meter.create_counter("teiki_unknown_outcomes", "Answers that were ambiguous").add(1)
