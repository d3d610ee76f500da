"""Many orders with random properties, poured in by COPY, for lists, pages and plans."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db.engine import Database
from domain.billing_calendar import UTC, parse_zone
from domain.order_state import OrderStatus, PaymentStatus
from domain.order_terms import JAPAN, Pay
from domain.permission import PermissionStatus
from domain.product import ProductType

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["Azur", "azul", "Bord", "b_rd", "100%", "Straße", "", "会員"]
PRODUCTS = ["Live replay", "live ticket", "100% fan", "l_ve", "会員証"]
STATUSES = list(OrderStatus)
PAYMENT_STATUSES = list(PaymentStatus)
TYPES = list(ProductType)
PAYS = list(Pay)
PERMISSION_STATUSES = list(PermissionStatus)
TERMS = {"pay": "card", "product_type": "digital", "product_name": "x"}


@dataclass(frozen=True)
class Bought:
    """What a naive filter in Python looks at; `permission_*` of the permission with the same number."""

    id: str
    number: str
    created_at: datetime
    customer_id: str
    email: str
    name: str
    product_id: str
    product_name: str
    product_type: ProductType
    status: OrderStatus
    payment_status: PaymentStatus
    pay: Pay
    notes: int
    permission_id: str
    permission_status: PermissionStatus
    membership_number: int | None
    acquired_at: datetime


async def pour(db: Database, size: int, *, people: int, days: int, seed: int = 7) -> list[Bought]:
    """`size` orders of `people` customers, each with a permission, over `days` days; several at one instant."""
    chance = random.Random(seed)
    customers = [
        (f"cus_{n:06d}", f"{chance.choice(NAMES)}{n}@Example.com", f"{chance.choice(NAMES)} {n}")
        for n in range(people)
    ]
    crowd = [_bought(chance, n, customers, days) for n in range(size)]
    chance.shuffle(crowd)
    await copy(
        db,
        "customers (id, email, name, created_at, updated_at)",
        [(*customer, START, START) for customer in customers],
    )
    await copy(
        db,
        "products (id, name, created_at, updated_at)",
        [(f"prd_{n}", name, START, START) for n, name in enumerate(PRODUCTS)],
    )
    await copy(
        db,
        "payment_methods (id, customer_id, token, kind, created_at)",
        [(f"pm_{customer[0]}", customer[0], "tok", "card", START) for customer in customers],
    )
    await pour_orders(db, crowd)
    async with db.connection() as driver:
        await driver.execute("VACUUM ANALYZE")
    return crowd


async def pour_orders(db: Database, crowd: Sequence[Bought]) -> None:
    """These orders and their permissions; customers and products exist."""
    await copy(
        db,
        "orders (id, number, customer_id, product_id, payment_method_id, terms, product_type, product_name, options,"
        " pay, amount_minor, currency, zone, status, reason, payment_status, payments, paid_minor, refunded_minor,"
        " points_expected, points_earned, notes, latest_note, created_at, updated_at)",
        [_order_row(bought) for bought in crowd],
    )
    await copy(
        db,
        "permissions (id, order_id, order_day, customer_id, product_id, status, reason, acquisition, acquired_at,"
        " starts_at, used_at, used_by, membership_number, created_at, updated_at)",
        [_permission_row(bought) for bought in crowd],
    )


def _bought(chance: random.Random, n: int, customers: Sequence[tuple[str, str, str]], days: int) -> Bought:
    customer_id, email, name = chance.choice(customers)
    created_at = START + timedelta(minutes=chance.randrange(days * 1440) // 30 * 30)
    product = chance.randrange(len(PRODUCTS))
    return Bought(
        id=f"ord_{n:08d}",
        number=f"{created_at.astimezone(parse_zone(JAPAN)):%Y%m%d}-{n:07d}",
        created_at=created_at,
        customer_id=customer_id,
        email=email,
        name=name,
        product_id=f"prd_{product}",
        product_name=PRODUCTS[product] + chance.choice(["", " 2", " (old)"]),
        product_type=chance.choice(TYPES),
        status=chance.choice(STATUSES),
        payment_status=chance.choice(PAYMENT_STATUSES),
        pay=chance.choice(PAYS),
        notes=chance.choice([0, 0, 0, 1, 3]),
        permission_id=f"per_{n:08d}",
        permission_status=chance.choice(PERMISSION_STATUSES),
        membership_number=n + 1 if chance.random() < 0.5 else None,
        acquired_at=created_at + timedelta(hours=chance.randrange(72)),
    )


def _order_row(b: Bought) -> tuple[Any, ...]:
    note = "call back" if b.notes else ""
    method = None if b.pay is Pay.NONE else f"pm_{b.customer_id}"
    said = (json.dumps(TERMS), b.product_type.value, b.product_name, json.dumps(["Blue"]), b.pay.value)
    money = (1000, "JPY", "Asia/Tokyo", b.status.value, "because", b.payment_status.value, 1, 1000, 0, 10, 0)
    when = (b.created_at, b.created_at)
    return (b.id, b.number, b.customer_id, b.product_id, method, *said, *money, b.notes, note, *when)


def _permission_row(b: Bought) -> tuple[Any, ...]:
    used = (b.acquired_at, "operator:gate") if b.permission_status is PermissionStatus.USED else (None, None)
    who = (
        b.permission_id,
        b.id,
        b.number[:8],
        b.customer_id,
        b.product_id,
        b.permission_status.value,
        "because",
        "purchase",
    )
    return (*who, b.acquired_at, b.acquired_at, *used, b.membership_number, b.created_at, b.created_at)


async def copy(db: Database, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    async with db.transaction() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as pipe:
        for row in rows:
            await pipe.write_row(row)
