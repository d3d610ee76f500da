"""What a reconciliation reads of our books, batch by batch, and the report it leaves.

Batches find their rows by primary keys and unique indexes, so that a run costs what its window holds, not what the
tables hold. All instants are the database's own clock: a subscription may live in another time (charging.md §2.6).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from db.engine import Database
from domain.reconciliation import Attempt, Booking

BATCH: Final = 1_000

_BOOKINGS: Final[LiteralString] = """
    (SELECT COALESCE(jsonb_agg(jsonb_build_object(
        'kind', l.kind, 'currency', l.currency,
        'net', CASE WHEN l.debit_account = 'gateway_receivable' THEN l.amount_minor ELSE 0 END
             - CASE WHEN l.credit_account = 'gateway_receivable' THEN l.amount_minor ELSE 0 END) ORDER BY l.id), '[]')
     FROM ledger l WHERE l.attempt_key = a.key) AS bookings
"""
_COLUMNS: Final[LiteralString] = (
    "a.key, a.object_id, a.number, a.purpose, a.reference, a.state, a.amount_minor AS minor, a.currency,"
    " a.gateway_id, a.returns, a.recorded_at > %(judged_until)s AS is_young,"
)
_OF_PAYMENTS: Final[LiteralString] = (
    "SELECT "
    + _COLUMNS + _BOOKINGS + """
FROM attempts a JOIN unnest(%(subjects)s::text[], %(numbers)s::integer[]) AS p (subject_id, number)
    ON a.object_id = p.subject_id AND a.number = p.number
UNION
SELECT """ + _COLUMNS + _BOOKINGS + """
FROM attempts a WHERE a.state = 'settled' AND a.gateway_id = ANY(%(gateway_ids)s)
"""
)  # fmt: skip
_BOOKED: Final[LiteralString] = (
    "SELECT l.id AS entry_id, l.kind AS entry_kind, l.recorded_at AS booked_at, "
    + _COLUMNS + _BOOKINGS + """
FROM ledger l JOIN attempts a ON a.key = l.attempt_key
WHERE l.id > %(after_id)s AND l.recorded_at <= %(until)s
ORDER BY l.id LIMIT %(limit)s
"""
)  # fmt: skip
# Backwards from the newest: costs what is newer than `since`.
_LAST_BEFORE: Final[LiteralString] = (
    "SELECT id FROM ledger WHERE recorded_at < %(since)s ORDER BY id DESC LIMIT 1"
)
_UNBOOKED: Final[LiteralString] = (
    "SELECT " + _COLUMNS + _BOOKINGS + """
FROM attempts a
WHERE a.state = 'settled' AND a.recorded_at BETWEEN %(since)s AND %(judged_until)s
  AND NOT EXISTS (SELECT FROM ledger l WHERE l.attempt_key = a.key)
ORDER BY a.key LIMIT %(limit)s
"""  # noqa: S608 - constants of ours, no input
)  # fmt: skip
_STUCK: Final[LiteralString] = (
    "SELECT a.recorded_at, " + _COLUMNS + _BOOKINGS + """
FROM attempts a
WHERE a.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
  AND (a.state IN ('sent', 'unknown') AND a.recorded_at <= %(judged_until)s
       OR a.state IN ('unsent', 'pending') AND a.recorded_at <= %(decided_by)s
          -- A slip is pending until its deadline, which is when its payment is due.
          AND NOT EXISTS (SELECT FROM payments p WHERE p.object_id = a.object_id AND p.number = a.number
                          AND p.due_at > %(decided_by)s))
ORDER BY a.recorded_at LIMIT %(limit)s
"""  # noqa: S608 - constants of ours, no input
)  # fmt: skip
_WINDOW: Final[LiteralString] = """
SELECT clock_timestamp() AS now,
       (SELECT until FROM reconciliations WHERE gateway = %(gateway)s ORDER BY until DESC LIMIT 1) AS last_until
