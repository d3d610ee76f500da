"""Repayments in our books: links and what becomes of them, and money that came otherwise (spec: customers.md §4).

Every write that could let more come back than is owed holds the payment's row (`repayment_balance`). All can run twice:
a request id recognises a caller's repetition, an event key a second run of the same activity.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, Final, LiteralString, NamedTuple, Protocol

from db.balances import lock_payment
from db.engine import Database
from db.repayment_balance import balance_of, show_balance
from db.requests import Cursor, claim
from db.shapes import Refused
from db.steps import conflict
from domain.errors import ErrorCode
from domain.identifiers import idempotency_key
from domain.money import Money
from domain.repayment import REPAID_STATES, Balance, RepaymentKind, RepaymentStatus

_CHARGE: Final[LiteralString] = """
SELECT payment_method_id FROM attempts
WHERE object_id = %(object_id)s AND number = %(number)s AND purpose = 'charge' AND state = 'settled'
"""
_FIND: Final[LiteralString] = "SELECT * FROM repayments WHERE id = %(id)s"
_INSERT: Final[LiteralString] = """
INSERT INTO repayments (id, object_id, number, kind, amount_minor, currency, status, reason, actor, comment, method,
    received_as, received_on, token_hash, expires_at, paid_minor, created_at, updated_at)
VALUES (%(id)s, %(object_id)s, %(number)s, %(kind)s, %(amount_minor)s, %(currency)s, %(status)s, %(reason)s, %(actor)s,
    %(comment)s, %(method)s, %(received_as)s, %(received_on)s, %(token_hash)s, %(expires_at)s, %(paid_minor)s, %(at)s,
    %(at)s)
"""
_RECEIPT: Final[LiteralString] = """
WITH attempt AS (
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id, amount_minor,
        currency, sent_at, resolved_at, returns)
    VALUES (%(key)s, %(object_id)s, %(number)s, 1, 'receipt', %(reference)s, 'settled', %(payment_method_id)s,
        %(amount_minor)s, %(currency)s, %(at)s, %(at)s, %(id)s)
    RETURNING key, amount_minor, currency
)
INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
SELECT key, 'repayment', 'cash', 'repayments', amount_minor, currency, %(at)s FROM attempt
"""
_CLOSE_LINKS: Final[LiteralString] = """
UPDATE repayments SET status = 'canceled', reason = %(why)s, updated_at = %(at)s
WHERE object_id = %(object_id)s AND number = %(number)s AND status = 'open' AND id <> %(id)s
RETURNING id, amount_minor, currency
"""
_TELL: Final[LiteralString] = """
WITH event AS (
    INSERT INTO history (subject_id, kind, at, actor, comment, number, data, event_key)
    VALUES (%(object_id)s, 'repayment', %(at)s, %(actor)s, %(comment)s, %(number)s, %(facts)s::jsonb, %(event_key)s)
)
INSERT INTO outbox (topic, subject_id, payload)
VALUES (%(topic)s, %(object_id)s,
        %(facts)s::jsonb || object_named(%(object_id)s) || jsonb_build_object('number', %(number)s::integer))
