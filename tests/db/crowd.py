"""A crowd of subscriptions with random properties, poured in by COPY, for lists and their plans."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db.engine import Database
from domain.billing_calendar import UTC

START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ["unverified", "current", "unconfirmed", "unpaid", "suspended", "canceled", "completed"]
BRANDS = ["visa", "jcb", "amex"]
NAMES = ["Azur", "azul", "Bord", "b_rd", "100%", "Straße", ""]
TERMS = {
    "amount_minor": 100,
    "currency": "JPY",
    "period": "monthly",
    "anchor_on": "2026-01-01",
    "charge_time": "07:00:00",
    "zone": "Asia/Tokyo",
}


@dataclass(frozen=True)
class Member:
    """What a naive filter in Python looks at."""

    id: str
    status: str
    customer_id: str
    email: str
    name: str
    product_id: str
    brand: str
    last_four: str
    created_at: datetime
    next_at: datetime | None
    cancel_at: datetime | None
    failing: bool
    unknown: bool
    metadata: dict[str, str]


async def pour(db: Database, size: int, *, people: int, days: int, seed: int = 7) -> list[Member]:
    """`size` subscriptions of `people` customers, created over `days` days; several in the same instant."""
    chance = random.Random(seed)
    customers = [
        (f"cus_{n:06d}", f"{chance.choice(NAMES)}{n}@Example.com", f"{chance.choice(NAMES)} {n}")
        for n in range(people)
    ]
    cards = [
        (f"pm_{n:06d}", f"cus_{n:06d}", chance.choice(BRANDS), f"{chance.randrange(people) % 10000:04d}")
        for n in range(people)
    ]
    products = [f"prod_{n}" for n in range(max(3, people // 40))]
    members = [_member(chance, n, customers, cards, products, days) for n in range(size)]
    chance.shuffle(members)
    await _copy(
        db,
        "customers (id, email, name, created_at, updated_at)",
        [(*c, START, START) for c in customers],
    )
    await _copy(
        db, "products (id, name, created_at, updated_at)", [(name, name, START, START) for name in products]
    )
    await _copy(
        db,
        "payment_methods (id, customer_id, token, kind, brand, last_four, created_at)",
        [(card, owner, "tok", "card", brand, four, START) for card, owner, brand, four in cards],
    )
    await _copy(
        db,
        "subscriptions (id, customer_id, product_id, payment_method_id, terms, currency, period, zone, anchor_on,"
        " status, reason, next_kind, next_at, failing, charges, charged_minor, amount_minor, cancel_at, metadata,"
        " created_at, updated_at)",
        [_row(m) for m in members],
    )
    await _copy(
        db,
        "payments (object_id, number, due_at, amount_minor, currency, state)",
        [(m.id, 1, START, 100, "JPY", "collecting") for m in members],
    )
    await _copy(
        db,
        "attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,"
        " amount_minor, currency, sent_at)",
        [
            (f"k_{m.id}", m.id, 1, 1, "charge", f"r_{m.id}", state, _card(m), 100, "JPY", START)
            for m in members
            for state in (("unknown" if m.failing else "attention") if m.unknown else "pending",)
        ],
    )
    async with db.connection() as driver:
        await driver.execute("VACUUM ANALYZE")
    return members


def _member(chance: random.Random, n: int, customers: Any, cards: Any, products: Any, days: int) -> Member:
    owner = chance.randrange(len(customers))
    has_next = chance.random() < 0.8
    created_at = START + timedelta(minutes=chance.randrange(days * 1440) // 30 * 30)
    return Member(
        id=f"sub_{n:08d}",
        status=chance.choice(STATUSES),
        customer_id=customers[owner][0],
        email=customers[owner][1],
        name=customers[owner][2],
        product_id=chance.choice(products),
        brand=cards[owner][2],
        last_four=cards[owner][3],
        created_at=created_at,
        next_at=created_at + timedelta(hours=chance.randrange(24 * 60)) if has_next else None,
        cancel_at=created_at + timedelta(days=30) if chance.random() < 0.05 else None,
        failing=chance.random() < 0.05,
        unknown=chance.random() < 0.02,
        metadata=chance.choice([{}, {"plan": "gold"}, {"plan": "free", "shop": str(n % 50)}]),
    )


def _card(member: Member) -> str:
    return member.customer_id.replace("cus_", "pm_")


def _row(m: Member) -> tuple[Any, ...]:
    return (
        m.id,
        m.customer_id,
        m.product_id,
        _card(m),
        json.dumps(TERMS),
        "JPY",
        "monthly",
        "Asia/Tokyo",
        START.date(),
        m.status,
        "because",
        "payment" if m.next_at else None,
        m.next_at,
        m.failing,
        0,
        0,
        100,
        m.cancel_at,
        json.dumps(m.metadata),
        m.created_at,
        m.created_at,
    )


async def _copy(db: Database, into: str, rows: list[tuple[Any, ...]]) -> None:
    async with db.transaction() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            await copy.write_row(row)
