"""Entering a subscription and recording what happens to it.

Each call is one transaction and can run twice: a request id recognises a caller's repetition, an event key a second
run of the same activity. The row, history, payments and outbox change together or not at all
(spec: subscriptions.md §§3, 5, 8; interfaces.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from db.card_links import CardLinkRow, attach_card_form, find_card_link, issue_card_link, use_card_link
from db.effects import SET_ROW, moves_data, row_json
from db.engine import Database
from db.opening import open_subscription
from db.requests import Cursor, claim, operation_scope
from db.shapes import Happening, Recorded, Refused
from db.steps import conflict, require_card, require_customer, write_events
from domain.declines import DeclineCode
from domain.errors import ErrorCode
from domain.subscription import FINAL

__all__ = [
    "CardLinkRow",
    "attach_card_form",
    "find_card_link",
    "open_subscription",
    "record",
    "use_card_link",
]

_LOCK: Final[LiteralString] = """
SELECT customer_id, amount_minor, currency FROM subscriptions WHERE id = %(subscription_id)s FOR NO KEY UPDATE
"""
_IS_RECORDED: Final[LiteralString] = "SELECT 1 AS yes FROM history WHERE event_key = %(event_key)s"

# FOR SHARE: a block or an unblock that is being written is waited for.
_BLOCKED: Final[LiteralString] = """
SELECT CASE WHEN c.blocked_at IS NOT NULL THEN 'customer_blocked'
            WHEN m.blocked_at IS NOT NULL THEN 'payment_method_blocked' END AS blocked
FROM subscriptions s
JOIN customers c ON c.id = s.customer_id
JOIN payment_methods m ON m.id = s.payment_method_id
WHERE s.id = %(subscription_id)s
FOR SHARE OF c, m
"""
_BLOCKS: Final = ("block_all", "unblock", "unblock_all")
_CHANGE_ROW: Final[LiteralString] = (
    "UPDATE subscriptions s SET "  # noqa: S608 - a constant of ours, no input
    + SET_ROW
    + """, payment_method_id = COALESCE(%(payment_method_id)s, s.payment_method_id)
WHERE s.id = %(subscription_id)s
"""
)

_SKIP: Final[LiteralString] = """
WITH gone AS (
    INSERT INTO payments (object_id, number, due_at, amount_minor, currency, state, skip_reason)
    SELECT %(subscription_id)s, number, due_at, %(amount_minor)s, %(currency)s, 'skipped', reason
    FROM unnest(%(numbers)s::integer[], %(due_ats)s::timestamptz[], %(reasons)s::text[]) AS t (number, due_at, reason)
    ON CONFLICT (object_id, number) DO UPDATE SET state = 'skipped', skip_reason = excluded.skip_reason
        WHERE payments.state IN ('scheduled', 'collecting', 'failed')
    RETURNING number, due_at, skip_reason
)
INSERT INTO history (subject_id, kind, at, actor, number, data, event_key)
SELECT %(subscription_id)s, 'skip', %(at)s, %(actor)s, number,
       jsonb_build_object('due', to_jsonb(due_at), 'reason', skip_reason),
       CASE WHEN row_number() OVER (ORDER BY number) = 1 THEN %(event_key)s END