"""
_IS_RECORDED: Final[LiteralString] = "SELECT 1 AS yes FROM history WHERE event_key = %(event_key)s"
_END: Final[LiteralString] = """
UPDATE repayments SET status = %(to)s, reason = %(reason)s, updated_at = %(at)s WHERE id = %(id)s
"""
_REMIND: Final[LiteralString] = """
UPDATE repayments SET reminders = %(reminder)s, updated_at = %(at)s WHERE id = %(id)s
"""


class Opening(Protocol):
    """`activities.contracts.repayments.OpenRepayment` fits."""

    @property
    def repayment_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def object_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def kind(self) -> RepaymentKind: ...
    @property
    def amount(self) -> Money | None: ...
    @property
    def token_hash(self) -> str | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def method(self) -> str | None: ...
    @property
    def received_as(self) -> str | None: ...
    @property
    def received_on(self) -> date | None: ...


class Opened(NamedTuple):
    """See `activities.contracts.repayments.RepaymentOpened`."""

    outcome: str
    repayment_id: str
    amount: Money | None = None
    closed: tuple[str, ...] = ()
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = {}  # noqa: RUF012 - never changed


async def open_repayment(db: Database, opening: Opening) -> Opened:
    """Enter a link, or money that came otherwise.

    Returns:
        `opened` (also on a second run); `duplicate` for an earlier request; `refused` with `payment_not_found`,
        `invalid_status` when the payment was not charged back, `repayment_exceeds_balance` with the balance,
        `currency_mismatch`, `live_attempt_exists` while another link is being paid, or `request_id_conflict`.
    """
    try:
        async with db.transaction() as cursor:
            return await _open(cursor, opening)
    except Refused as refusal:
        return Opened(
            "refused",
            opening.repayment_id,
            code=refusal.code,
            message=refusal.message,
            facts=refusal.facts,
        )


async def _open(cursor: Cursor, opening: Opening) -> Opened:
    state = await lock_payment(cursor, opening.object_id, opening.number)
    if state is None:
        raise Refused(
            ErrorCode.PAYMENT_NOT_FOUND,
            "There is no such payment.",
            object_id=opening.object_id,
            number=opening.number,
        )
    claimed = await claim(
        cursor,
        scope=f"repayment:{opening.object_id}/{opening.number}",
        request_id=opening.request_id,
        content=_content(opening),
        subject_id=opening.repayment_id,
        at=opening.at,
    )
    if claimed.kind == "conflict":
        raise conflict(opening.request_id)
    if claimed.kind == "repeated":
        return await _opened_before(cursor, claimed.subject_id, opening.repayment_id)
    if state[0] not in REPAID_STATES:
        raise Refused(
            ErrorCode.INVALID_STATUS,
            "Money comes back for a payment that was charged back only.",
            status=state[0],
            allowed=list(REPAID_STATES),
        )
    balance = await balance_of(cursor, opening.object_id, opening.number)
    amount = _within(balance, opening.amount, currency=state[1])
    return await _enter(cursor, opening, amount, balance)


def _content(opening: Opening) -> dict[str, Any]:
    """What makes a request the same. A link's token and end are made anew by a caller who repeats."""
    return {
        "kind": opening.kind.value,
        "amount": opening.amount.model_dump() if opening.amount else None,
        "method": opening.method,
        "received_as": opening.received_as,
        "received_on": opening.received_on.isoformat() if opening.received_on else None,
    }


async def _opened_before(cursor: Cursor, earlier_id: str, own_id: str) -> Opened:
    await cursor.execute(_FIND, {"id": earlier_id})
    row = await cursor.fetchone()
    assert row is not None, "a request of a repayment is claimed together with its row"
    outcome = "opened" if earlier_id == own_id else "duplicate"
    return Opened(outcome, earlier_id, Money(minor=row["amount_minor"], currency=row["currency"]))


def _within(balance: Balance, asked: Money | None, *, currency: str) -> Money:
    """What is asked for, when it is owed; all of it, when nothing else is said."""
    if asked is not None and asked.currency != currency:
        raise Refused(
            ErrorCode.CURRENCY_MISMATCH,
            "A repayment is in its payment's currency.",
            expected=currency,
            got=asked.currency,
        )
    wanted = balance.owed if asked is None else asked.minor
    if wanted > balance.owed or not balance.owed:
        raise Refused(
            ErrorCode.REPAYMENT_EXCEEDS_BALANCE,
            "More than is owed for this payment.",
            balance={"minor": balance.owed, "currency": currency},
        )
    if wanted <= 0:
        raise Refused(ErrorCode.INVALID_MONEY, "A repayment is more than nothing.")
    return Money(minor=wanted, currency=currency)


