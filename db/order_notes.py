"""What people add to an order beside its course: internal notes, and who holds the permission (orders.md §§6, 8).

Both may be written at any time, also when the order has ended, so they do not go through its workflow; the row's lock
is the serial place.
"""

from __future__ import annotations

import json
from typing import Any, Final, LiteralString

from db.engine import Database
from db.order_shapes import Identification, NoteEntry
from db.product_rows import product_terms
from db.requests import Cursor, claim
from db.shapes import Entered, Refused
from db.steps import conflict, write_events
from domain.errors import ErrorCode, TeikiError
from domain.product import check_identification

_NOTED: Final[LiteralString] = """
WITH note AS (
    INSERT INTO order_notes (order_id, at, author, text) VALUES (%(order_id)s, %(at)s, %(actor)s, %(text)s)
)
UPDATE orders SET notes = notes + 1, latest_note = %(text)s WHERE id = %(order_id)s
"""
_LOCK_ORDER: Final[LiteralString] = "SELECT 1 AS yes FROM orders WHERE id = %s FOR NO KEY UPDATE"
_LOCK: Final[LiteralString] = """
SELECT p.id, p.order_id, p.customer_id, p.identification, p.identified_by_customer,
       t.price_minor, t.currency, t.type, t.sales_method, t.terms
FROM permissions p JOIN products t ON t.id = p.product_id
WHERE p.id = %(permission_id)s FOR NO KEY UPDATE OF p
"""
_IDENTIFY: Final[LiteralString] = """
UPDATE permissions SET identification = %(identification)s::jsonb,
    identified_by_customer = identified_by_customer OR %(by_customer)s, updated_at = %(at)s
WHERE id = %(permission_id)s
"""


async def add_note(db: Database, entry: NoteEntry) -> Entered:
    """An internal note; `activities.contracts.orders.AddNote` fits. `refused`: `order_not_found`."""
    try:
        async with db.transaction() as cursor:
            await cursor.execute(_LOCK_ORDER, (entry.order_id,))
            if await cursor.fetchone() is None:
                raise Refused(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order_id=entry.order_id)
            if not await _is_new(
                cursor, f"order:{entry.order_id}", entry, {"note": entry.text}, entry.order_id
            ):
                return Entered(id=entry.order_id, outcome="duplicate")
            values = {"order_id": entry.order_id, "at": entry.at, "actor": entry.actor, "text": entry.text}
            await cursor.execute(_NOTED, values)
            # The text stands with the notes, where it can be seen; history says that there is one.
            event = {"kind": "note", "data": {"request_id": entry.request_id}}
            await write_events(cursor, entry.order_id, entry.at, entry.actor, [event], noun="order")
            return Entered(id=entry.order_id)
    except Refused as refusal:
        return _refused(entry.order_id, refusal)


async def identify(db: Database, entry: Identification) -> Entered:
    """Put the identification information in place of what is there; history keeps before and after.

    Returns:
        `refused` with `permission_not_found`, `forbidden` (somebody else's), `identification_already_given` (a
        customer tells it once), or what is wrong with the answers.
    """
    try:
        async with db.transaction() as cursor:
            return await _identify(cursor, entry)
    except Refused as refusal:
        return _refused(entry.permission_id, refusal)
    except TeikiError as error:
        if error.code is ErrorCode.DATABASE_UNAVAILABLE:
            raise
        return _refused(entry.permission_id, Refused(error.code, error.message, **error.facts))


async def _identify(cursor: Cursor, entry: Identification) -> Entered:
    await cursor.execute(_LOCK, {"permission_id": entry.permission_id})
    permission = await cursor.fetchone()
    if permission is None:
        raise Refused(
            ErrorCode.PERMISSION_NOT_FOUND, "There is no such permission.", permission_id=entry.permission_id
        )
    content = {"identification": dict(entry.identification)}
    if not await _is_new(cursor, f"permission:{entry.permission_id}", entry, content, entry.permission_id):
        return Entered(id=entry.permission_id, outcome="duplicate")
    by_customer = entry.actor.startswith("customer:")
    if by_customer and entry.actor != f"customer:{permission['customer_id']}":
        raise Refused(ErrorCode.FORBIDDEN, "A customer identifies only a permission of their own.")
    if by_customer and permission["identified_by_customer"]:
        raise Refused(
            ErrorCode.IDENTIFICATION_ALREADY_GIVEN,
            "A customer gives this information once, at the first purchase; an administrator can change it.",
            permission_id=entry.permission_id,
        )
    after = check_identification(product_terms(permission), entry.identification)
    before = permission["identification"]
    await cursor.execute(
        _IDENTIFY,
        {
            "permission_id": entry.permission_id,
            "identification": json.dumps(after),
            "by_customer": by_customer,
            "at": entry.at,
        },
    )
    changed: dict[str, Any] = {
        "before": {name: value for name, value in before.items() if after.get(name) != value},
        "after": {name: value for name, value in after.items() if before.get(name) != value},
        "permission_id": entry.permission_id,
        "request_id": entry.request_id,
    }
    event = {"kind": "identification", "comment": entry.comment, "data": changed}
    await write_events(cursor, permission["order_id"], entry.at, entry.actor, [event], noun="order")
    return Entered(id=entry.permission_id)


async def _is_new(
    cursor: Cursor, scope: str, entry: NoteEntry | Identification, content: dict[str, Any], subject_id: str
) -> bool:
    claimed = await claim(
        cursor,
        scope=scope,
        request_id=entry.request_id,
        content=content,
        subject_id=subject_id,
        at=entry.at,
    )
    if claimed.kind == "conflict":
        raise conflict(entry.request_id)
    return claimed.kind == "new"


def _refused(entry_id: str, refusal: Refused) -> Entered:
    return Entered(
        id=entry_id, outcome="refused", code=refusal.code, message=refusal.message, facts=refusal.facts
    )
