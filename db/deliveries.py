"""From the outbox to the endpoints: passed on once, sent at least once, in the order of each object.

*Passing on* turns an outbox row into one delivery per endpoint that existed when the row was written. It happens under
one lock for all, in the order of the outbox, so an event never overtakes an earlier one of its object; endpoints are
made under the same lock, so none misses what was written after it, and none gets what was written before.

A delivery is *claimed* before it is sent: its turn is put off in the same statement, so no two send it at once, and
whoever dies leaves it to the next one. Nothing is open in the database while something is sent.

An event behind one of the same object that is not finished is `held`. Finishing (delivered, given up) releases the next
one in the same transaction. Passing on locks the unfinished ones of the objects that get more, so that it cannot hold
an event behind one that is being finished at this moment: nobody would release it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg.rows import class_row

from db.engine import Database
from db.requests import Cursor
from domain.notifications import JITTER, TRIED_AT_LEAST_FOR, TRIED_FOR, Answer, pause_s

LEASE_S: Final = 60
"""A claimed delivery is tried again so much later when nothing was recorded: longer than any sending takes."""

PASSING_ON: Final = 7_051_946_116_002
"""The advisory lock under which events are passed on and endpoints are made."""

_FRESH: Final[LiteralString] = """
SELECT id FROM outbox WHERE delivered_at IS NULL ORDER BY id LIMIT %(limit)s
"""
_LOCK_OBJECTS: Final[LiteralString] = """
SELECT d.event_id FROM deliveries d
WHERE d.state IN ('waiting', 'held') AND d.subject_id IN (SELECT subject_id FROM outbox WHERE id = ANY(%(ids)s))
ORDER BY d.endpoint_id, d.event_id FOR UPDATE
"""
_TELL: Final[LiteralString] = """
WITH fresh AS (
    UPDATE outbox SET delivered_at = clock_timestamp() WHERE id = ANY(%(ids)s)
    RETURNING id, topic, subject_id, created_at
), told AS (
    SELECT e.id AS endpoint_id, f.id AS event_id, f.subject_id,
           row_number() OVER (PARTITION BY e.id, f.subject_id ORDER BY f.id) > 1
           OR EXISTS (SELECT FROM deliveries d WHERE d.endpoint_id = e.id AND d.subject_id = f.subject_id
                      AND d.state IN ('waiting', 'held')) AS held
    FROM fresh f JOIN endpoints e ON e.state <> 'removed' AND e.created_at <= f.created_at
        AND (cardinality(e.topics) = 0 OR f.topic = ANY(e.topics)
             OR split_part(f.topic, '.', 1) || '.*' = ANY(e.topics))
)
INSERT INTO deliveries (endpoint_id, event_id, subject_id, state, next_at, tried_until)
SELECT endpoint_id, event_id, subject_id, CASE WHEN held THEN 'held' ELSE 'waiting' END,
       CASE WHEN NOT held THEN clock_timestamp() END, clock_timestamp() + %(tried_for)s
FROM told ORDER BY event_id
ON CONFLICT (endpoint_id, event_id) DO NOTHING
"""

_PENDING: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM outbox WHERE delivered_at IS NULL) AS fresh,
       EXISTS (SELECT FROM endpoints e WHERE e.state = 'enabled' AND EXISTS (
           SELECT FROM deliveries d
           WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.next_at <= clock_timestamp())) AS due
"""

_CLAIM: Final[LiteralString] = """
WITH due AS (
    SELECT d.endpoint_id, d.event_id FROM endpoints e CROSS JOIN LATERAL (
        SELECT endpoint_id, event_id FROM deliveries
        WHERE endpoint_id = e.id AND state = 'waiting' AND next_at <= clock_timestamp()
        ORDER BY next_at, event_id
        LIMIT greatest(0, %(lane)s - COALESCE((%(busy)s::jsonb->>e.id)::int, 0)) FOR UPDATE SKIP LOCKED
    ) d WHERE e.state = 'enabled'
)
UPDATE deliveries d SET tries = d.tries + 1, next_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM due, endpoints e, outbox o
WHERE d.endpoint_id = due.endpoint_id AND d.event_id = due.event_id AND e.id = d.endpoint_id AND o.id = d.event_id
RETURNING d.endpoint_id, d.event_id, d.subject_id, d.tries, d.tries_before, clock_timestamp() AS at,
    e.url, e.sealed_secret,
    CASE WHEN e.old_secret_until > clock_timestamp() THEN e.sealed_old_secret END AS sealed_old_secret,
    o.topic, o.payload, o.created_at
"""

