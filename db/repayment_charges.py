"""The charge of a repayment link: its attempt before the call, and everything that its success changes.

The same rows and states as for every movement of money, under the lock of the payment's row: what is on its way counts
as if it had come, so that nothing else can be asked for meanwhile (spec: charging.md §2, customers.md §4).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, LiteralString

from db.attempt_rows import Begun, unchanged
from db.balances import lock_payment
from db.engine import Database
from db.repayment_balance import balance_of, show_balance
from db.requests import Cursor
from domain.declines import DeclineCode

_LINK: Final[LiteralString] = """
SELECT id, object_id, number, status, amount_minor, currency FROM repayments WHERE id = %(id)s
"""
_WHO: Final[LiteralString] = """
SELECT m.token, CASE WHEN c.blocked_at IS NOT NULL THEN 'customer_blocked'
                     WHEN m.blocked_at IS NOT NULL THEN 'payment_method_blocked' END AS blocked
FROM payers s JOIN customers c ON c.id = s.customer_id
JOIN payment_methods m ON m.id = %(payment_method_id)s AND m.customer_id = c.id
WHERE s.id = %(object_id)s FOR SHARE OF c, m
"""
_EARLIER: Final[LiteralString] = """
SELECT a.state, a.decline, a.gateway_id, a.sent_at, a.resolved_at, a.needs_verification, a.amount_minor, a.currency,
       m.token
FROM attempts a JOIN payment_methods m ON m.id = a.payment_method_id WHERE a.key = %(key)s
"""
_ISSUE: Final[LiteralString] = """
INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id, amount_minor,
    currency, sent_at, returns)
VALUES (%(key)s, %(object_id)s, %(number)s, %(attempt)s, 'repayment', %(reference)s, 'sent', %(payment_method_id)s,
    %(amount_minor)s, %(currency)s, %(at)s, %(id)s)
"""
_REVIVE: Final[LiteralString] = "UPDATE attempts SET state = 'sent', sent_at = %(at)s WHERE key = %(key)s"
_SETTLE: Final[LiteralString] = """
UPDATE attempts SET state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s,
    idempotency_check_failed = %(check_failed)s,
    needs_verification = needs_verification OR %(doubtful)s OR %(check_failed)s
WHERE key = %(key)s AND purpose = 'repayment' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
RETURNING amount_minor, currency
"""
_LEDGER: Final[LiteralString] = """
INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
VALUES (%(key)s, 'repayment', 'gateway_receivable', 'repayments', %(amount_minor)s, %(currency)s, %(at)s)
"""
_PAID: Final[LiteralString] = """
UPDATE repayments SET status = 'paid', reason = 'paid', paid_minor = %(amount_minor)s, updated_at = %(at)s
WHERE id = %(id)s
"""
_DECLINE: Final[LiteralString] = """
UPDATE attempts SET state = 'declined', resolved_at = %(at)s, decline = %(decline)s, gateway_code = %(gateway_code)s,
    gateway_id = COALESCE(%(gateway_id)s, gateway_id), needs_verification = needs_verification OR %(doubtful)s
WHERE key = %(key)s AND purpose = 'repayment' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
RETURNING amount_minor, currency
"""
_NEW_FORM: Final[LiteralString] = (
    "UPDATE repayments SET form_id = NULL, updated_at = %(at)s WHERE id = %(id)s"
)
_TELL: Final[LiteralString] = """
WITH who AS (
    SELECT 'customer:' || customer_id AS actor FROM payers WHERE id = %(object_id)s
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT %(object_id)s, 'repayment', %(at)s, actor, %(number)s, %(facts)s::jsonb FROM who
)
INSERT INTO outbox (topic, subject_id, payload)
VALUES (%(topic)s, %(object_id)s,
        %(facts)s::jsonb || object_named(%(object_id)s) || jsonb_build_object('number', %(number)s::integer))
