"""Blocking a customer's details, and finding what has to hear of it (spec: customers.md §2, quality.md I7).

From the commit of `change_blocks` on nothing is sent to the payment company with a blocked detail: every charge looks
at `blocked_at` of its customer and its card in the statement that writes its intent, and waits for a block that is
being written. An e-mail address or a phone is blocked with everybody who has it, a card however often the customer
has entered it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, Protocol

from db.contacts import hold
from db.engine import Database
from db.requests import Cursor, claim
from db.shapes import Refused
from db.steps import conflict
from domain.customer_details import contact_key
from domain.errors import ErrorCode

Do = Literal["block", "unblock", "block_all", "unblock_all"]

_DETAILS: Final[LiteralString] = """
SELECT id, id AS key, '' AS token, 'customer' AS kind FROM customers WHERE id = %(customer_id)s
UNION ALL
SELECT id, id, token, 'card' FROM payment_methods WHERE customer_id = %(customer_id)s AND kind <> 'konbini'
UNION ALL
SELECT k.id, k.key, '', 'contact' FROM customer_contacts l JOIN contacts k ON k.id = l.contact_id
WHERE l.customer_id = %(customer_id)s
"""
_CONTACTS: Final[LiteralString] = """
UPDATE contacts k SET blocked_at = CASE WHEN %(blocked)s THEN %(at)s::timestamptz END
FROM (SELECT id FROM contacts WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE) locked
WHERE k.id = locked.id AND (k.blocked_at IS NOT NULL) <> %(blocked)s
RETURNING k.id
"""
_SHARED: Final[LiteralString] = (
    "SELECT DISTINCT customer_id FROM customer_contacts WHERE contact_id = ANY(%(ids)s) ORDER BY customer_id"
)
_CUSTOMER: Final[LiteralString] = """
UPDATE customers SET id_blocked_at = CASE WHEN %(blocked)s THEN %(at)s::timestamptz END,
    blocked_at = CASE WHEN %(blocked)s THEN COALESCE(blocked_at, %(at)s) ELSE blocked_at END
WHERE id = %(customer_id)s AND (id_blocked_at IS NOT NULL) <> %(blocked)s
RETURNING id
"""
_CARDS: Final[LiteralString] = """
UPDATE payment_methods SET blocked_at = CASE WHEN %(blocked)s THEN %(at)s::timestamptz END
WHERE customer_id = %(customer_id)s AND token = ANY(%(tokens)s) AND (blocked_at IS NOT NULL) <> %(blocked)s
RETURNING id
"""
_VOID_LINKS: Final[LiteralString] = """
WITH voided AS (
    UPDATE card_links l SET revoked_at = %(at)s
    FROM subscriptions s JOIN customers c ON c.id = s.customer_id
    WHERE s.customer_id = ANY(%(customers)s) AND c.blocked_at IS NOT NULL
      AND l.subscription_id = s.id AND l.revoked_at IS NULL
    RETURNING l.used_at, l.expires_at
)
SELECT count(*) AS n FROM voided WHERE used_at IS NULL AND expires_at > %(at)s
"""
_EVENT: Final[LiteralString] = """
INSERT INTO history (subject_id, kind, at, actor, comment, data)
SELECT e->>'subject_id', 'operation', %(at)s, %(actor)s, %(comment)s, e->'data'
FROM jsonb_array_elements(%(events)s::jsonb) WITH ORDINALITY AS t (e, n) ORDER BY n
"""
_ANSWER: Final[LiteralString] = """
UPDATE requests SET response = %(response)s::jsonb WHERE scope = %(scope)s AND request_id = %(request_id)s
"""
_ANSWERED: Final[LiteralString] = (
    "SELECT response FROM requests WHERE scope = %(scope)s AND request_id = %(request_id)s"
)
TO_BLOCK: Final[LiteralString] = """
SELECT s.id FROM subscriptions s
WHERE s.customer_id = %(customer_id)s AND s.status IN ('unverified', 'unconfirmed', 'current', 'unpaid')
UNION ALL
SELECT d.id FROM orders o JOIN deposits d ON d.order_id = o.id
WHERE o.customer_id = %(customer_id)s AND d.status IN ('requested', 'issued', 'preliminary')
"""
# Also what runs and is at work just now: a due payment that met the block may not have been written down yet.
TO_UNBLOCK: Final[LiteralString] = """
SELECT s.id
FROM (SELECT %(customer_id)s::text AS id
      UNION SELECT l.customer_id FROM customer_contacts l WHERE l.contact_id = ANY(%(details)s)) touched
