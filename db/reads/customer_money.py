"""The customer page's money: stats, the last transaction, products and their transactions (spec: customers.md §1).

Everything is read from attempts and ledger, so it is right whatever is written meanwhile. All attempts of a customer
stand together, newest first, in one index that holds what a look needs (`ix_attempts_customer`): 10,000 of them among
millions are read through in some milliseconds. Only what is shown is then fetched whole.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reads.cursor import decode_cursor, encode_cursor, page_size
from domain.money import Money

PRODUCTS_MAX: Final = 100
"""Products of one customer, those with the latest purchase first."""
Way = Literal["subscription", "one_time"]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Counted(_Shown):
    """How many, and how much of one currency."""

    count: int = 0
    amount: Money


class CurrencyStats(_Shown):
    """The customer's money in one currency. A second charge that went back is neither sale nor refund."""

    currency: str
    sales: Counted
    refunds: Counted
    credits: Counted
    chargebacks: Counted
    repayments: Counted


class Stats(_Shown):
    """`first_at`, `last_at`: of anything that moved money."""

    by_currency: list[CurrencyStats]
    first_at: datetime | None = None
    last_at: datetime | None = None


class Note(_Shown):
    at: datetime
    author: str
    text: str


class Transaction(_Shown):
    """One movement at the payment company, or an attempt at it.

    Attributes:
        action: `charge`, `refund`, `twin` (a second charge that goes back), and so on.
        status: where the attempt stands: `settled`, `declined`, `pending`, …
        payment_state: where the payment stands that it belongs to, which may be refunded since.
        method: `visa …4242`, `konbini lawson`; `expires`: `2031-05`.
        order_id: the order whose payment it is, also when a subscription pays it.
        notes: of that order.
    """

    key: str
    object_id: str
    number: int
    attempt: int
    action: str
    status: str
    payment_state: str
    at: datetime
    amount: Money
    method: str
    payment_method_id: str
    expires: str | None
    decline: str | None
    gateway_id: str | None
    product_id: str
    product_name: str
    way: Way
    order_id: str | None = None
    notes: list[Note] = Field(default_factory=list)


class ProductPurchases(_Shown):
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


class TransactionPage(_Shown):
    items: list[Transaction]
    next_cursor: str | None


_MINE: Final = """
WITH mine AS MATERIALIZED (
    SELECT id, product_id, created_at, 'subscription' AS way FROM subscriptions WHERE customer_id = :customer_id
    UNION ALL
    -- A recurring order is paid by its subscription, which stands above.
    SELECT id, product_id, created_at, 'one_time' FROM orders WHERE customer_id = :customer_id AND pay <> 'recurring'
)
"""
"""What belongs to the customer."""