"""


async def begin_repayment(
    db: Database,
    *,
    key: str,
    reference: str,
    repayment_id: str,
    attempt: int,
    payment_method_id: str,
    at: datetime,
    resend_unsent: bool = False,
) -> Begun:
    """Write the attempt down before the gateway is called, unless it must not be sent.

    It charges what the link asks for, and never more than is owed at this moment. `blocked` with `nothing_owed` when
    the link was closed or the rest came otherwise.
    """
    asked: dict[str, Any] = {"key": key, "reference": reference, "attempt": attempt, "at": at}
    asked["id"] = repayment_id
    async with db.transaction() as cursor:
        link = await _one(cursor, _LINK, asked)
        assert link is not None, "what is charged was opened"
        await lock_payment(cursor, link["object_id"], link["number"])
        link = await _one(cursor, _LINK, asked)
        assert link is not None
        asked |= link | {"payment_method_id": payment_method_id}
        earlier = await _one(cursor, _EARLIER, asked)
        blocked = await _blocked(cursor, asked)
        if earlier is not None:
            return await _again(cursor, asked, earlier, blocked[0], resend_unsent=resend_unsent)
        owed = (await balance_of(cursor, link["object_id"], link["number"])).owed
        why = blocked[0] or (None if link["status"] == "open" and owed else DeclineCode.NOTHING_OWED.value)
        if why is not None:
            return Begun(outcome="blocked", decline=why)
        amount_minor = min(int(link["amount_minor"]), owed)
        asked["amount_minor"] = amount_minor
        await cursor.execute(_ISSUE, asked)
        return Begun(
            outcome="new",
            state="sent",
            token=blocked[1],
            sent_at=at,
            amount_minor=amount_minor,
            currency=link["currency"],
        )


async def _blocked(cursor: Cursor, asked: dict[str, Any]) -> tuple[str | None, str | None]:
    """Why the card must not be charged, and its token. A card that is nobody's, or another's, counts as blocked."""
    who = await _one(cursor, _WHO, asked)
    if who is None:
        return DeclineCode.PAYMENT_METHOD_BLOCKED.value, None
    return who["blocked"], who["token"]


async def _again(
    cursor: Cursor,
    asked: dict[str, Any],
    earlier: dict[str, Any],
    blocked: str | None,
    *,
    resend_unsent: bool,
) -> Begun:
    """The attempt was begun before: it is asked about, unless it surely never left and may leave now."""
    if earlier["state"] == "unsent" and resend_unsent:
        if blocked is not None:
            return Begun(outcome="blocked", state="unsent", decline=blocked)
        await cursor.execute(_REVIVE, asked)
        return Begun(outcome="new", **(earlier | {"state": "sent", "sent_at": asked["at"]}))
    return Begun(outcome="existing", **earlier)


async def settle_repayment(
    db: Database,
    *,
    key: str,
    repayment_id: str,
    gateway_id: str,
    at: datetime,
    idempotency_check_failed: bool = False,
    doubtful: bool = False,
) -> bool:
    """The money came: attempt, link, ledger (debit gateway receivable, credit repayments), payment, history, outbox.

    Returns:
        False, and nothing changes, when it is settled already.
    """
    asked: dict[str, Any] = {
        "key": key,
        "id": repayment_id,
        "gateway_id": gateway_id,
        "at": at,
        "check_failed": idempotency_check_failed,
        "doubtful": doubtful,
    }
    async with db.transaction() as cursor:
        link = await _locked(cursor, asked)
        settled = await _one(cursor, _SETTLE, asked)
        if settled is not None:
            paid = asked | link | settled
            await cursor.execute(_LEDGER, paid)
            await cursor.execute(_PAID, paid)
            balance = await show_balance(cursor, link["object_id"], link["number"])
            facts = {"payment_state": balance.payment_state, "owed_minor": balance.owed, "method": "link"}
            await _tell(cursor, paid, "payment.repaid", outcome="succeeded", gateway_id=gateway_id, **facts)
    return settled is not None or await unchanged(db, key, wanted="settled")


async def decline_repayment(
    db: Database,
    *,
    key: str,
    repayment_id: str,
    decline: str,
    at: datetime,
    gateway_code: str = "",
    gateway_id: str | None = None,
    doubtful: bool = False,
) -> bool:
    """A definite no. The link stays open, for another card on a new form.

    Returns:
        False, and nothing changes, when it is declined already.
    """
    asked: dict[str, Any] = {
        "key": key,
        "id": repayment_id,
        "decline": decline,
        "gateway_code": gateway_code or None,
        "gateway_id": gateway_id,
        "at": at,
        "doubtful": doubtful,
    }
    async with db.transaction() as cursor:
        link = await _locked(cursor, asked)
        declined = await _one(cursor, _DECLINE, asked)
        if declined is not None:
            failed = asked | link | declined
            await cursor.execute(_NEW_FORM, failed)
            await _tell(cursor, failed, "repayment.failed", outcome="failed", decline=decline)
    return declined is not None or await unchanged(db, key, wanted="declined")


async def _locked(cursor: Cursor, asked: dict[str, Any]) -> dict[str, Any]:
    link = await _one(cursor, _LINK, asked)
    assert link is not None
    await lock_payment(cursor, link["object_id"], link["number"])
    return link


async def _tell(cursor: Cursor, row: dict[str, Any], topic: str, **facts: Any) -> None:
    told = {
        "repayment_id": row["id"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        **facts,
    }
    await cursor.execute(_TELL, row | {"topic": topic, "facts": json.dumps(told)})


async def _one(cursor: Cursor, sql: LiteralString, parameters: dict[str, Any]) -> dict[str, Any] | None:
    await cursor.execute(sql, parameters)
    return await cursor.fetchone()
