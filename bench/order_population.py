"""A shop's orders of three years, as skewed as real ones, poured in by COPY block by block: RAM stays flat.

A few products sell most, one customer has 10,000 orders, most orders are confirmed or expired and the newest are not,
a twentieth has notes, tickets are few and canceled tickets rare. The same seed gives the same shop.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from psycopg import AsyncConnection, sql

from domain.billing_calendar import UTC, parse_zone
from domain.order_terms import JAPAN

START: Final = datetime(2023, 1, 1, tzinfo=UTC)
SECONDS: Final = 3 * 365 * 86_400
FAT_ORDERS: Final = 10_000
_ZONE: Final = parse_zone(JAPAN)
_BLOCK: Final = 5_000
_WORDS: Final = (
    *(
        "amber",
        "azure",
        "birch",
        "bloom",
        "cedar",
        "cloud",
        "coral",
        "dune",
        "ember",
        "fern",
        "frost",
        "grove",
    ),
    *("hazel", "iris", "jade", "kelp", "lake", "lotus", "maple", "mist", "moss", "night", "ocean", "olive"),
    *("pearl", "pine", "plum", "quartz", "rain", "reed", "river", "rose", "sage", "sky", "snow", "stone"),
    *("tide", "umber", "vale", "wave", "willow", "yarrow", "zinc", "桜", "海", "空", "花", "月", "星", "雪"),
)
_GOODS: Final = (
    "Live replay",
    "Fan club",
    "Photo book",
    "Stage ticket",
    "Voucher",
    "Talk show",
    "Backstage",
    "Songs",
)
_TYPES: Final = ("digital", "membership", "sponsorship", "subscription_voucher", "ticket")
_TYPE_WEIGHTS: Final = (55, 25, 8, 9, 3)
_PAYS: Final = {
    "digital": (("card", 70), ("konbini", 28), ("none", 2)),
    "membership": (("recurring", 75), ("card", 15), ("konbini", 10)),
    "sponsorship": (("recurring", 60), ("card", 40)),
    "subscription_voucher": (("recurring", 95), ("card", 5)),
    "ticket": (("card", 55), ("konbini", 40), ("none", 5)),
}
# Status and payment status together, in thousandths, by age: of the last two weeks, and of all before.
_YOUNG: Final = (
    ("complete", "paid", 700),
    ("in_process", "pending", 150),
    ("purchase_confirmed", "paid", 110),
)
_OLD: Final = (("purchase_confirmed", "paid", 560), ("expired", "paid", 398), ("in_process", "pending", 2))
_BAD: Final = (("canceled", "deadline", 20), ("canceled", "before", 14), ("canceled", "refunded", 6))
_TICKETS_BAD: Final = (("canceled", "refunded", 1),)
_PAYMENT: Final = {
    "pending": "payment_pending",
    "deadline": "payment_deadline_expired",
    "before": "cancel_before_payment",
    "refunded": "refunded",
}


@dataclass(frozen=True)
class Shop:
    """How many of each; the benchmark draws its values from the same numbers."""

    orders: int
    seed: int = 7

    @property
    def customers(self) -> int:
        return max(self.orders // 10, 100)

    @property
    def products(self) -> int:
        return 400

    @property
    def fat_orders(self) -> int:
        return min(FAT_ORDERS, self.orders // 20)

    def customer_id(self, n: int) -> str:
        return f"cus_{n:026x}"

    def email(self, n: int) -> str:
        return f"{_WORDS[n * 7919 % len(_WORDS)]}.{_WORDS[n * 104729 // 97 % len(_WORDS)]}{n}@Example.com"

    def name(self, n: int) -> str:
        return f"{_WORDS[n * 31337 % len(_WORDS)].title()} {_WORDS[n * 7907 // 89 % len(_WORDS)].title()}"

    def product_id(self, n: int) -> str:
        return f"prd_{n:026x}"

    def product_name(self, n: int) -> str:
        return f"{_GOODS[n % len(_GOODS)]} {n // len(_GOODS) + 1}"

    def product_types(self) -> list[str]:
        """The type of each product; the best-selling ones are digital and memberships."""
        chance = random.Random(self.seed)
        return ["digital", "membership", *chance.choices(_TYPES, _TYPE_WEIGHTS, k=self.products - 2)]

    def number(self, n: int, at: datetime) -> str:
        return f"{at.astimezone(_ZONE):%Y%m%d}-{n:07d}"

    def created_at(self, n: int) -> datetime:
        """Orders come ever faster: half of them in the last third of the time."""
        return START + timedelta(seconds=round(SECONDS * (n / self.orders) ** 0.6, 3))


Advance = Callable[[int], object]


async def fill(connection: AsyncConnection[object], shop: Shop, advance: Advance) -> None:
    """Pour everything into the empty, migrated database; secondary indexes of orders are built afterwards.

    Args:
        connection: a superuser's: foreign keys are not checked row by row.
        shop: what to make.
        advance: told how many orders more are in.
    """
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await _catalogue(connection, shop)
    definitions = await _drop_indexes(connection)
    for first in range(0, shop.orders, _BLOCK * 20):
        await _pour(connection, shop, range(first, min(first + _BLOCK * 20, shop.orders)), advance)
    for definition in definitions:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE")


async def _drop_indexes(connection: AsyncConnection[object]) -> list[sql.SQL]:
    """Built at the end they take a third of the time."""
    found = await connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename IN ('orders', 'permissions') AND indexdef NOT LIKE 'CREATE UNIQUE%'"
    )
    rows: list[tuple[str, str]] = await found.fetchall()  # type: ignore[assignment]
    for name, _ in rows:
        await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return [sql.SQL(definition) for _, definition in rows]  # Postgres' own words


async def _catalogue(connection: AsyncConnection[object], shop: Shop) -> None:
    at = START.isoformat()
    await _copy(
        connection,
        "customers (id, email, name, created_at, updated_at)",
        (
            f"{shop.customer_id(n)}\t{shop.email(n)}\t{shop.name(n)}\t{at}\t{at}\n"
            for n in range(shop.customers)
        ),
    )
    await _copy(
        connection,
        "payment_methods (id, customer_id, token, kind, brand, last_four, created_at)",
        (f"pm_{n:026x}\t{shop.customer_id(n)}\ttok\tcard\tvisa\t4242\t{at}\n" for n in range(shop.customers)),
    )
    await _copy(
        connection,
        "products (id, name, created_at, updated_at, type)",
        (
            f"{shop.product_id(n)}\t{shop.product_name(n)}\t{at}\t{at}\t{kind}\n"
            for n, kind in enumerate(shop.product_types())
        ),
    )


_ORDERS: Final = (
    "orders (id, number, customer_id, product_id, payment_method_id, terms, product_type, product_name, options, pay,"
    " amount_minor, currency, zone, status, reason, payment_status, payments, paid_minor, refunded_minor,"
    " points_expected, points_earned, completed_at, notes, latest_note, created_at, updated_at)"
)
_PERMISSIONS: Final = (
    "permissions (id, order_id, order_day, customer_id, product_id, status, reason, acquisition, acquired_at,"
    " starts_at, membership_number, created_at, updated_at)"
)
_PAYMENTS: Final = "payments (object_id, number, due_at, amount_minor, currency, state, settled_at)"
_NOTES: Final = "order_notes (order_id, at, author, text)"


async def _pour(connection: AsyncConnection[object], shop: Shop, numbers: range, advance: Advance) -> None:
    """Orders block by block; what belongs to them is kept for one COPY of its own each, of bounded size."""
    others: dict[str, list[str]] = {_PERMISSIONS: [], _PAYMENTS: [], _NOTES: []}

    def lines() -> Iterator[str]:
        for first in range(numbers.start, numbers.stop, _BLOCK):
            block = range(first, min(first + _BLOCK, numbers.stop))
            yield from _orders(shop, block, others)
            advance(len(block))

    await _copy(connection, _ORDERS, lines())
    for into, rest in others.items():
        await _copy(connection, into, rest)


def _orders(shop: Shop, block: range, others: dict[str, list[str]]) -> Iterator[str]:
    chance = random.Random(f"{shop.seed}/{block.start}")
    types = shop.product_types()
    weights = list(accumulate(1 / (n + 1) for n in range(shop.products)))  # the first sells most (Zipf)
    products = chance.choices(range(shop.products), cum_weights=weights, k=len(block))
    fat_every = max(shop.orders // max(shop.fat_orders, 1), 1)
    for n, product in zip(block, products, strict=True):
        customer = 0 if n % fat_every == 0 else 1 + int((shop.customers - 1) * chance.random() ** 1.5)
        yield _order(shop, n, customer, product, types[product], chance, others)


def _order(
    shop: Shop,
    n: int,
    customer: int,
    product: int,
    kind: str,
    chance: random.Random,
    others: dict[str, list[str]],
) -> str:
    ways, shares = zip(*_PAYS[kind], strict=True)
    pay = chance.choices(ways, shares)[0]
    fates = (*(_YOUNG if n > shop.orders * 0.985 else _OLD), *(_TICKETS_BAD if kind == "ticket" else _BAD))
    status, money, _ = chance.choices(fates, [share for *_, share in fates])[0]
    at = shop.created_at(n)
    when = at.isoformat()
    name = shop.product_name(product)
    order_id, owner, what = f"ord_{n:026x}", shop.customer_id(customer), shop.product_id(product)
    paid = 3500 if money in ("paid", "refunded") and pay != "none" else 0
    notes = int(chance.random() < 0.05)
    if money in ("paid", "refunded"):
        state = {"canceled": "revoked", "expired": "expired"}.get(status, "active")
        number = str(n + 1) if kind == "membership" else "\\N"
        others[_PERMISSIONS].append(
            f"per_{n:026x}\t{order_id}\t{shop.number(n, at)[:8]}\t{owner}\t{what}\t{state}\tpaid\tpurchase"
            f"\t{when}\t{when}\t{number}\t{when}\t{when}\n"
        )
    if paid and n % 10 == 0:
        others[_PAYMENTS].append(f"{order_id}\t1\t{when}\t3500\tJPY\tsettled\t{when}\n")
    if notes:
        others[_NOTES].append(f"{order_id}\t{when}\toperator:desk\tcall back on Monday\n")
    row = (
        order_id,
        shop.number(n, at),
        owner,
        what,
        "\\N" if pay == "none" else f"pm_{customer:026x}",
        json.dumps({"pay": pay, "product_type": kind, "product_name": name, "zone": "Asia/Tokyo"}),
        kind,
        name,
        '["Blue"]' if product % 3 else "[]",
        pay,
        "0" if pay == "none" else "3500",
        "JPY",
        "Asia/Tokyo",
        status,
        "paid",
        _payment_status(pay, money, chance),
        "1" if paid else "0",
        str(paid),
        str(paid if money == "refunded" else 0),
        "35",
        "0",
        "\\N" if status == "in_process" else when,
        str(notes),
        "call back on Monday" if notes else "",
        when,
        when,
    )
    return "\t".join(row) + "\n"


def _payment_status(pay: str, money: str, chance: random.Random) -> str:
    if pay == "none":
        return "no_payment"
    if money == "paid" and pay == "recurring":
        return "recurring_payment_canceled" if chance.random() < 0.3 else "recurring_payment"
    return "payment_completed" if money == "paid" else _PAYMENT[money]


async def _copy(connection: AsyncConnection[object], into: str, lines: Iterable[str]) -> None:
    statement = sql.SQL(f"COPY {into} FROM STDIN")  # constants of ours
    async with connection.cursor() as cursor, cursor.copy(statement) as pipe:
        buffer: list[str] = []
        for line in lines:
            buffer.append(line)
            if len(buffer) == 1_000:
                await pipe.write("".join(buffer))
                buffer.clear()
        await pipe.write("".join(buffer))
