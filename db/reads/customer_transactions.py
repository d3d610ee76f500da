"""The customer page's transactions, with their notes and what endpoints were told (spec: customers.md §1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reads.cursor import decode_cursor, encode_cursor, page_size
from db.reads.notifications import DeliveryState
from domain.money import Money
from domain.notifications import notification_id

Way = Literal["subscription", "one_time"]


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Note(Shown):
    at: datetime
    author: str
    text: str


class Told(Shown):
    """A notification of the transaction's payment, and how it fares at one endpoint."""

    notification_id: str
    topic: str
    endpoint_id: str
    state: DeliveryState
    tries: int


class Transaction(Shown):
    """One movement at the payment company, or an attempt at it.

    Attributes:
        action: `charge`, `refund`, `twin` (a second charge that goes back), and so on.
        status: where the attempt stands: `settled`, `declined`, `pending`, …
        payment_state: where the payment stands that it belongs to, which may be refunded since.
        method: `visa …4242`, `konbini lawson`; `expires`: `2031-05`.
        order_id: the order whose payment it is, also when a subscription pays it.
        notes: of that order.
        deliveries: what endpoints were told of its payment, the earliest event first.
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
    deliveries: list[Told] = Field(default_factory=list)


class TransactionPage(Shown):
    items: list[Transaction]
    next_cursor: str | None


MINE: Final = """
    SELECT id, product_id, created_at, 'subscription' AS way FROM subscriptions WHERE customer_id = :customer_id
    UNION ALL
    -- A recurring order is paid by its subscription, which stands above.
    SELECT id, product_id, created_at, 'one_time' FROM orders WHERE customer_id = :customer_id AND pay <> 'recurring'
"""
"""What belongs to the customer; two indexes have all of it."""

_AFTER: Final = (
    "customer_id = :customer_id AND (CAST(:at AS timestamptz) IS NULL OR (sent_at, key) < (:at, :key))"
)
_NEWEST: Final = " ORDER BY sent_at DESC, key DESC LIMIT :most"
_ATTEMPTS: Final = "SELECT key FROM attempts WHERE "
_PAGE: Final = text(_ATTEMPTS + _AFTER + _NEWEST)
_OF_PRODUCT: Final = f"""
    -- IS TRUE: a set that attempts are looked up in, newest first until there are enough; a join would fetch them all.
    AND (object_id IN (SELECT id FROM ({MINE}) mine
                       WHERE (CAST(:product_id AS text) IS NULL OR product_id = :product_id)
                         AND (CAST(:way AS text) IS NULL OR way = :way))) IS TRUE
"""  # noqa: S608 - constants of ours
_PAGE_OF_PRODUCT: Final = text(_ATTEMPTS + _AFTER + _OF_PRODUCT + _NEWEST)
_SHOWN: Final = text(
    """
    SELECT a.key, a.object_id, a.number, a.attempt, a.purpose AS action, a.state AS status,
           p.state AS payment_state, a.sent_at AS at, a.amount_minor, a.currency, a.payment_method_id, a.decline,
           a.gateway_id, m.kind, m.brand, m.last_four, m.expires_year, m.expires_month, b.product_id,
           (SELECT name FROM products WHERE id = b.product_id) AS product_name, b.way, b.order_id
    FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS k (key, place)
    JOIN attempts a ON a.key = k.key COLLATE "C"
    JOIN payments p ON p.object_id = a.object_id AND p.number = a.number
    JOIN payment_methods m ON m.id = a.payment_method_id
    CROSS JOIN LATERAL (
        SELECT product_id, 'subscription' AS way, order_id FROM subscriptions WHERE id = a.object_id
        UNION ALL SELECT product_id, 'one_time', id FROM orders WHERE id = a.object_id) b
    ORDER BY k.place
    """
)
_NOTES: Final = text(
    "SELECT order_id, at, author, text FROM order_notes WHERE order_id = ANY(:orders) ORDER BY order_id, id"
)
_TOLD: Final = text(
    """
    SELECT d.subject_id, (o.payload->>'number')::integer AS number, d.event_id, o.topic, d.endpoint_id, d.state, d.tries
    FROM deliveries d JOIN outbox o ON o.id = d.event_id
    WHERE d.subject_id = ANY(:objects) AND o.payload->>'number' = ANY(:numbers)
    ORDER BY d.event_id, d.endpoint_id
    """
)


async def read_transactions(
    connection: AsyncConnection,
    customer_id: str,
    *,
    product_id: str | None = None,
    way: Way | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> TransactionPage:
    """One page, newest first, with the notes of their orders and what endpoints were told of them.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    at, key = (None, "") if cursor is None else decode_cursor(cursor)
    wanted = {"product_id": product_id, "way": way, "at": at, "key": key, "most": page_size(limit) + 1}
    statement = _PAGE if product_id is None and way is None else _PAGE_OF_PRODUCT
    found = await connection.execute(statement, {"customer_id": customer_id, **wanted})
    keys = [row.key for row in found]
    page = keys[:limit]
    shown = await shown_whole(connection, page)
    items = await _with_deliveries(connection, await _with_notes(connection, [shown[key] for key in page]))
    more = encode_cursor(items[-1].at, items[-1].key) if len(keys) > limit else None
    return TransactionPage(items=items, next_cursor=more)


async def shown_whole(connection: AsyncConnection, keys: list[str]) -> dict[str, Transaction]:
    if not keys:
        return {}
    return {row.key: _transaction(row) for row in await connection.execute(_SHOWN, {"keys": keys})}


def _transaction(row: Row[Any]) -> Transaction:
    kind = "" if row.kind == "card" else row.kind.replace("_", " ")
    last_four = f"…{row.last_four}" if row.last_four else ""
    expires = f"{row.expires_year}-{row.expires_month:02}" if row.expires_year and row.expires_month else None
    return Transaction.model_validate(
        {
            **row._mapping,  # what is no field of a transaction is left out
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


async def _with_deliveries(connection: AsyncConnection, items: list[Transaction]) -> list[Transaction]:
    # An object's story is walked once, however many of its payments stand on the page.
    wanted = {
        "objects": sorted({item.object_id for item in items}),
        "numbers": sorted({str(item.number) for item in items}),
    }
    told: dict[tuple[str, int], list[Told]] = {}
    for row in await connection.execute(_TOLD, wanted):
        told.setdefault((row.subject_id, row.number), []).append(
            Told(
                notification_id=notification_id(row.event_id),
                topic=row.topic,
                endpoint_id=row.endpoint_id,
                state=row.state,
                tries=row.tries,
            )
        )
    return [
        item.model_copy(update={"deliveries": told.get((item.object_id, item.number), [])}) for item in items
    ]