"""
_STORE: Final[LiteralString] = """
INSERT INTO reconciliations (gateway, since, until, started_at, finished_at, report)
SELECT %(gateway)s, %(since)s, %(until)s, %(until)s, clock_timestamp(), %(report)s::jsonb
WHERE NOT EXISTS (SELECT FROM reconciliations WHERE gateway = %(gateway)s AND since = %(since)s AND until = %(until)s)
RETURNING id
"""
# One page of those that the books show as running, by id.
_ALL_RUNNING: Final[LiteralString] = """(
    SELECT id, status FROM subscriptions WHERE status NOT IN ('canceled', 'completed') OR next_at IS NOT NULL
    UNION ALL
    SELECT id, status FROM orders WHERE status NOT IN ('canceled', 'expired') OR next_at IS NOT NULL
    UNION ALL
    SELECT id, status FROM deposits WHERE status IN ('requested', 'issued', 'preliminary')
    UNION ALL
    SELECT id, status FROM credits WHERE status = 'open'
    UNION ALL
    SELECT id, status FROM repayments WHERE status = 'open'
) AS running
"""
_RUNNING: Final[LiteralString] = (
    "SELECT id, status FROM " + _ALL_RUNNING + "WHERE id > %(after_id)s ORDER BY id LIMIT %(limit)s"  # noqa: S608 - as above
)
_STILL_RUNNING: Final[LiteralString] = "SELECT status FROM " + _ALL_RUNNING + "WHERE id = %(id)s"  # noqa: S608 - as above


class Booked(NamedTuple):
    """A ledger entry and the attempt that caused it."""

    entry_id: int
    kind: str
    booked_at: datetime
    attempt: Attempt


class Clock(NamedTuple):
    """The database's now, and where this gateway's last finished reconciliation ended."""

    now: datetime
    last_until: datetime | None


async def read_clock(db: Database, gateway: str) -> Clock:
    row = await db.fetch_one(_WINDOW, {"gateway": gateway})
    assert row is not None
    return Clock(row["now"], row["last_until"])


async def attempts_of(
    db: Database,
    *,
    payments: Iterable[tuple[str, int]],
    gateway_ids: Sequence[str],
    judged_until: datetime,
) -> list[Attempt]:
    """All attempts of these payments, and those that name these movements as theirs."""
    distinct = sorted(set(payments))
    parameters = {
        "subjects": [subject for subject, _ in distinct],
        "numbers": [number for _, number in distinct],
        "gateway_ids": list(gateway_ids),
        "judged_until": judged_until,
    }
    return [_attempt(row) for row in await _rows(db, _OF_PAYMENTS, parameters)]


async def last_entry_before(db: Database, since: datetime) -> int:
    """The ledger entry after which the window begins; 0: at the beginning."""
    row = await db.fetch_one(_LAST_BEFORE, {"since": since})
    return int(row["id"]) if row else 0


async def booked_after(
    db: Database, after_id: int, *, until: datetime, judged_until: datetime, limit: int = BATCH
) -> list[Booked]:
    """The next ledger entries, oldest first, that were recorded by `until`."""
    parameters = {"after_id": after_id, "until": until, "judged_until": judged_until, "limit": limit}
    return [
        Booked(row["entry_id"], row["entry_kind"], row["booked_at"], _attempt(row))
        for row in await _rows(db, _BOOKED, parameters)
    ]


async def settled_unbooked(
    db: Database, *, since: datetime, judged_until: datetime, limit: int = BATCH
) -> list[Attempt]:
    """Settled attempts of the window without any ledger entry."""
    parameters = {"since": since, "judged_until": judged_until, "limit": limit}
    return [_attempt(row) for row in await _rows(db, _UNBOOKED, parameters)]


async def stuck_attempts(
    db: Database, *, judged_until: datetime, decided_by: datetime, limit: int = BATCH
) -> list[tuple[Attempt, datetime]]:
    """Attempts without an outcome beyond their time, with the instant they were written down."""
    parameters = {"judged_until": judged_until, "decided_by": decided_by, "limit": limit}
    return [(_attempt(row), row["recorded_at"]) for row in await _rows(db, _STUCK, parameters)]


async def running_after(db: Database, after_id: str, *, limit: int) -> list[tuple[str, str]]:
    """The next subscriptions, orders, slips and credits, by id, that the books show as running: (id, status)."""
    rows = await _rows(db, _RUNNING, {"after_id": after_id, "limit": limit})
    return [(row["id"], row["status"]) for row in rows]


async def status_if_running(db: Database, object_id: str) -> str | None:
    """The status of one that the books show as running; None when they do not."""
    row = await db.fetch_one(_STILL_RUNNING, {"id": object_id})
    return str(row["status"]) if row else None


async def store_report(
    db: Database, *, gateway: str, since: datetime, until: datetime, report: Mapping[str, Any]
) -> bool:
    """Keep a finished run's report; the next run begins where this one ended.

    Returns:
        False, and nothing changes, when this run's report is kept already.
    """
    parameters = {"gateway": gateway, "since": since, "until": until, "report": json.dumps(dict(report))}
    return await db.fetch_one(_STORE, parameters) is not None


async def _rows(db: Database, sql: LiteralString, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with db.transaction() as cursor:
        await cursor.execute(sql, parameters)
        return await cursor.fetchall()


def _attempt(row: Mapping[str, Any]) -> Attempt:
    names = Attempt.__dataclass_fields__.keys() - {"bookings"}
    bookings = tuple(Booking(**entry) for entry in row["bookings"])
    return Attempt(bookings=bookings, **{name: row[name] for name in names})
