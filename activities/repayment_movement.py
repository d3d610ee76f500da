"""The charge of a repayment link, as the one protocol of money moves it (spec: customers.md §4, charging.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from activities.contracts.billing import ChargeInput, RepaymentOrder
from activities.protocol import Movement, amount_of
from db import attempts, repayment_charges
from domain.unresolved import Mode
from gateways.port import ChargeOutcome, Declined, Settled


@dataclass(frozen=True, kw_only=True)
class RepaymentCharge(Movement):
    """Money for a payment that was charged back, from the card the customer chose for it."""

    order: ChargeInput
    purpose: ClassVar[str] = "repayment"
    is_verified_later: ClassVar[bool] = True

    @property
    def _repayment(self) -> RepaymentOrder:
        assert self.order.repayment is not None
        return self.order.repayment

    async def begin(self) -> attempts.Begun:
        return await repayment_charges.begin_repayment(
            self.db,
            key=self.key,
            reference=self.reference,
            repayment_id=self._repayment.repayment_id,
            attempt=self.order.attempt,
            payment_method_id=self._repayment.payment_method_id,
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
        )

    async def write_settled(self, settled: Settled, *, doubtful: bool) -> None:
        await repayment_charges.settle_repayment(
            self.db,
            key=self.key,
            repayment_id=self._repayment.repayment_id,
            gateway_id=settled.gateway_id,
            at=self.at,
            idempotency_check_failed=settled.idempotency_check_failed,
            doubtful=doubtful,
        )

    async def write_declined(self, declined: Declined, *, doubtful: bool) -> None:
        await repayment_charges.decline_repayment(
            self.db,
            key=self.key,
            repayment_id=self._repayment.repayment_id,
            decline=declined.code.value,
            gateway_code=declined.gateway_code,
            gateway_id=declined.gateway_id,
            at=self.at,
            doubtful=doubtful,
        )