# A success counts whoever had it; a failure only while nobody has claimed it since.
_RECORD: Final[LiteralString] = """
WITH done AS (
    UPDATE deliveries SET
        state = CASE WHEN %(delivered)s THEN 'delivered'
                     WHEN statement_timestamp() + %(pause)s > tried_until THEN 'given_up' ELSE 'waiting' END,
        next_at = CASE WHEN NOT %(delivered)s AND statement_timestamp() + %(pause)s <= tried_until
                       THEN statement_timestamp() + %(pause)s * (1 - %(jitter)s * random()) END,
        finished_at = CASE WHEN %(delivered)s OR statement_timestamp() + %(pause)s > tried_until
                           THEN statement_timestamp() END
    WHERE endpoint_id = %(endpoint_id)s AND event_id = %(event_id)s AND state = 'waiting'
        AND (%(delivered)s OR tries = %(tries)s)
    RETURNING state
), try AS (
    INSERT INTO delivery_tries (endpoint_id, event_id, number, at, took_ms, status, answer, error)
    VALUES (%(endpoint_id)s, %(event_id)s, %(tries)s, %(at)s, %(took_ms)s, %(status)s, %(answer)s, %(error)s)
    ON CONFLICT DO NOTHING
), health AS (
    UPDATE endpoints SET failing_since = CASE WHEN NOT %(delivered)s THEN %(at)s END
    WHERE id = %(endpoint_id)s AND (failing_since IS NULL) = (NOT %(delivered)s)
)
SELECT state FROM done
"""

_RELEASE: Final[LiteralString] = """
UPDATE deliveries SET state = 'waiting', next_at = clock_timestamp(),
    tried_until = greatest(tried_until, clock_timestamp() + %(at_least)s)
WHERE endpoint_id = %(endpoint_id)s AND event_id = (
    SELECT min(event_id) FROM deliveries
    WHERE endpoint_id = %(endpoint_id)s AND subject_id = %(subject_id)s AND state = 'held'
) AND NOT EXISTS (
    SELECT FROM deliveries e WHERE e.endpoint_id = %(endpoint_id)s AND e.subject_id = %(subject_id)s
        AND e.state = 'waiting'
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours until the lease is over.

    Attributes:
        tries: with this one; the first `tries_before` do not count, because a person had it tried anew after them.
        at: the database's instant of the claim, which is signed.
        sealed_old_secret: while the secret before still signs.
        created_at: when the event was written.
    """

    endpoint_id: str
    event_id: int
    subject_id: str
    tries: int
    tries_before: int
    at: datetime
    url: str
    sealed_secret: bytes
    sealed_old_secret: bytes | None
    topic: str
    payload: dict[str, Any]
    created_at: datetime


async def pending(db: Database) -> tuple[bool, bool]:
    """Whether there are events to pass on, and deliveries whose turn it is. What an idle courier asks."""
    row = await db.fetch_one(_PENDING, {})
    assert row is not None
    return bool(row["fresh"]), bool(row["due"])


async def pass_on(db: Database, *, limit: int) -> int:
    """Give every endpoint its deliveries of the oldest events; says how many events were passed on.

    Args:
        db: the database.
        limit: the most events.

    Raises:
        TeikiError: `database_unavailable`; nothing or everything of it happened.
    """
    async with db.transaction() as cursor:
        await lock_passing_on(cursor)
        await cursor.execute(_FRESH, {"limit": limit})
        ids = [row["id"] for row in await cursor.fetchall()]
        if ids:
            await cursor.execute(_LOCK_OBJECTS, {"ids": ids})
            await cursor.execute(_TELL, {"ids": ids, "tried_for": TRIED_FOR})
        return len(ids)


async def lock_passing_on(cursor: Cursor) -> None:
    """Until the transaction ends no event is passed on and no endpoint is made by others."""
    await cursor.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": PASSING_ON})


async def claim(db: Database, *, lane: int, busy: Mapping[str, int]) -> list[Claimed]:
    """The deliveries whose turn it is, of every endpoint that is switched on; their next turn is a lease away.

    Args:
        db: the database.
        lane: the most deliveries to one endpoint at once.
        busy: endpoint → how many of these are under way already.
    """
    parameters = {"lane": lane, "busy": json.dumps(dict(busy)), "lease_s": LEASE_S}
    async with db.connection() as driver:
        cursor = driver.cursor(row_factory=class_row(Claimed))
        await cursor.execute(_CLAIM, parameters, prepare=True)
        return sorted(await cursor.fetchall(), key=lambda claimed: claimed.event_id)


async def record(db: Database, claimed: Claimed, answer: Answer) -> str | None:
    """Write down what came of a try, and let the next event of the object go when this one is finished.

    Returns:
        the delivery's state; None: somebody else had finished or claimed it meanwhile, and only the try was kept.

    Raises:
        TeikiError: `database_unavailable`; the delivery is tried again after its lease.
    """
    parameters = {
        "endpoint_id": claimed.endpoint_id,
        "event_id": claimed.event_id,
        "subject_id": claimed.subject_id,
        "tries": claimed.tries,
        "at": claimed.at,
        "delivered": answer.delivered,
        "pause": timedelta(seconds=pause_s(claimed.tries - claimed.tries_before)),
        "jitter": JITTER,
        "at_least": TRIED_AT_LEAST_FOR,
        "took_ms": answer.took_ms,
        "status": answer.status,
        "answer": answer.text,
        "error": answer.error,
    }
    async with db.transaction() as cursor:
        await cursor.execute(_RECORD, parameters, prepare=True)
        row = await cursor.fetchone()
        if row is not None and row["state"] != "waiting":
            await cursor.execute(_RELEASE, parameters, prepare=True)
    return None if row is None else str(row["state"])
