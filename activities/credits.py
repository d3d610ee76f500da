"""Credits, money apart: accepting them, a person's word, the order concerned (spec: customers.md §3).

Their money is moved by `activities.billing`, as all money is.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.contracts.credits import (
    COUNT_CREDIT,
    OPEN_CREDIT,
    RECORD_CREDIT,
    CountCredit,
    CreditsContract,
    OpenCredit,
    OpenCreditResult,
    RecordCredit,
)
from db import credit_rows
from db.credit_shapes import CreditGateway
from db.engine import Database
from gateways.port import PaymentGateway


@dataclass(frozen=True)
class CreditsActivities(CreditsContract):
    """Writes to the database; knows of the gateway what it can return."""

    db: Database
    gateway: PaymentGateway

    @activity.defn(name=OPEN_CREDIT)
    async def open(self, order: OpenCredit) -> OpenCreditResult:
        can = self.gateway.capabilities
        returns = CreditGateway(partial=can.partial_refund, konbini=can.konbini_refund != "none")
        opened = await credit_rows.open_credit(self.db, order, returns)
        return OpenCreditResult(**{name: getattr(opened, name) for name in opened.__slots__})

    @activity.defn(name=RECORD_CREDIT)
    async def record(self, order: RecordCredit) -> None:
        await credit_rows.record_credit(self.db, order)

    @activity.defn(name=COUNT_CREDIT)
    async def count_on_ended_order(self, order: CountCredit) -> None:
        await credit_rows.count_on_ended_order(self.db, order.credit_id, at=order.at)
