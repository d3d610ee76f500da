"""Slips for the tests of the till: asked for through the port, like the product asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from domain.money import Money

YEN_1000 = Money(minor=1000, currency="JPY")
STORES = ("seven_eleven", "family_mart", "lawson", "ministop", "seicomart", "daily_yamazaki")
DEADLINE = datetime(2026, 4, 3, 23, 59, 59, tzinfo=UTC) - timedelta(hours=9)


def new_order() -> str:
    return f"ord_{uuid4().hex}/1/1"


async def issue(
    gateway, reference=None, *, key=None, store="lawson", amount=YEN_1000, phone="090-0000-0000", **more
):
    return await gateway.create_konbini(
        store=store,
        amount=amount,
        customer_name=more.get("customer_name", "Test Customer"),
        phone=phone,
        deadline_at=DEADLINE,
        reference=reference or new_order(),
        idempotency_key=key or uuid4().hex,
    )


async def void(gateway, charge_id, *, key=None):
    return await gateway.void_konbini(
        charge_id=charge_id, reference=f"void_{charge_id}", idempotency_key=key or uuid4().hex
    )


async def remit(gateway, charge_id, account=None, *, key=None, reference=None, minor=1000):
    return await gateway.refund(
        charge_id=charge_id,
        amount=Money(minor=minor, currency="JPY"),
        reference=reference or f"refund_{uuid4().hex}",
        idempotency_key=key or uuid4().hex,
        bank_account=account,
    )
