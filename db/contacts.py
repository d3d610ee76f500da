"""A customer's e-mail addresses and phones, entered within the transaction that learns of them.

Whoever is entered with an address that is blocked is held back from that moment on. Locks are taken in one order
everywhere: the address first, then customers, then cards (spec: customers.md §2).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, LiteralString

from db.requests import Cursor
from domain.customer_details import CONTACT_PREFIXES, DetailKind, contact_key

_ENTER: Final[LiteralString] = """
INSERT INTO contacts (id, kind, value, key, created_at)
VALUES (%(prefix)s || '_' || replace(gen_random_uuid()::text, '-', ''), %(kind)s, %(value)s, %(key)s, %(at)s)
ON CONFLICT (kind, key) DO NOTHING
"""
# FOR SHARE: a block that is being written is waited for, and one that comes later sees whose address it is.
_FIND: Final[LiteralString] = (
    "SELECT id, blocked_at FROM contacts WHERE kind = %(kind)s AND key = %(key)s FOR SHARE"
)
_LINK: Final[LiteralString] = """
INSERT INTO customer_contacts (customer_id, contact_id, since)
SELECT id, %(contact_id)s, %(at)s FROM customers WHERE id = %(customer_id)s
ON CONFLICT DO NOTHING
"""
_LOCK: Final[LiteralString] = (
    "SELECT 1 AS yes FROM customers WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE"
)
_HOLD: Final[LiteralString] = """
UPDATE customers c SET blocked_at = held.since
FROM (SELECT w.id, LEAST(w.id_blocked_at, min(k.blocked_at)) AS since
      FROM customers w
      LEFT JOIN customer_contacts l ON l.customer_id = w.id
      LEFT JOIN contacts k ON k.id = l.contact_id
      WHERE w.id = ANY(%(ids)s) GROUP BY w.id) held
WHERE c.id = held.id AND c.blocked_at IS DISTINCT FROM held.since
"""


async def lock_contact(cursor: Cursor, kind: DetailKind, value: str, at: datetime) -> dict[str, Any] | None:
    """The row of an address or a number, made if need be; None: there is none. Before anything of the customer's."""
    key = contact_key(value)
    if not key:
        return None
    parameters = {"prefix": CONTACT_PREFIXES[kind], "kind": kind.value, "value": value.strip(), "key": key}
    await cursor.execute(_ENTER, {**parameters, "at": at})
    await cursor.execute(_FIND, parameters)
    found = await cursor.fetchone()
    assert found is not None, "contacts are never deleted"
    return found


async def link_contact(
    cursor: Cursor, customer_id: str, contact: dict[str, Any] | None, at: datetime
) -> None:
    """It belongs to this customer, who is held back at once if it is blocked. No customer: nothing happens."""
    if contact is None:
        return
    await cursor.execute(_LINK, {"customer_id": customer_id, "contact_id": contact["id"], "at": at})
    if contact["blocked_at"] is not None:
        await hold(cursor, [customer_id])


async def hold(cursor: Cursor, customer_ids: list[str]) -> None:
    """Bring what every charge looks at in line with the customers' own details."""
    # Two statements: what was committed while we waited for the lock must be seen.
    await cursor.execute(_LOCK, {"ids": customer_ids})
    await cursor.execute(_HOLD, {"ids": customer_ids})
