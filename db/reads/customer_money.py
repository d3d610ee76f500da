"""The customer page's money: stats, the last transaction, products (spec: customers.md §1).

Everything is read from attempts and ledger, so it is right whatever is written meanwhile. All attempts of a customer
stand together, newest first, in one index that holds what a look needs (`ix_attempts_customer`): 10,000 of them among
millions are read through in some milliseconds. Only what is shown is then fetched whole.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reads.customer_transactions import MINE, Shown, Transaction, Way, shown_whole
from domain.money import Money

PRODUCTS_MAX: Final = 100
"""Products of one customer, those with the latest purchase first."""


class Counted(Shown):
    """How many, and how much of one currency."""

    count: int = 0
    amount: Money


class CurrencyStats(Shown):
    """The customer's money in one currency. A second charge that went back is neither sale nor refund."""

    currency: str
    sales: Counted
    refunds: Counted
    credits: Counted
    chargebacks: Counted
    repayments: Counted


class Stats(Shown):
    """`first_at`, `last_at`: of anything that moved money."""

    by_currency: list[CurrencyStats]
    first_at: datetime | None = None
    last_at: datetime | None = None


class ProductPurchases(Shown):
    """What a customer bought of one product in one way.

    Attributes:
        last: the last action, None before the first attempt.
        last_successful: the last settled charge.
    """

    product_id: str
    product_name: str
    way: Way
    purchases: int
    purchased_at: datetime
    last: Transaction | None
    last_successful: Transaction | None


_STATS: Final = text(
    """
    WITH moved AS MATERIALIZED (
        SELECT key, CASE WHEN credit_id IS NOT NULL THEN 'credit' ELSE purpose END AS purpose, state, currency,
               amount_minor, sent_at
        FROM attempts WHERE customer_id = :customer_id
    ), booked AS (
        -- A settled attempt is a booking: both are written in one transaction.
        SELECT purpose AS kind, currency, amount_minor, sent_at AS at FROM moved
        WHERE state = 'settled' AND purpose IN ('charge', 'refund', 'credit')
        UNION ALL
        SELECT l.kind, l.currency, l.amount_minor, l.at
        FROM moved m JOIN ledger l ON l.attempt_key = m.key AND l.kind IN ('chargeback', 'repayment')
    )
    SELECT kind, currency, count(*) AS n, sum(amount_minor)::bigint AS minor, min(at) AS first_at, max(at) AS last_at
    FROM booked GROUP BY kind, currency ORDER BY currency, kind
    """
)
_LAST: Final = text(
    "SELECT key FROM attempts WHERE customer_id = :customer_id ORDER BY sent_at DESC, key DESC LIMIT 1"
)
_OF_THE_PRODUCT: Final = """
    FROM attempts a WHERE a.customer_id = :customer_id AND {only} AND EXISTS (
        SELECT FROM subscriptions o WHERE o.id = a.object_id AND o.product_id = b.product_id AND b.way = 'subscription'
        UNION ALL
        SELECT FROM orders o WHERE o.id = a.object_id AND o.product_id = b.product_id AND b.way = 'one_time')
    ORDER BY a.key DESC LIMIT 1
"""
_GOOD: Final = "a.purpose = 'charge' AND a.state = 'settled'"
_PRODUCTS: Final = text(
    f"""
    WITH mine AS MATERIALIZED ({MINE}), looked AS MATERIALIZED (
        -- Instants only: they are compared quickly, and the one or two attempts of each are looked up afterwards.
        SELECT m.way, m.product_id, max(a.sent_at) AS last_at, max(a.sent_at) FILTER (WHERE {_GOOD}) AS good_at
        FROM attempts a JOIN mine m ON m.id = a.object_id WHERE a.customer_id = :customer_id
        GROUP BY m.way, m.product_id
    ), bought AS MATERIALIZED (
        SELECT way, product_id, count(*) AS purchases, max(created_at) AS purchased_at
        FROM mine GROUP BY way, product_id ORDER BY max(created_at) DESC LIMIT :most
    )
    SELECT b.way, b.product_id, p.name AS product_name, b.purchases, b.purchased_at,
           (SELECT a.key {_OF_THE_PRODUCT.format(only="a.sent_at = k.last_at")}) AS last_key,
           (SELECT a.key {_OF_THE_PRODUCT.format(only=f"a.sent_at = k.good_at AND {_GOOD}")}) AS good_key
    FROM bought b
    JOIN products p ON p.id = b.product_id
    LEFT JOIN looked k ON k.way = b.way AND k.product_id = b.product_id
    ORDER BY b.way DESC, b.purchased_at DESC, b.product_id
    """  # noqa: S608 - constants of ours
)
_KINDS: Final = {
    "charge": "sales",
    "refund": "refunds",
    "credit": "credits",
    "chargeback": "chargebacks",
    "repayment": "repayments",
}


async def read_stats(connection: AsyncConnection, customer_id: str) -> Stats:
    """Counts and amounts per currency, from the ledger."""
    rows = (await connection.execute(_STATS, {"customer_id": customer_id})).all()
    counted: dict[str, dict[str, Counted]] = {}
    for row in rows:
        money = Money(minor=row.minor, currency=row.currency)
        counted.setdefault(row.currency, {})[_KINDS[row.kind]] = Counted(count=row.n, amount=money)
    return Stats(
        by_currency=[_of_currency(currency, found) for currency, found in sorted(counted.items())],
        first_at=min((row.first_at for row in rows), default=None),
        last_at=max((row.last_at for row in rows), default=None),
    )


def _of_currency(currency: str, found: dict[str, Counted]) -> CurrencyStats:
    none = Counted(amount=Money(minor=0, currency=currency))
    return CurrencyStats(currency=currency, **{name: found.get(name, none) for name in _KINDS.values()})


async def read_last(connection: AsyncConnection, customer_id: str) -> Transaction | None:
    """The customer's last transaction, whatever it was about."""
    key = (await connection.execute(_LAST, {"customer_id": customer_id})).scalar()
    return None if key is None else (await shown_whole(connection, [key]))[key]


async def read_products(connection: AsyncConnection, customer_id: str) -> list[ProductPurchases]:
    """Subscriptions first, then one-time purchases; each with the latest purchase first."""
    rows = (await connection.execute(_PRODUCTS, {"customer_id": customer_id, "most": PRODUCTS_MAX})).all()
    keys = {key for row in rows for key in (row.last_key, row.good_key) if key is not None}
    shown = await shown_whole(connection, sorted(keys))
    return [
        ProductPurchases(
            product_id=row.product_id,
            product_name=row.product_name,
            way=row.way,
            purchases=row.purchases,
            purchased_at=row.purchased_at,
            last=shown.get(row.last_key),
            last_successful=shown.get(row.good_key),
        )
        for row in rows
    ]
