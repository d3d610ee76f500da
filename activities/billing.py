"""Money: charges, refunds, and the second look at what was in doubt (spec: charging.md §2).

`protocol` knows how money is moved once; here stands what is particular to each movement: where its row is written,
which request goes to the gateway, and what its success changes in the books.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from temporalio import activity

from activities.contracts.billing import (
    CHARGE,
    REFUND,
    VERIFY,
    BillingContract,
    ChargeInput,
    Outcome,
    RefundInput,
    SlipDetails,
    Twin,
    VerifyInput,
    VerifyResult,
)
from activities.protocol import Movement, amount_of
from activities.refund_movements import Credit, Refund, TwinReturn
from activities.repayment_movement import RepaymentCharge
from db import attempts, second_refunds, twins
from db.engine import Database
from domain.identifiers import (
    charge_reference,
    credit_reference,
    idempotency_key,
    refund_reference,
    repayment_reference,
)
from domain.unresolved import Mode
from gateways.port import (
    ChargeOutcome,
    Declined,
    GatewayCharge,
    GatewayUnavailable,
    PaymentGateway,
    Pending,
    Settled,
)


@dataclass(frozen=True)
class BillingActivities(BillingContract):
    """Talks to the payment company and the books; nothing else does both."""

    db: Database
    gateway: PaymentGateway

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> Outcome:
        make: type[_Charge | RepaymentCharge] = _Charge if order.konbini is None else _Slip
        if order.repayment is not None:
            make = RepaymentCharge
        repayment_id = order.repayment.repayment_id if order.repayment else None
        outcome = await make(
            db=self.db,
            gateway=self.gateway,
            reference=_charge_reference(order.object_id, order.number, order.attempt, repayment_id),
            at=order.learned_at or order.at,
            order=order,
        ).bring_forward()
        _count(outcome)
        return outcome

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> Outcome:
        make = Refund if order.returns is None else TwinReturn
        reference = refund_reference(
            order.object_id,
            order.number,
            twin=order.returns,
            attempt=order.attempt,
            repayment_id=order.repayment_id,
        )
        if order.credit_id is not None:
            make = Credit
            reference = credit_reference(
                order.object_id, order.number, order.credit_id, attempt=order.attempt
            )
        return await make(
            db=self.db,
            gateway=self.gateway,
            reference=reference,
            at=order.at,
            order=order,
        ).bring_forward()

    @activity.defn(name=VERIFY)
    async def verify(self, order: VerifyInput) -> VerifyResult:
        if order.credit_id is not None:
            return await self._verify_credit(order, order.credit_id)
        reference = _charge_reference(order.object_id, order.number, order.attempt, order.repayment_id)
        key = idempotency_key("repayment" if order.repayment_id else "charge", reference)
        attempt = await attempts.read_attempt(self.db, key)
        if attempt is None:
            return VerifyResult(is_clear=True)
        try:
            entries = await self.gateway.lookup(reference)
        except GatewayUnavailable:
            return VerifyResult(is_clear=False)
        others = [e for e in entries if e.kind == "charge" and e.gateway_id != attempt.gateway_id]
        others = [await self._given_up(entry, konbini=order.konbini) for entry in others]
        found = [entry for entry in others if entry.state == "settled"]
        for entry in found:
            await self._book_twin(order, key, entry)
        # A second charge that could not be given up may settle yet.
        is_clear = not any(entry.state == "pending" for entry in others)
        if is_clear:
            await attempts.note_verified(self.db, key=key, at=order.at)
        return VerifyResult(
            is_clear=is_clear,
            twins=[Twin(gateway_id=entry.gateway_id, amount_minor=entry.amount.minor) for entry in found],
        )

    async def _verify_credit(self, order: VerifyInput, credit_id: str) -> VerifyResult:
        """Nothing can be taken back here: what was returned once more is booked, and shown to people."""
        reference = credit_reference(order.object_id, order.number, credit_id, attempt=order.attempt)
        key = idempotency_key("refund", reference)
        attempt = await attempts.read_attempt(self.db, key)
        if attempt is None:
            return VerifyResult(is_clear=True)
        try:
            entries = await self.gateway.lookup(reference)
        except GatewayUnavailable:
            return VerifyResult(is_clear=False)
        others = [e for e in entries if e.kind == "refund" and e.gateway_id != attempt.gateway_id]
        for entry in others:
            if entry.state == "settled":
                await second_refunds.book_second_refund(
                    self.db,
                    key=key,
                    credit_id=credit_id,
                    gateway_id=entry.gateway_id,
                    amount=entry.amount,
                    at=order.at,
                )
        is_clear = not any(entry.state == "pending" for entry in others)
        if is_clear:
            await attempts.note_verified(self.db, key=key, at=order.at)
        return VerifyResult(is_clear=is_clear)

    async def _given_up(self, entry: GatewayCharge, *, konbini: bool) -> GatewayCharge:
        """A second charge that the gateway has not decided must not settle, a second slip not be paid by anybody."""
        if entry.state != "pending":
            return entry
        void = self.gateway.void_konbini if konbini else self.gateway.void
        voided = await void(
            charge_id=entry.gateway_id,
            reference=entry.reference,
            idempotency_key=idempotency_key("void", f"{entry.reference}/{entry.gateway_id}"),
        )
        states = {"settled": "settled", "declined": "voided"}
        return entry.model_copy(update={"state": states.get(voided.kind, "pending")})

    async def _book_twin(self, order: VerifyInput, charge_key: str, entry: GatewayCharge) -> None:
        reference = refund_reference(
            order.object_id, order.number, twin=entry.gateway_id, repayment_id=order.repayment_id
        )
        is_new = await twins.book_twin(
            self.db,
            charge_key=charge_key,
            key=idempotency_key("refund", reference),
            reference=reference,
            gateway_id=entry.gateway_id,
            amount=entry.amount,
            at=order.at,
            is_incident=not order.konbini,
        )
        if is_new and not order.konbini:
            meter = activity.metric_meter()
            meter.create_counter("teiki_double_charges", "Second charges found for one payment").add(1)


@dataclass(frozen=True, kw_only=True)
class _Charge(Movement):
    """A scheduled payment, from the customer's card."""

    order: ChargeInput
    purpose: ClassVar[str] = "charge"
    is_verified_later: ClassVar[bool] = True

    async def begin(self) -> attempts.Begun:
        return await attempts.begin_attempt(
            self.db,
            key=self.key,
            reference=self.reference,
            object_id=self.order.object_id,
            number=self.order.number,
            attempt=self.order.attempt,
            due_at=self.order.due_at,
            amount_minor=self.order.amount_minor,
            currency=self.order.currency,
            at=self.order.at,
            resend_unsent=self.order.mode is Mode.SEND,
        )

    async def transmit(self, begun: attempts.Begun) -> ChargeOutcome:
        assert begun.token is not None
        return await self.gateway.charge(
            token=begun.token,
            amount=amount_of(begun),
            reference=self.reference,
            idempotency_key=self.key,
            installments=self.order.installments,
        )

    async def write_settled(self, settled: Settled, *, doubtful: bool) -> None:
        await attempts.settle_attempt(
            self.db,
            key=self.key,
            gateway_id=settled.gateway_id,
            at=self.at,
            row=self.order.row,
            moves=self.order.moves,
            idempotency_check_failed=settled.idempotency_check_failed,
            doubtful=doubtful,
        )

    async def write_declined(self, declined: Declined, *, doubtful: bool) -> None:
        await attempts.decline_attempt(
            self.db,
            key=self.key,
            decline=declined.code.value,
            gateway_code=declined.gateway_code,
            gateway_id=declined.gateway_id,
            at=self.at,
            doubtful=doubtful,
        )


