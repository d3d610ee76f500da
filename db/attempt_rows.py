"""An attempt's row, whatever its purpose: how it begins, what is noted of it, and how it is given up.

Shared by `db.attempts` (charges) and `db.refunds`. A row is written before the gateway is called and says afterwards
what is known; it leaves the open states once and for ever (spec: charging.md §2).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from db.engine import Database
from domain.errors import ErrorCode, TeikiError

AttemptStateName = Literal[
    "sent", "unsent", "unknown", "pending", "attention", "settled", "declined", "abandoned"
]
OpenStateName = Literal["unsent", "unknown", "pending", "attention"]

TRIES_MAX: Final = 5
Fetch = Callable[[Database, LiteralString, Mapping[str, Any]], Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """May the request go out?

    Attributes:
        outcome: `new`: send it now; `existing`: it was begun before, ask the gateway instead of sending;
            `blocked`: nothing may be sent; `nothing_left`: there is nothing to return.
        state: of the attempt as it stands; None when there is none (`blocked`).
        decline: why it was declined; with `blocked` the block's code.
        token: the gateway's token to charge; never logged.
        charge_id: the gateway's id of the charge to be refunded; refunds only.
        payment_state: of the payment, after this call.
        sent_at: when it was first sent, in the subscription's time.
        needs_verification: there was a doubt on the way to its outcome (charging.md §2.5).
        amount_minor: minor units of `currency`, as first written.
    """

    outcome: Literal["new", "existing", "blocked", "nothing_left"]
    state: AttemptStateName | None = None
    decline: str | None = None
    token: str | None = field(default=None, repr=False)
    gateway_id: str | None = None
    charge_id: str | None = None
    payment_state: str | None = None
    sent_at: datetime | None = None
    resolved_at: datetime | None = None
    needs_verification: bool = False
    amount_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt as the database knows it. Amounts in minor units; `needs_verification`: see charging.md §2.5."""

    key: str
    object_id: str
    number: int
    attempt: int
    purpose: Literal["charge", "refund", "twin", "chargeback", "repayment", "receipt"]
    reference: str
    state: AttemptStateName
    payment_method_id: str
    amount_minor: int
    currency: str
    sent_at: datetime
    resolved_at: datetime | None
    decline: str | None
    gateway_code: str | None
    gateway_id: str | None
    hint: str
    idempotency_check_failed: bool
    needs_verification: bool
    returns: str | None
    credit_id: str | None


_READ: Final[LiteralString] = """
SELECT key, object_id, number, attempt, purpose, reference, state, payment_method_id, amount_minor, currency,
       sent_at, resolved_at, decline, gateway_code, gateway_id, hint, idempotency_check_failed, needs_verification,
       returns, credit_id
FROM attempts WHERE key = %(key)s
"""

_NOTE: Final[LiteralString] = """
UPDATE attempts SET
    state = %(state)s,
    gateway_id = COALESCE(%(gateway_id)s, gateway_id),
    needs_verification = needs_verification OR %(doubtful)s OR %(state)s = 'unknown',
    hint = CASE WHEN %(hint)s = '' THEN hint ELSE %(hint)s END
WHERE key = %(key)s
  AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
  -- A resend that the gateway would not take says nothing about the first request.
  AND (%(state)s <> 'unsent' OR state IN ('sent', 'unsent'))
RETURNING key
"""

_VERIFIED: Final[LiteralString] = """
UPDATE attempts SET needs_verification = false, verified_at = %(at)s WHERE key = %(key)s RETURNING key
"""

# FOR SHARE, as where the intent is written: a charge is not sent again after a block has committed. By the card it was
# sent with first. Money that goes home is not held back.
_CLAIM_RESEND: Final[LiteralString] = """
WITH who AS (
    SELECT a.key,
           CASE WHEN a.purpose NOT IN ('charge', 'repayment') THEN NULL
                WHEN c.blocked_at IS NOT NULL THEN 'customer_blocked'
                WHEN m.blocked_at IS NOT NULL THEN 'payment_method_blocked' END AS blocked
    FROM attempts a
    JOIN payment_methods m ON m.id = a.payment_method_id
    JOIN customers c ON c.id = m.customer_id
    WHERE a.key = %(key)s
    FOR SHARE OF c, m
), claimed AS (
    UPDATE attempts a SET resend_turn = %(turn)s
    FROM who
    WHERE a.key = who.key AND who.blocked IS NULL AND a.resend_turn < %(turn)s AND a.state IN ('sent', 'unknown')
    RETURNING a.key
)
SELECT who.blocked, EXISTS (SELECT FROM claimed) AS claimed FROM who
"""