FROM gone ORDER BY number
"""

_GIVE_UP: Final[LiteralString] = """
UPDATE payments p SET state = 'failed'
WHERE p.object_id = %(subscription_id)s AND p.state = 'collecting'
  AND NOT EXISTS (SELECT FROM attempts a
                  WHERE a.object_id = p.object_id AND a.number = p.number AND a.purpose = 'charge'
                    AND a.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled'))
"""


async def record(db: Database, happening: Happening, *, event_key: str) -> Recorded:
    """Write down an operation, changes of status, skipped payments, another card or a link, all at once.

    Args:
        db: the database.
        happening: what happened; `activities.contracts.records.RecordInput` fits.
        event_key: the same for each run of the same activity and for nothing else; a second run changes nothing.

    Returns:
        `recorded` (also on a second run); `duplicate` for a repeated request id; `refused` with
        `subscription_not_found`, `request_id_conflict`, `customer_blocked`, what is wrong with the new card, or, for a
        `block` whose block was taken back, `not_blocked`. A refusal writes nothing.
    """
    try:
        async with db.transaction() as cursor:
            return await _record(cursor, happening, event_key)
    except Refused as refusal:
        return Recorded(outcome="refused", code=refusal.code, message=refusal.message, facts=refusal.facts)


async def _record(cursor: Cursor, happening: Happening, event_key: str) -> Recorded:
    subscription_id = happening.subscription_id
    await cursor.execute(_LOCK, {"subscription_id": subscription_id})
    subscription = await cursor.fetchone()
    if subscription is None:
        raise Refused(
            ErrorCode.SUBSCRIPTION_NOT_FOUND,
            "There is no such subscription.",
            subscription_id=subscription_id,
        )
    await cursor.execute(_IS_RECORDED, {"event_key": event_key})
    if await cursor.fetchone() is not None:
        return Recorded(outcome="recorded")
    if happening.request_id is not None and await _is_repeated(cursor, happening, happening.request_id):
        return Recorded(outcome="duplicate")
    await _require_allowed(cursor, happening, subscription["customer_id"])
    await cursor.execute(
        _CHANGE_ROW,
        {
            "subscription_id": subscription_id,
            "at": happening.at,
            "row": row_json(happening.row),
            "payment_method_id": happening.payment_method_id,
        },
    )
    events = _events(happening)
    await write_events(
        cursor,
        subscription_id,
        happening.at,
        happening.actor,
        events,
        number=happening.payment,
        event_key=event_key,
    )
    await _skip(cursor, happening, subscription, None if events else event_key)
    if any(move.to in FINAL for move in happening.moves):
        await cursor.execute(_GIVE_UP, {"subscription_id": subscription_id})
    if happening.link is not None:
        await issue_card_link(cursor, happening.link, subscription_id=subscription_id, at=happening.at)
    return Recorded(outcome="recorded")


async def _is_repeated(cursor: Cursor, happening: Happening, request_id: str) -> bool:
    claimed = await claim(
        cursor,
        scope=operation_scope(happening.subscription_id),
        request_id=request_id,
        content={"operation": happening.operation, "arguments": dict(happening.arguments)},
        subject_id=happening.subscription_id,
        at=happening.at,
    )
    if claimed.kind == "conflict":
        raise conflict(request_id)
    return claimed.kind == "repeated"


async def _require_allowed(cursor: Cursor, happening: Happening, customer_id: str) -> None:
    """What only the database knows at this moment: who is blocked, and whose card it is."""
    if happening.operation in _BLOCKS:
        await _require_block(cursor, happening.subscription_id, stands=happening.operation == "block_all")
    if happening.payment_method_id is not None or happening.link is not None:
        await require_customer(cursor, customer_id)
    if happening.payment_method_id is not None:
        await require_card(cursor, happening.payment_method_id, customer_id)


async def _require_block(cursor: Cursor, subscription_id: str, *, stands: bool) -> None:
    """A block that was taken back meanwhile suspends nothing more, and one that came again is not undone."""
    await cursor.execute(_BLOCKED, {"subscription_id": subscription_id})
    row = await cursor.fetchone()
    assert row is not None
    if stands and row["blocked"] is None:
        raise Refused(ErrorCode.NOT_BLOCKED, "Neither the customer nor the card is blocked any more.")
    if not stands and row["blocked"] is not None:
        raise Refused(row["blocked"], "The customer or the card is blocked.", subscription_id=subscription_id)


def _events(happening: Happening) -> list[dict[str, Any]]:
    """The operation first, then what it brought about."""
    events: list[dict[str, Any]] = []
    if happening.operation is not None:
        data: dict[str, Any] = {"do": happening.operation, "arguments": dict(happening.arguments)}
        if happening.request_id is not None:
            data["request_id"] = happening.request_id
        events.append({"kind": "operation", "comment": happening.comment, "data": data})
    if happening.decline in (DeclineCode.CUSTOMER_BLOCKED, DeclineCode.PAYMENT_METHOD_BLOCKED):
        # Nothing was sent, so there is no attempt that would tell.
        events.append({"kind": "payment", "data": {"outcome": "blocked", "decline": str(happening.decline)}})
    decline = None if happening.decline is None else str(happening.decline)
    events += [{"kind": "status", "data": data} for data in moves_data(happening.moves, decline=decline)]
    if happening.link is not None and happening.operation is None:
        events.append({"kind": "link", "data": {"expires_at": happening.link.expires_at.isoformat()}})
    return events


async def _skip(
    cursor: Cursor, happening: Happening, subscription: Mapping[str, Any], event_key: str | None
) -> None:
    """Every skipped payment gets its row and its event, in one statement however many there are."""
    if not happening.skipped:
        return
    assert happening.terms is not None, "skipped payments are dated by the terms"
    calendar = happening.terms.calendar
    numbers = [(number, s.reason) for s in happening.skipped for number in range(s.first, s.last + 1)]
    await cursor.execute(
        _SKIP,
        {
            "subscription_id": happening.subscription_id,
            "at": happening.at,
            "actor": happening.actor,
            "amount_minor": happening.row.get("amount_minor") or subscription["amount_minor"],
            "currency": subscription["currency"],
            "numbers": [number for number, _ in numbers],
            "due_ats": [calendar.due(number - 1) for number, _ in numbers],
            "reasons": [reason for _, reason in numbers],
            "event_key": event_key,
        },
    )
