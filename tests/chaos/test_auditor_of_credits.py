"""The auditor agrees with credits, and misses none: a part that went back, and one that went back twice."""

from __future__ import annotations

from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import RefundInput, VerifyInput
from activities.contracts.credits import OpenCredit
from db import credit_rows
from db.credit_shapes import CreditGateway
from db.engine import Database
from domain.money import Money
from gateways.sandbox_client import SandboxGateway
from tests.chaos.world import broken
from tests.db.house import NOW

PART = Money(minor=300, currency="JPY")


async def test_credits_are_in_order_also_one_that_a_gateway_returned_twice(world):
    gateway = SandboxGateway(world.gateway_url)
    db = Database.connect(world.database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        of_credit: dict[str, Any] = {
            "object_id": world.paid.subscription_id,
            "number": 1,
            "at": NOW,
            "credit_id": "crd_1",
        }
        credit = OpenCredit(amount=PART, request_id="credit", actor="operator:desk", **of_credit)
        opened = await credit_rows.open_credit(db, credit, CreditGateway(partial=True, konbini=True))
        assert opened.outcome == "opened"
        run, billing = ActivityEnvironment().run, BillingActivities(db, gateway)
        settled = await run(billing.refund, RefundInput(reason="credit", **of_credit))
        assert settled.outcome == "settled"
        assert broken(world) == set()
        charge = (await gateway.lookup(f"{credit.object_id}/1/2"))[0]
        await gateway.refund(
            charge_id=charge.gateway_id,
            amount=PART,
            reference=f"{credit.object_id}/1/credit/crd_1",
            idempotency_key="again",
        )
        assert broken(world) == {"I2", "I3"}, "it is in the gateway's book only"
        await run(billing.verify, VerifyInput(attempt=1, **of_credit))
        assert broken(world) == set()
        await world.execute("DELETE FROM requests WHERE scope = 'credit'")
        assert broken(world) == {"I8"}, "nobody asked for it"
    finally:
        await db.close()
        await gateway.close()