async def _enter(cursor: Cursor, opening: Opening, amount: Money, balance: Balance) -> Opened:
    is_link = opening.kind is RepaymentKind.LINK
    row: dict[str, Any] = {
        **{name: getattr(opening, name) for name in ("object_id", "number", "actor", "comment", "at")},
        **{name: getattr(opening, name) for name in ("method", "received_as", "received_on")},
        **{name: getattr(opening, name) for name in ("token_hash", "expires_at")},
        "id": opening.repayment_id,
        "kind": opening.kind.value,
        "amount_minor": amount.minor,
        "currency": amount.currency,
        "status": "open" if is_link else "paid",
        "reason": "opened" if is_link else "received",
        "paid_minor": 0 if is_link else amount.minor,
        "event_key": None,
    }
    if is_link and balance.on_its_way:
        raise Refused(
            ErrorCode.LIVE_ATTEMPT_EXISTS, "An earlier link is being paid: its outcome comes first."
        )
    closed = await _close_links(cursor, row, "newer_link") if is_link else ()
    await cursor.execute(_INSERT, row)
    if is_link:
        expires = opening.expires_at.isoformat() if opening.expires_at else None
        await _tell(cursor, row, "repayment.opened", "opened", expires_at=expires)
        return Opened("opened", opening.repayment_id, amount, closed)
    await _receive(cursor, row)
    after = await show_balance(cursor, opening.object_id, opening.number)
    await _tell(
        cursor,
        row,
        "payment.repaid",
        "succeeded",
        method=opening.method,
        payment_state=after.payment_state,
        owed_minor=after.owed,
    )
    if not after.owed and not after.on_its_way:
        closed = await _close_links(cursor, row, "repaid")
    return Opened("opened", opening.repayment_id, amount, closed)


async def _receive(cursor: Cursor, row: dict[str, Any]) -> None:
    """Attempt and ledger of money that came otherwise: it is in `cash`, of which the gateway knows nothing."""
    await cursor.execute(_CHARGE, row)
    charge = await cursor.fetchone()
    assert charge is not None, "a payment that was charged back was settled"
    reference = f"{row['object_id']}/{row['number']}/receipt/{row['id']}"
    receipt = {"key": idempotency_key("receipt", reference), "reference": reference}
    await cursor.execute(_RECEIPT, row | charge | receipt)


async def _close_links(cursor: Cursor, row: dict[str, Any], why: str) -> tuple[str, ...]:
    await cursor.execute(_CLOSE_LINKS, row | {"why": why})
    closed = await cursor.fetchall()
    for link in closed:
        await _tell(cursor, row | link, "repayment.canceled", "canceled", reason=why)
    return tuple(link["id"] for link in closed)


async def _tell(cursor: Cursor, row: dict[str, Any], topic: str, outcome: str, **facts: Any) -> None:
    """History, and the outbox of what services must know."""
    told = {
        "repayment_id": row["id"],
        "outcome": outcome,
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        **{name: value for name, value in facts.items() if value is not None},
    }
    await cursor.execute(_TELL, row | {"topic": topic, "facts": json.dumps(told)})


class Happening(Protocol):
    """`activities.contracts.repayments.RecordRepayment` fits."""

    @property
    def repayment_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def event_key(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def to(self) -> RepaymentStatus | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def reminder(self) -> int | None: ...


async def record_repayment(db: Database, happening: Happening) -> tuple[RepaymentStatus, str]:
    """Write down a reminder of a link, or its end; nothing of one that has ended.

    Returns:
        its status and reason afterwards.
    """
    async with db.transaction() as cursor:
        await cursor.execute(_FIND, {"id": happening.repayment_id})
        row = await cursor.fetchone()
        assert row is not None, "what is recorded was opened"
        await lock_payment(cursor, row["object_id"], row["number"])
        await cursor.execute(_FIND, {"id": happening.repayment_id})
        row = await cursor.fetchone()
        assert row is not None
        event = {name: getattr(happening, name) for name in ("at", "actor", "comment", "event_key")}
        await cursor.execute(_IS_RECORDED, event)
        if await cursor.fetchone() is None and row["status"] == "open":
            row = await _record(cursor, row | event, happening)
        return RepaymentStatus(row["status"]), str(row["reason"])


async def _record(cursor: Cursor, row: dict[str, Any], happening: Happening) -> dict[str, Any]:
    if happening.to is None:
        await cursor.execute(_REMIND, row | {"reminder": happening.reminder})
        expires = row["expires_at"].isoformat()
        facts = {"reminder": happening.reminder, "expires_at": expires}
        await _tell(cursor, row, "repayment.reminder", "reminder", **facts)
        return row
    to, reason = happening.to.value, happening.reason
    await cursor.execute(_END, row | {"to": to, "reason": reason})
    await _tell(cursor, row, f"repayment.{to}", to, reason=reason)
    return row | {"status": to, "reason": reason}
