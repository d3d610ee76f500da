"""The inbox of webhooks: stored before they are answered, handed over afterwards (spec: charging.md §4).

A row is *claimed* before anybody is told: its next try is put off by a growing pause, in the same statement. Whoever
dies in between leaves a row that is due again later, and no two hand over the same one at once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, LiteralString

from db.engine import Database
from domain.notices import (
    TRIES_MAX,
    GatewayNotice,
    is_being_asked,
    is_decided,
    pause_after,
    workflow_concerned,
)

KEPT: Final = timedelta(days=30)
"""How long a handled row is kept."""
_ERROR_CHARACTERS_MAX: Final = 200

Handled = Literal["told", "nobody_waits", "decided", "unaddressed"]
Tell = Callable[[str, GatewayNotice], Awaitable[bool]]
"""Signal a workflow, by its id; False when no such workflow is running."""

_logger = logging.getLogger(__name__)

_STORE: Final[LiteralString] = """
INSERT INTO webhook_inbox (gateway, event_id, kind, reference, gateway_id, body)
VALUES (%(gateway)s, %(event_id)s, %(kind)s, %(reference)s, %(gateway_id)s, %(body)s)
ON CONFLICT (gateway, event_id) DO NOTHING
RETURNING id
"""

# An attempt's state is read in the same statement: whether its workflow must be woken depends on it.
_CLAIM: Final[LiteralString] = """
WITH due AS (
    SELECT id FROM webhook_inbox
    WHERE state = 'waiting' AND attempts < %(tries_max)s AND next_at <= clock_timestamp()
        AND (%(id)s::bigint IS NULL OR id = %(id)s::bigint)
    ORDER BY next_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE webhook_inbox AS w SET attempts = w.attempts + 1,
    next_at = clock_timestamp()
        + make_interval(secs => (%(pauses)s::float8[])[least(w.attempts + 1, cardinality(%(pauses)s::float8[]))])
FROM due WHERE w.id = due.id
RETURNING w.id, w.gateway_id, w.reference, w.attempts,
    (SELECT a.state FROM attempts a WHERE a.reference = w.reference) AS attempt_state,
    (SELECT d.id FROM deposits d WHERE d.order_id = split_part(w.reference, '/', 1)
        AND d.number::text = split_part(w.reference, '/', 2)) AS deposit_id
"""

_HANDLED: Final[LiteralString] = """
UPDATE webhook_inbox SET state = %(state)s, handled_at = clock_timestamp(), last_error = ''
WHERE id = %(id)s AND state = 'waiting'
"""

_FAILED: Final[LiteralString] = """
UPDATE webhook_inbox SET last_error = %(error)s WHERE id = %(id)s AND state = 'waiting'
"""

_PARK: Final[LiteralString] = """
WITH parked AS (
    UPDATE webhook_inbox SET state = 'parked'
    WHERE state = 'waiting' AND attempts >= %(tries_max)s AND next_at <= clock_timestamp()
    RETURNING id
) SELECT count(*)::int AS parked FROM parked
"""

_UNPARK: Final[LiteralString] = """
WITH again AS (
    UPDATE webhook_inbox SET state = 'waiting', attempts = 0, next_at = clock_timestamp() WHERE state = 'parked'
    RETURNING id
) SELECT count(*)::int AS again FROM again
"""

_HAS_OLD: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM webhook_inbox WHERE handled_at < clock_timestamp() - %(kept)s) AS old
"""

_CLEAR_OUT: Final[LiteralString] = """
WITH old AS (
    SELECT id FROM webhook_inbox WHERE handled_at < clock_timestamp() - %(kept)s LIMIT %(limit)s
), gone AS (
    DELETE FROM webhook_inbox USING old WHERE webhook_inbox.id = old.id RETURNING webhook_inbox.id
) SELECT count(*)::int AS gone FROM gone
"""

_PAUSES: Final = [pause_after(tries).total_seconds() for tries in range(1, TRIES_MAX + 1)]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that is ours for the pause.

    Attributes:
        attempt_state: of the attempt under its reference; None: there is none.
        deposit_id: of the slip asked for under that payment number; None: it was no slip.
    """

    id: int
    gateway_id: str
    reference: str
    attempts: int
    attempt_state: str | None
    deposit_id: str | None


async def store(
    db: Database, *, gateway: str, event_id: str, kind: str, reference: str, gateway_id: str, body: bytes
) -> int | None:
    """Put a verified webhook into the inbox; committed when this returns.

    Args:
        db: the database.
        gateway: its name.
        event_id: the gateway's; empty: the body itself tells one event from another.
        kind: the gateway's word.
        reference: ours; empty when it names none.
        gateway_id: of the object it is about; empty when it names none.
        body: as it came.

    Returns:
        the row's id; None, and nothing changes, for a repetition.

    Raises:
        TeikiError: `database_unavailable`.
    """
    row = await db.fetch_one(
        _STORE,
        {
            "gateway": gateway,
            "event_id": event_id or f"sha256:{hashlib.sha256(body).hexdigest()}",
            "kind": kind,
            "reference": reference,
            "gateway_id": gateway_id,
            "body": body,
        },
    )
    return None if row is None else int(row["id"])


async def claim(db: Database, *, limit: int, only: int | None = None) -> list[Claimed]:
    """The rows whose turn it is, oldest turn first; their next turn is a growing pause away.

    Args:
        db: the database.
        limit: the most rows.
        only: the id of the one row that is wanted.
    """
    parameters = {"limit": limit, "id": only, "tries_max": TRIES_MAX, "pauses": _PAUSES}
    async with db.connection() as driver:
        cursor = await driver.execute(_CLAIM, parameters, prepare=True)
        return [Claimed(*row) for row in await cursor.fetchall()]


async def hand_over(db: Database, row: Claimed, tell: Tell) -> bool:
    """Let the workflow concerned hear of a claimed row.

    Returns:
        True when the row is done with; False: it is tried again after its pause.

    Raises:
        TeikiError: `database_unavailable`; the row is due again after its pause.
    """
    try:
        state = await _hand_over(row, tell)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is stored for people and tried again
        code = getattr(getattr(error, "code", None), "value", type(error).__name__)
        _logger.warning("a webhook could not be handed over", extra={"inbox_id": row.id, "code": code})
        await db.fetch_one(
            _FAILED + " RETURNING id", {"id": row.id, "error": str(code)[:_ERROR_CHARACTERS_MAX]}
        )
        return False
    if state is None:
        return False
    await db.fetch_one(_HANDLED + " RETURNING id", {"id": row.id, "state": state})
    return True


async def _hand_over(row: Claimed, tell: Tell) -> Handled | None:
    workflow_id = workflow_concerned(row.reference, deposit_id=row.deposit_id)
    if workflow_id is None:
        return "unaddressed"
    # A slip that was paid or voided can be paid once more at a till: its workflow hears of everything.
    if is_decided(row.attempt_state) and row.deposit_id is None:
        return "decided"
    if is_being_asked(row.attempt_state):
        return None
    heard = await tell(workflow_id, GatewayNotice(gateway_id=row.gateway_id, reference=row.reference))
    return "told" if heard else "nobody_waits"


async def park(db: Database) -> int:
    """Leave those alone that were tried often enough; says how many."""
    row = await db.fetch_one(_PARK, {"tries_max": TRIES_MAX})
    return 0 if row is None else int(row["parked"])


async def unpark(db: Database) -> int:
    """Try the parked ones anew; says how many."""
    row = await db.fetch_one(_UNPARK, {})
    return 0 if row is None else int(row["again"])


async def has_old(db: Database) -> bool:
    """Whether handled rows are older than they should be kept."""
    row = await db.fetch_one(_HAS_OLD, {"kept": KEPT})
    return row is not None and bool(row["old"])


async def clear_out(db: Database, *, limit: int) -> int:
    """Delete handled rows older than `KEPT`, with their bodies; says how many."""
    row = await db.fetch_one(_CLEAR_OUT, {"kept": KEPT, "limit": limit})
    return 0 if row is None else int(row["gone"])
