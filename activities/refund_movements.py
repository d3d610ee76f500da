"""Money that goes back, as the one protocol moves it: refunds, credits, second charges (spec: charging.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from activities.contracts.billing import Outcome, RefundInput
from activities.protocol import Movement, amount_of
from db import attempts, fees, twins
from domain.unresolved import Mode
from gateways.port import ChargeOutcome, Declined, Settled


@dataclass(frozen=True, kw_only=True)
class Refund(Movement):
    """What is left of a settled payment, back to the customer."""

    order: RefundInput
    purpose: ClassVar[str] = "refund"
    refusal_waits: ClassVar[bool] = True

    async def bring_forward(self) -> Outcome:
        outcome = await super().bring_forward()
        if outcome.outcome != "settled":
            return outcome
        attempt = await attempts.read_attempt(self.db, self.key)
        returned_minor = 0 if attempt is None else attempt.amount_minor
        return outcome.model_copy(update={"returned_minor": returned_minor})

    async def begin(self) -> attempts.Begun:
        return await attempts.begin_refund(
            self.db,
            key=self.key,
            reference=self.reference,
            object_id=self.order.object_id,
            number=self.order.number,
            attempt=self.order.attempt,
            credit_id=self.order.credit_id,
            at=self.order.at,
            resend_unsent=self.order.mode is Mode.SEND,
        )

    async def transmit(self, begun: attempts.Begun) -> ChargeOutcome:
        assert begun.charge_id is not None
        return await self.gateway.refund(
            charge_id=begun.charge_id,
            amount=amount_of(begun),
            reference=self.reference,
            idempotency_key=self.key,
            bank_account=self.order.bank_account,
        )

    async def write_settled(self, settled: Settled, *, doubtful: bool) -> None:
        await fees.book_fee(self.db, key=self.key, fee_minor=settled.fee_minor, at=self.at)
        await attempts.settle_refund(
            self.db,
            key=self.key,
            gateway_id=settled.gateway_id,
            at=self.at,
            reason=self.order.reason,
            idempotency_check_failed=settled.idempotency_check_failed,
            doubtful=doubtful and self.is_verified_later,
        )

    async def write_declined(self, declined: Declined, *, doubtful: bool) -> None:
        await self.write_refused(declined)
        await attempts.decline_refund(
            self.db,
            key=self.key,
            decline=declined.code.value,
            gateway_code=declined.gateway_code,
            gateway_id=declined.gateway_id,
            at=self.at,
            doubtful=doubtful and self.is_verified_later,
        )

    async def write_refused(self, declined: Declined) -> None:
        await fees.book_fee(self.db, key=self.key, fee_minor=declined.fee_minor, at=self.at)


@dataclass(frozen=True, kw_only=True)
class Credit(Refund):
    """What a credit reserved of a settled payment, back to the customer."""

    is_verified_later: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class TwinReturn(Refund):
    """A second charge for one payment, back to the customer. Its row was made when it was found."""

    async def begin(self) -> attempts.Begun:
        assert self.order.returns is not None
        return await twins.begin_return(
            self.db,
            key=self.key,
            reference=self.reference,
            gateway_id=self.order.returns,
            attempt=self.order.attempt,
            at=self.order.at,
            resend_unsent=self.order.mode is Mode.SEND,
        )

    async def write_settled(self, settled: Settled, *, doubtful: bool) -> None:
        await fees.book_fee(self.db, key=self.key, fee_minor=settled.fee_minor, at=self.at)
        await twins.settle_return(
            self.db, key=self.key, gateway_id=settled.gateway_id, at=self.at, reason=self.order.reason
        )