_ABANDON: Final[LiteralString] = """
WITH attempt AS (
    UPDATE attempts a SET state = 'abandoned', resolved_at = %(at)s, decline = %(decline)s
    -- Not one that somebody sends in this instant.
    WHERE key = %(key)s AND state = 'unsent'
    RETURNING object_id, number, attempt, purpose
), payment AS (
    UPDATE payments p SET state = 'failed'
    FROM attempt a
    WHERE a.purpose = 'charge' AND p.object_id = a.object_id AND p.number = a.number
      AND p.state = 'collecting' AND (left(a.object_id, 4) = 'ord_'
           OR EXISTS (SELECT FROM subscriptions s WHERE s.id = a.object_id AND s.status IN ('canceled', 'completed')))
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, CASE purpose WHEN 'repayment' THEN 'repayment' ELSE 'payment' END, %(at)s, 'system', number,
           jsonb_strip_nulls(jsonb_build_object('attempt', attempt, 'outcome', 'abandoned',
                                                'decline', %(decline)s::text))
    FROM attempt
)
SELECT 1 AS changed FROM attempt
"""


async def begin_with(
    db: Database,
    sql: LiteralString,
    parameters: Mapping[str, Any],
    judge: Callable[[dict[str, Any] | None, Mapping[str, Any]], Begun | None],
    *,
    fetch: Fetch | None = None,
) -> Begun:
    """Run a statement that writes or finds an attempt's row; again while somebody else writes in the same instant.

    `judge` reads what the statement found; None: look again. `fetch` runs it; None: by itself, as one transaction.
    """
    for _ in range(TRIES_MAX):
        found = await (fetch(db, sql, parameters) if fetch else db.fetch_one(sql, parameters))
        begun = judge(found, parameters)
        if begun is not None:
            return begun
    raise TeikiError(
        ErrorCode.DATABASE_UNAVAILABLE,
        "The attempt kept changing under our hands; try again.",
        key=parameters["key"],
    )


async def read_attempt(db: Database, key: str) -> AttemptRow | None:
    """The attempt's row, or None when it was never begun."""
    row = await db.fetch_one(_READ, {"key": key})
    return AttemptRow(**row) if row else None


async def attempt_state(db: Database, key: str) -> AttemptStateName | None:
    """The state alone; None when it was never begun."""
    row = await read_attempt(db, key)
    return row.state if row else None


async def note_attempt(
    db: Database,
    *,
    key: str,
    state: OpenStateName,
    gateway_id: str | None = None,
    hint: str = "",
    doubtful: bool = False,
) -> bool:
    """Write down what is known of an attempt that has no outcome yet; a doubt, once there, stays until verified.

    Returns:
        False, and nothing changes, when it has an outcome already, or when `unsent` is said of an attempt
        whose first request may have arrived.
    """
    parameters = {"key": key, "state": state, "gateway_id": gateway_id, "hint": hint, "doubtful": doubtful}
    return await db.fetch_one(_NOTE, parameters) is not None


async def note_verified(db: Database, *, key: str, at: datetime) -> bool:
    """The gateway's book was looked at once more and holds nothing open under this reference."""
    return await db.fetch_one(_VERIFIED, {"key": key, "at": at}) is not None


@dataclass(frozen=True, slots=True)
class ResendClaim:
    """May it be sent once more?

    Attributes:
        taken: yes, by this run; False: another run has this turn and may have sent.
        blocked: the decline code of a block, by which it is never sent again.
    """

    taken: bool
    blocked: str | None = None


async def claim_resend(db: Database, *, key: str, turn: int) -> ResendClaim:
    """Take the right to send an unknown attempt once more; each turn gives it once, a block takes it away."""
    row = await db.fetch_one(_CLAIM_RESEND, {"key": key, "turn": turn})
    return ResendClaim(taken=row["claimed"], blocked=row["blocked"]) if row else ResendClaim(taken=False)


async def abandon_attempt(db: Database, *, key: str, at: datetime, decline: str) -> bool:
    """Let go of an attempt that never left and may not leave any more; it would stand in the way of the next one.

    Args:
        db: the database.
        key: the attempt's idempotency key.
        at: the instant of giving up, in the subscription's time.
        decline: why it may not leave (`customer_blocked`, `payment_method_blocked`).

    Returns:
        False, and nothing changes, when it is abandoned already.

    Raises:
        TeikiError: `invalid_status` when it left after all or has an outcome, `payment_not_found` when it was never
            begun.
    """
    parameters = {"key": key, "at": at, "decline": decline}
    changed = await db.fetch_one(_ABANDON, parameters)
    return changed is not None or await unchanged(db, key, wanted="abandoned")


async def unchanged(db: Database, key: str, *, wanted: AttemptStateName) -> bool:
    """Why a resolution changed nothing: False when it had been made before; anything else is an incident."""
    state = await attempt_state(db, key)
    if state == wanted:
        return False
    if state is None:
        raise TeikiError(ErrorCode.PAYMENT_NOT_FOUND, "No attempt was begun under this key.", key=key)
    raise TeikiError(
        ErrorCode.INVALID_STATUS,
        f"This attempt is {state}; it cannot become {wanted} any more.",
        key=key,
        status=state,
        wanted=wanted,
    )


def live_attempt_exists(row: dict[str, Any], key: str) -> TeikiError:
    return TeikiError(
        ErrorCode.LIVE_ATTEMPT_EXISTS,
        "Another attempt of this payment is live: its outcome comes first.",
        key=key,
        live_key=row["live_key"],
        payment_state=row["payment_state"],
    )