JOIN customers c ON c.id = touched.id COLLATE "C" AND c.blocked_at IS NULL
JOIN subscriptions s ON s.customer_id = c.id
JOIN payment_methods m ON m.id = s.payment_method_id AND m.blocked_at IS NULL
WHERE (s.status = 'suspended' AND s.reason = 'blocked')
   OR (s.status IN ('unverified', 'unconfirmed', 'current', 'unpaid') AND s.next_at <= %(at)s + interval '1 minute')
"""


class BlockOrder(Protocol):
    """What is to be blocked or unblocked; `activities.contracts.blocking.ChangeBlocks` fits."""

    @property
    def run_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def customer_id(self) -> str: ...
    @property
    def do(self) -> Do: ...
    @property
    def details(self) -> tuple[str, ...]: ...
    @property
    def at(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockChange:
    """What was changed.

    Attributes:
        outcome: `duplicate`: another run did it under this request id; `refused` with a code.
        named: ids of the details that were asked for.
        changed: of those that were not like that before, shared ones of other customers included.
        card_links: how many open links were voided.
    """

    outcome: Literal["recorded", "duplicate", "refused"]
    named: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    card_links: int = 0
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


async def change_blocks(db: Database, order: BlockOrder) -> BlockChange:
    """Block or unblock details in one transaction. No charge begins with them after its commit.

    Returns:
        The same for each run of one order; `refused` with `customer_not_found`, `detail_not_found` or
        `request_id_conflict`, and nothing was written.
    """
    try:
        async with db.transaction() as cursor:
            return await _change(cursor, order)
    except Refused as refusal:
        return BlockChange(outcome="refused", code=refusal.code, message=refusal.message, facts=refusal.facts)


async def _change(cursor: Cursor, order: BlockOrder) -> BlockChange:
    request = {"scope": f"customer:{order.customer_id}", "request_id": order.request_id}
    content = {"do": order.do, "details": sorted(order.details)}
    claimed = await claim(cursor, **request, content=content, subject_id=order.run_id, at=order.at)
    if claimed.kind == "conflict":
        raise conflict(order.request_id)
    if claimed.kind == "repeated":
        await cursor.execute(_ANSWERED, request)
        earlier = await cursor.fetchone()
        assert earlier is not None
        same = claimed.subject_id == order.run_id
        return BlockChange(**{**earlier["response"], "outcome": "recorded" if same else "duplicate"})
    details = await _named(cursor, order)
    blocked = order.do in ("block", "block_all")
    changed, customers = await _set(cursor, order, details, blocked=blocked)
    links = await _void_links(cursor, customers, order.at) if blocked else 0
    named = [detail["id"] for detail in details]
    await _tell(cursor, order, named, changed)
    change = BlockChange(outcome="recorded", named=named, changed=changed, card_links=links)
    await cursor.execute(_ANSWER, {**request, "response": json.dumps(asdict(change))})
    return change


async def _named(cursor: Cursor, order: BlockOrder) -> list[dict[str, Any]]:
    """The details meant: all, or each by its id or as people write it."""
    await cursor.execute(_DETAILS, {"customer_id": order.customer_id})
    owned = await cursor.fetchall()
    if not any(detail["kind"] == "customer" for detail in owned):
        raise Refused(
            ErrorCode.CUSTOMER_NOT_FOUND, "There is no such customer.", customer_id=order.customer_id
        )
    if order.do in ("block_all", "unblock_all"):
        return owned
    found = {name: detail for detail in owned for name in (detail["id"], detail["key"])}
    for word in order.details:
        if contact_key(word) not in found and word not in found:
            raise Refused(ErrorCode.DETAIL_NOT_FOUND, "The customer has no such detail.", detail=word[:60])
    meant = {id(found.get(word) or found[contact_key(word)]) for word in order.details}
    return [detail for detail in owned if id(detail) in meant]


async def _set(
    cursor: Cursor, order: BlockOrder, details: list[dict[str, Any]], *, blocked: bool
) -> tuple[list[str], list[str]]:
    """Ids of what changed, and the customers concerned. In the one order of locks: addresses, customers, cards."""
    word = {"blocked": blocked, "at": order.at}
    contacts = [detail["id"] for detail in details if detail["kind"] == "contact"]
    changed = await _ids(cursor, _CONTACTS, {**word, "ids": contacts}) if contacts else []
    await cursor.execute(_SHARED, {"ids": changed})
    sharing = [row["customer_id"] for row in await cursor.fetchall()]
    customers = sorted({order.customer_id, *sharing})
    whole = any(detail["kind"] == "customer" for detail in details)
    # For a card alone, too: one that is just being entered again with the same token is waited for, or waits.
    await hold(cursor, customers)
    if whole:
        changed += await _ids(cursor, _CUSTOMER, {**word, "customer_id": order.customer_id})
        await hold(cursor, [order.customer_id])
    tokens = sorted({detail["token"] for detail in details if detail["kind"] == "card"})
    of_customer = {**word, "customer_id": order.customer_id, "tokens": tokens}
    changed += await _ids(cursor, _CARDS, of_customer) if tokens else []
    return changed, customers


async def _ids(cursor: Cursor, statement: LiteralString, parameters: dict[str, Any]) -> list[str]:
    await cursor.execute(statement, parameters)
    return sorted(row["id"] for row in await cursor.fetchall())


async def _void_links(cursor: Cursor, customers: list[str], at: datetime) -> int:
    await cursor.execute(_VOID_LINKS, {"customers": customers, "at": at})
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])


async def _tell(cursor: Cursor, order: BlockOrder, named: list[str], changed: list[str]) -> None:
    """The command in the customer's history, and what it changed in that of each detail, which others may share."""
    command = {
        "do": order.do,
        "arguments": {"details": named},
        "request_id": order.request_id,
        "changed": changed,
    }
    events: list[dict[str, Any]] = [{"subject_id": order.customer_id, "data": command}]
    done = "block" if order.do in ("block", "block_all") else "unblock"
    events += [
        {"subject_id": detail, "data": {"do": done, "arguments": {}, "customer_id": order.customer_id}}
        for detail in changed
        if detail != order.customer_id
    ]
    await cursor.execute(
        _EVENT,
        {"at": order.at, "actor": order.actor, "comment": order.comment, "events": json.dumps(events)},
    )


async def next_concerned(
    db: Database, *, do: Do, customer_id: str, details: list[str], at: datetime, after: str, limit: int
) -> list[str]:
    """Ids of the subscriptions and slips that still have to hear of it, in their order, from `after` on."""
    concerned = TO_BLOCK if do == "block_all" else TO_UNBLOCK
    sql: LiteralString = (
        "SELECT id FROM ("  # noqa: S608 - constants of ours
        + concerned
        + ") concerned WHERE id > %(after)s ORDER BY id LIMIT %(limit)s"
    )
    parameters = {"customer_id": customer_id, "details": details, "at": at, "after": after, "limit": limit}
    async with db.transaction() as cursor:
        await cursor.execute(sql, parameters)
        return [row["id"] for row in await cursor.fetchall()]
