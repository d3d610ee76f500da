"""One order of each kind, its rows inserted by hand: what a page must show of them is in the tests."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from db.engine import Database
from domain.billing_calendar import parse_zone
from domain.order_terms import JAPAN
from tests.db.house import NOW, House, Tenant, unique


def number_of(order_id: str, created_at: datetime = NOW) -> str:
    return f"{created_at.astimezone(parse_zone(JAPAN)):%Y%m%d}-{order_id.removeprefix('ord_')}"


class Made:
    """Inserts rows as the writes would leave them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.house = House(db)

    async def insert(self, table: str, **row: Any) -> None:
        names = ", ".join(row)
        marks = ", ".join(f"%({name})s" for name in row)
        values = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in row.items()
        }
        async with self.db.transaction() as cursor:
            await cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)

    async def order(self, tenant: Tenant | None = None, *, pay: str = "card", **given: Any) -> str:
        """An order that was paid at once, unless `given` says otherwise; answers its id."""
        tenant = tenant or await self.house.tenant(email="Mei@Example.com", name="Mei")
        order_id = unique("ord")
        terms = {
            "pay": pay,
            "product_type": "digital",
            "product_name": "Live replay",
            "price": None if pay == "none" else {"minor": 3500, "currency": "JPY"},
            "installments": given.pop("installments", None),
        }
        row = {
            "id": order_id,
            "number": number_of(order_id, given.get("created_at", NOW)),
            "customer_id": tenant.customer_id,
            "product_id": tenant.product_id,
            "payment_method_id": None if pay == "none" else tenant.card_id,
            "terms": terms,
            "product_type": "digital",
            "product_name": "Live replay",
            "options": ["Blue"],
            "pay": pay,
            "amount_minor": 0 if pay == "none" else 3500,
            "currency": None if pay == "none" else "JPY",
            "zone": "Asia/Tokyo",
            "status": "complete",
            "reason": "paid",
            "payment_status": "payment_completed",
            "payments": 1,
            "paid_minor": 3500,
            "refunded_minor": 0,
            "points_expected": 35,
            "points_earned": 0,
            "created_at": NOW,
            "updated_at": NOW,
        }
        await self.insert("orders", **(row | given))
        return order_id

    async def movement(
        self,
        object_id: str,
        card_id: str,
        number: int = 1,
        *,
        purpose: str = "charge",
        state: str = "settled",
        at: datetime = NOW,
        attempt: int = 1,
        **given: Any,
    ) -> str:
        """An attempt at moving money, with its payment; answers its key."""
        done = state in ("settled", "declined", "abandoned")
        payment_state = {"settled": "settled", "declined": "failed", "abandoned": "failed"}.get(
            state, "collecting"
        )
        if purpose == "charge":
            await self.insert(
                "payments",
                object_id=object_id,
                number=number,
                due_at=at,
                amount_minor=3500,
                currency="JPY",
                state=payment_state,
                settled_at=at if payment_state == "settled" else None,
            )
        key = unique("key")
        row = {
            "key": key,
            "object_id": object_id,
            "number": number,
            "attempt": attempt,
            "purpose": purpose,
            "reference": f"{object_id}/{number}/{purpose}/{attempt}",
            "state": state,
            "payment_method_id": card_id,
            "amount_minor": 3500,
            "currency": "JPY",
            "sent_at": at,
            "resolved_at": at + timedelta(seconds=2) if done else None,
            "decline": "insufficient_funds" if state == "declined" else None,
            "gateway_id": f"gw_{key}" if state == "settled" else None,
            "returns": None if purpose == "charge" else "ch_1",
        }
        await self.insert("attempts", **(row | given))
        return key

    async def slip(self, order_id: str, number: int, status: str, reason: str, **given: Any) -> None:
        row = {
            "id": unique("dps"),
            "order_id": order_id,
            "number": number,
            "status": status,
            "reason": reason,
            "store": "lawson",
            "customer_name": "Mei",
            "phone": "09000000000",
            "payment_number": f"77{number}",
            "confirmation_number": "1234",
            "amount_minor": 3500,
            "currency": "JPY",
            "deadline_at": NOW + timedelta(days=3),
            "final_at": NOW + timedelta(days=3, minutes=30),
            "created_at": NOW,
            "updated_at": NOW,
        }
        await self.insert("deposits", **(row | given))

    async def booked(self, key: str, kind: str, amount_minor: int) -> None:
        await self.insert(
            "ledger",
            attempt_key=key,
            kind=kind,
            debit_account="refunds" if kind == "refund" else "fees",
            credit_account="gateway_receivable",
            amount_minor=amount_minor,
            currency="JPY",
            at=NOW,
        )

    async def event(
        self, subject_id: str, kind: str, minute: int, data: dict[str, Any], **given: Any
    ) -> None:
        row = {"subject_id": subject_id, "kind": kind, "actor": "system", "data": data}
        await self.insert("history", **({**row, "at": NOW + timedelta(minutes=minute)} | given))
