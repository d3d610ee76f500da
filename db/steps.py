"""Steps that opening and recording share: checks against the catalogue, and events with their notices."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, LiteralString

from db.requests import Cursor
from db.shapes import Refused
from domain.credit import CHARGEABLE_KINDS
from domain.declines import DeclineCode
from domain.errors import ErrorCode

# FOR SHARE: an entry that is being changed or blocked right now is waited for.
_CUSTOMER: Final[LiteralString] = "SELECT blocked_at FROM customers WHERE id = %s FOR SHARE"
_PRODUCT: Final[LiteralString] = "SELECT 1 AS yes FROM products WHERE id = %s"
_METHOD: Final[LiteralString] = (
    "SELECT customer_id, kind, blocked_at FROM payment_methods WHERE id = %s FOR SHARE"
)

_EVENTS: Final[LiteralString] = """
WITH event AS (
    INSERT INTO history (subject_id, kind, at, actor, comment, number, data, event_key)
    SELECT %(subject_id)s, e->>'kind', %(at)s, %(actor)s, COALESCE(e->>'comment', ''), %(number)s, e->'data',
           CASE WHEN n = 1 THEN %(event_key)s END
    FROM jsonb_array_elements(%(events)s::jsonb) WITH ORDINALITY AS t (e, n) ORDER BY n
)
INSERT INTO outbox (topic, subject_id, payload)
SELECT COALESCE(e->'data'->>'object', %(noun)s) || '.' || (e->>'kind'), %(subject_id)s,
       (e->'data') || object_named(%(subject_id)s)
FROM jsonb_array_elements(%(events)s::jsonb) WITH ORDINALITY AS t (e, n)
WHERE e->>'kind' IN ('operation', 'status', 'points', 'identification', 'custom_fields') ORDER BY n
"""


async def write_events(
    cursor: Cursor,
    subject_id: str,
    at: datetime,
    actor: str,
    events: list[dict[str, Any]],
    *,
    number: int | None = None,
    event_key: str | None = None,
    noun: str = "subscription",
) -> None:
    """Tell history, and the outbox of what services must know; `noun` names the object where an event does not."""
    if events:
        await cursor.execute(
            _EVENTS,
            {
                "subject_id": subject_id,
                "at": at,
                "actor": actor,
                "number": number,
                "event_key": event_key,
                "noun": noun,
                "events": json.dumps(events),
            },
        )


async def require_customer(cursor: Cursor, customer_id: str) -> None:
    await cursor.execute(_CUSTOMER, (customer_id,))
    customer = await cursor.fetchone()
    if customer is None:
        raise Refused(ErrorCode.CUSTOMER_NOT_FOUND, "There is no such customer.", customer_id=customer_id)
    if customer["blocked_at"] is not None:
        raise Refused(ErrorCode.CUSTOMER_BLOCKED, "This customer is blocked.", customer_id=customer_id)


async def require_product(cursor: Cursor, product_id: str) -> None:
    await cursor.execute(_PRODUCT, (product_id,))
    if await cursor.fetchone() is None:
        raise Refused(ErrorCode.PRODUCT_NOT_FOUND, "There is no such product.", product_id=product_id)


async def require_card(cursor: Cursor, payment_method_id: str, customer_id: str) -> None:
    facts = {"payment_method_id": payment_method_id}
    await cursor.execute(_METHOD, (payment_method_id,))
    method = await cursor.fetchone()
    if method is None:
        raise Refused(ErrorCode.PAYMENT_METHOD_NOT_FOUND, "There is no such payment method.", **facts)
    if method["customer_id"] != customer_id:
        raise Refused(
            ErrorCode.PAYMENT_METHOD_OF_OTHER_CUSTOMER,
            "This payment method belongs to another customer.",
            **facts,
        )
    if method["kind"] not in CHARGEABLE_KINDS:
        raise Refused(
            ErrorCode.PAYMENT_METHOD_NOT_CARD,
            "It is paid by card, and this is none.",
            kind=method["kind"],
            **facts,
        )
    if method["blocked_at"] is not None:
        raise Refused(DeclineCode.PAYMENT_METHOD_BLOCKED, "This payment method is blocked.", **facts)


def conflict(request_id: str) -> Refused:
    return Refused(
        ErrorCode.REQUEST_ID_CONFLICT,
        "This request id was used before, for something else.",
        request_id=request_id,
    )