def of_mine(rest: str) -> TextClause:
    """A statement about it."""
    return text(_MINE + rest)


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
_PRODUCTS: Final = of_mine(
    """
    , ordered AS (
        -- The lowest one is the newest; in one text with the key, so that one pass finds both.
        SELECT object_id, purpose = 'charge' AND state = 'settled' AS is_good,
               lpad((row_number() OVER (ORDER BY sent_at DESC, key DESC))::text, 9, '0') || key AS place
        FROM attempts WHERE customer_id = :customer_id
    ), looked AS (
        SELECT m.way, m.product_id, min(o.place) AS last, min(o.place) FILTER (WHERE o.is_good) AS good
        FROM ordered o JOIN mine m ON m.id = o.object_id GROUP BY m.way, m.product_id
    ), bought AS (
        SELECT way, product_id, count(*) AS purchases, max(created_at) AS purchased_at
        FROM mine GROUP BY way, product_id ORDER BY max(created_at) DESC LIMIT :most
    )
    SELECT b.way, b.product_id, p.name AS product_name, b.purchases, b.purchased_at,
           substr(k.last, 10) AS last_key, substr(k.good, 10) AS good_key
    FROM bought b
    JOIN products p ON p.id = b.product_id
    LEFT JOIN looked k ON k.way = b.way AND k.product_id = b.product_id
    ORDER BY b.way DESC, b.purchased_at DESC, b.product_id
    """
)
_AFTER: Final = (
    "customer_id = :customer_id AND (CAST(:at AS timestamptz) IS NULL OR (sent_at, key) < (:at, :key))"
)
_NEWEST: Final = " ORDER BY sent_at DESC, key DESC LIMIT :most"
_ATTEMPTS: Final = "SELECT key FROM attempts WHERE "
_PAGE: Final = text(_ATTEMPTS + _AFTER + _NEWEST)
_OF_PRODUCT: Final = """
    AND object_id IN (SELECT id FROM mine
                      WHERE (CAST(:product_id AS text) IS NULL OR product_id = :product_id)
                        AND (CAST(:way AS text) IS NULL OR way = :way))
"""
_PAGE_OF_PRODUCT: Final = of_mine(_ATTEMPTS + _AFTER + _OF_PRODUCT + _NEWEST)
_SHOWN: Final = text(
    """
    SELECT a.key, a.object_id, a.number, a.attempt, a.purpose AS action, a.state AS status,
           p.state AS payment_state, a.sent_at AS at, a.amount_minor, a.currency, a.payment_method_id, a.decline,
           a.gateway_id, m.kind, m.brand, m.last_four, m.expires_year, m.expires_month, b.product_id,
           g.name AS product_name, b.way, b.order_id
    FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS k (key, place)
    JOIN attempts a ON a.key = k.key COLLATE "C"
    JOIN payments p ON p.object_id = a.object_id AND p.number = a.number
    JOIN payment_methods m ON m.id = a.payment_method_id
    CROSS JOIN LATERAL (
        SELECT product_id, 'subscription' AS way, order_id FROM subscriptions WHERE id = a.object_id
        UNION ALL SELECT product_id, 'one_time', id FROM orders WHERE id = a.object_id) b
    JOIN products g ON g.id = b.product_id
    ORDER BY k.place
    """
)
_NOTES: Final = text(
    "SELECT order_id, at, author, text FROM order_notes WHERE order_id = ANY(:orders) ORDER BY order_id, id"
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
    return None if key is None else (await _shown(connection, [key]))[key]


async def read_products(connection: AsyncConnection, customer_id: str) -> list[ProductPurchases]:
    """Subscriptions first, then one-time purchases; each with the latest purchase first."""
    rows = (await connection.execute(_PRODUCTS, {"customer_id": customer_id, "most": PRODUCTS_MAX})).all()
    keys = {key for row in rows for key in (row.last_key, row.good_key) if key is not None}
    shown = await _shown(connection, sorted(keys))
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


async def read_transactions(
    connection: AsyncConnection,
    customer_id: str,
    *,
    product_id: str | None = None,
    way: Way | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> TransactionPage:
    """One page, newest first, with the notes of their orders.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    at, key = (None, "") if cursor is None else decode_cursor(cursor)
    wanted = {"product_id": product_id, "way": way, "at": at, "key": key, "most": page_size(limit) + 1}
    statement = _PAGE if product_id is None and way is None else _PAGE_OF_PRODUCT
    found = await connection.execute(statement, {"customer_id": customer_id, **wanted})
    keys = [row.key for row in found]
    page = keys[:limit]
    shown = await _shown(connection, page)
    items = await _with_notes(connection, [shown[key] for key in page])
    more = encode_cursor(items[-1].at, items[-1].key) if len(keys) > limit else None
    return TransactionPage(items=items, next_cursor=more)


async def _shown(connection: AsyncConnection, keys: list[str]) -> dict[str, Transaction]:
    if not keys:
        return {}
    return {row.key: _transaction(row) for row in await connection.execute(_SHOWN, {"keys": keys})}


def _transaction(row: Row[Any]) -> Transaction:
    given = {name: getattr(row, name) for name in Transaction.model_fields if hasattr(row, name)}
    kind = "" if row.kind == "card" else row.kind.replace("_", " ")
    last_four = f"…{row.last_four}" if row.last_four else ""
    expires = f"{row.expires_year}-{row.expires_month:02}" if row.expires_year and row.expires_month else None
    return Transaction.model_validate(
        given
        | {
            "amount": Money(minor=row.amount_minor, currency=row.currency),
            "method": " ".join(part for part in (kind, row.brand, last_four) if part),
            "expires": expires,
        }
    )


async def _with_notes(connection: AsyncConnection, items: list[Transaction]) -> list[Transaction]:
    orders = sorted({item.order_id for item in items if item.order_id is not None})
    notes: dict[str, list[Note]] = {}
    if orders:
        for row in await connection.execute(_NOTES, {"orders": orders}):
            notes.setdefault(row.order_id, []).append(Note(at=row.at, author=row.author, text=row.text))
    return [item.model_copy(update={"notes": notes.get(item.order_id or "", [])}) for item in items]