@dataclass(frozen=True, kw_only=True)
class _Slip(_Charge):
    """A Konbini slip: issued now, paid at a till, pending in between."""

    async def bring_forward(self) -> Outcome:
        outcome = await super().bring_forward()
        if outcome.outcome != "settled":
            return outcome
        return outcome.model_copy(update={"paid_at": await self._paid_at()})

    async def _paid_at(self) -> datetime | None:
        """When the customer paid, which may be long before we learned of it; None: the gateway does not say."""
        attempt = await attempts.read_attempt(self.db, self.key)
        if attempt is None or attempt.gateway_id is None:
            return None
        try:
            slip = await self.gateway.konbini_slip(attempt.gateway_id)
        except GatewayUnavailable:
            return None
        return slip.paid_at if slip is not None else None

    async def transmit(self, begun: attempts.Begun) -> ChargeOutcome:
        slip = self.order.konbini
        assert slip is not None
        return await self.gateway.create_konbini(
            store=slip.store,
            amount=amount_of(begun),
            customer_name=slip.customer_name,
            phone=slip.phone,
            deadline_at=slip.deadline_at,
            reference=self.reference,
            idempotency_key=self.key,
        )

    async def give_up(self, gateway_id: str) -> ChargeOutcome:
        return await self.gateway.void_konbini(
            charge_id=gateway_id,
            reference=self.reference,
            idempotency_key=idempotency_key("void", self.reference),
        )

    async def told(self, pending: Pending) -> dict[str, Any]:
        slip = pending.slip
        if slip is None and self.order.mode in (Mode.SEND, Mode.RESEND):
            try:
                slip = await self.gateway.konbini_slip(pending.gateway_id)
            except GatewayUnavailable:
                slip = None  # asked for again with the next question
        numbers = slip and SlipDetails(
            payment_number=slip.payment_number, confirmation_number=slip.confirmation_number
        )
        return {"gateway_id": pending.gateway_id, "preliminary": pending.preliminary, "slip": numbers}


def _charge_reference(object_id: str, number: int, attempt: int, repayment_id: str | None) -> str:
    if repayment_id is None:
        return charge_reference(object_id, number, attempt)
    return repayment_reference(object_id, number, repayment_id, attempt)


def _count(outcome: Outcome) -> None:
    meter = activity.metric_meter()
    decline = outcome.decline.value if outcome.decline else "none"
    meter.create_counter("teiki_charges", "Charge attempts by outcome").add(
        1, {"outcome": outcome.outcome, "decline": decline}
    )
    if outcome.outcome == "unknown":
        meter.create_counter("teiki_unknown_outcomes", "Answers that were ambiguous").add(1)
