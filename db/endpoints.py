"""Endpoints as people make, change and switch them, and deliveries they have sent again (spec: customers.md §5).

Each is one transaction with its request id and an entry in the endpoint's history. All of it happens under the lock of
passing on (`db.deliveries`): what an endpoint is told begins at an exact place. Deliveries are locked before their
endpoint, as whoever records a try does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from db.deliveries import lock_passing_on
from db.engine import Database
from db.requests import Cursor, claim
from domain.errors import ErrorCode, TeikiError
from domain.notifications import ENDPOINTS_MAX, OLD_SECRET_SIGNS_FOR, TRIED_FOR, notification_id

CREATE_SCOPE: Final = "endpoint.create"

_COUNT: Final[LiteralString] = "SELECT count(*)::int AS n FROM endpoints WHERE state <> 'removed'"
_EXISTS: Final[LiteralString] = "SELECT 1 AS yes FROM endpoints WHERE id = %(id)s AND state <> 'removed'"
# The clock of the database, which also writes the instant of every event.
_CREATE: Final[LiteralString] = """
INSERT INTO endpoints (id, url, topics, sealed_secret) VALUES (%(id)s, %(url)s, %(topics)s, %(sealed)s)
"""
_CHANGE: Final[LiteralString] = "UPDATE endpoints SET url = %(url)s, topics = %(topics)s WHERE id = %(id)s"
_DISABLE: Final[LiteralString] = "UPDATE endpoints SET state = 'disabled' WHERE id = %(id)s"
_ENABLE: Final[LiteralString] = "UPDATE endpoints SET state = 'enabled' WHERE id = %(id)s"
_ANEW: Final[LiteralString] = """
UPDATE deliveries SET tried_until = greatest(tried_until, clock_timestamp() + %(tried_for)s), tries_before = tries,
    next_at = CASE WHEN state = 'waiting' THEN clock_timestamp() END
WHERE endpoint_id = %(id)s AND state IN ('waiting', 'held')
"""
_ROTATE: Final[LiteralString] = """
UPDATE endpoints SET sealed_old_secret = sealed_secret, old_secret_until = clock_timestamp() + %(signs_for)s,
    sealed_secret = %(sealed)s
WHERE id = %(id)s
"""
_DROP: Final[LiteralString] = """
UPDATE deliveries SET state = 'dropped', next_at = NULL, finished_at = clock_timestamp()
WHERE endpoint_id = %(id)s AND state IN ('waiting', 'held')
"""
_REMOVE: Final[LiteralString] = """
UPDATE endpoints SET state = 'removed', sealed_secret = '', sealed_old_secret = NULL, old_secret_until = NULL,
    failing_since = NULL
WHERE id = %(id)s
"""
_RESEND: Final[LiteralString] = """
UPDATE deliveries d SET state = 'waiting', next_at = clock_timestamp(), finished_at = NULL, tries_before = tries,
    tried_until = clock_timestamp() + %(tried_for)s
FROM endpoints e
WHERE e.id = d.endpoint_id AND e.state <> 'removed' AND d.event_id = %(event_id)s
    AND (%(endpoint_id)s::text IS NULL OR d.endpoint_id = %(endpoint_id)s)
    AND d.state IN ('delivered', 'given_up', 'waiting')
RETURNING d.endpoint_id
"""
_EVENT: Final[LiteralString] = """
INSERT INTO history (subject_id, kind, at, actor, comment, data)
VALUES (%(subject_id)s, 'operation', %(at)s, %(actor)s, %(comment)s, %(data)s::jsonb)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Who asks, when, why, and under which request id."""

    request_id: str
    actor: str
    comment: str
    at: datetime


async def create_endpoint(
    db: Database, endpoint_id: str, *, url: str, topics: Sequence[str], sealed_secret: bytes, said: Said
) -> str:
    """Make an endpoint, which is told of what is written from now on.

    Returns:
        its id; the earlier one's when this request was made before, and then nothing changes.

    Raises:
        TeikiError: `request_id_conflict`, `too_many_endpoints`, `database_unavailable`.
    """
    asked = {"url": url, "topics": list(topics)}
    async with db.transaction() as cursor:
        await lock_passing_on(cursor)
        known = await _claimed(cursor, CREATE_SCOPE, asked, endpoint_id, said)
        if known is not None:
            return known
        await cursor.execute(_COUNT)
        counted = await cursor.fetchone()
        if counted is None or counted["n"] >= ENDPOINTS_MAX:
            raise TeikiError(
                ErrorCode.TOO_MANY_ENDPOINTS, f"There are {ENDPOINTS_MAX} endpoints; remove one first."
            )
        await cursor.execute(_CREATE, {"id": endpoint_id, "sealed": sealed_secret, **asked})
        await _told(cursor, endpoint_id, "create", asked, said)
    return endpoint_id


async def change_endpoint(
    db: Database, endpoint_id: str, *, url: str, topics: Sequence[str], said: Said
) -> None:
    """Another address or other topics; what waits goes to the new address.

    Raises:
        TeikiError: `endpoint_not_found`, `request_id_conflict`, `database_unavailable`.
    """
    asked = {"url": url, "topics": list(topics)}
    await _operate(db, endpoint_id, "change", said, [(_CHANGE, asked)], asked=asked)


async def disable_endpoint(db: Database, endpoint_id: str, *, said: Said) -> None:
    """Send it nothing any more. What happens meanwhile waits for it."""
    await _operate(db, endpoint_id, "disable", said, [(_DISABLE, {})])


async def enable_endpoint(db: Database, endpoint_id: str, *, said: Said) -> None:
    """Send to it (again): all that waits is due now, and has three days more."""
    await _operate(db, endpoint_id, "enable", said, [(_ANEW, {"tried_for": TRIED_FOR}), (_ENABLE, {})])


async def rotate_secret(db: Database, endpoint_id: str, *, sealed_secret: bytes, said: Said) -> bool:
    """A new secret; the one before signs too for a day.

    Returns:
        False when this request was made before: the secret given now is not the endpoint's.
    """
    values = {"sealed": sealed_secret, "signs_for": OLD_SECRET_SIGNS_FOR}
    return await _operate(db, endpoint_id, "rotate_secret", said, [(_ROTATE, values)])


async def remove_endpoint(db: Database, endpoint_id: str, *, said: Said) -> None:
    """Forget its secrets and drop what waits for it. What it was told stays readable."""
    await _operate(db, endpoint_id, "remove", said, [(_DROP, {}), (_REMOVE, {})])


async def resend(db: Database, event_id: int, *, endpoint_id: str | None, said: Said) -> list[str]:
    """Send a notification again, under its own id, to the endpoints that had it (or to one of them).

    One that is held behind an earlier event of its object stays there.

    Returns:
        the endpoints, also when this request was made before.

    Raises:
        TeikiError: `notification_not_found` when no such endpoint had it; `request_id_conflict`.
    """
    values = {"event_id": event_id, "endpoint_id": endpoint_id, "tried_for": TRIED_FOR}
    name = notification_id(event_id)
    async with db.transaction() as cursor:
        await lock_passing_on(cursor)
        if await _claimed(cursor, f"notification:{name}", {"endpoint_id": endpoint_id}, name, said) is None:
            await cursor.execute(_RESEND, values)
            found = sorted(row["endpoint_id"] for row in await cursor.fetchall())
            if not found:
                raise TeikiError(
                    ErrorCode.NOTIFICATION_NOT_FOUND,
                    "No endpoint was told of such a notification.",
                    notification_id=name,
                )
            for one in found:
                await _told(cursor, one, "resend", {"notification_id": name}, said)
            return found
        await cursor.execute(
            "SELECT subject_id FROM history WHERE kind = 'operation' AND data->>'do' = 'resend'"
            " AND data->>'request_id' = %(request_id)s AND subject_id IN"
            " (SELECT endpoint_id FROM deliveries WHERE event_id = %(event_id)s) ORDER BY subject_id",
            {"request_id": said.request_id, "event_id": event_id},
        )
        return [row["subject_id"] for row in await cursor.fetchall()]


async def _operate(
    db: Database,
    endpoint_id: str,
    do: str,
    said: Said,
    steps: Sequence[tuple[LiteralString, dict[str, Any]]],
    *,
    asked: dict[str, Any] | None = None,
) -> bool:
    """Check, then change and tell history; False, and nothing changes, when the request was made before."""
    async with db.transaction() as cursor:
        await lock_passing_on(cursor)
        content = {"do": do, **(asked or {})}
        if await _claimed(cursor, f"endpoint:{endpoint_id}", content, endpoint_id, said) is not None:
            return False
        await cursor.execute(_EXISTS, {"id": endpoint_id})
        if await cursor.fetchone() is None:
            raise TeikiError(
                ErrorCode.ENDPOINT_NOT_FOUND, "There is no such endpoint.", endpoint_id=endpoint_id
            )
        for statement, values in steps:
            await cursor.execute(statement, {"id": endpoint_id, **values})
        await _told(cursor, endpoint_id, do, asked or {}, said)
    return True


async def _claimed(cursor: Cursor, scope: str, content: Any, subject_id: str, said: Said) -> str | None:
    """None: go on. Else what the same request came to earlier."""
    taken = await claim(
        cursor, scope=scope, request_id=said.request_id, content=content, subject_id=subject_id, at=said.at
    )
    if taken.kind == "conflict":
        raise TeikiError(
            ErrorCode.REQUEST_ID_CONFLICT,
            "This request id was used before, for something else.",
            request_id=said.request_id,
        )
    return taken.subject_id if taken.kind == "repeated" else None


async def _told(cursor: Cursor, endpoint_id: str, do: str, arguments: dict[str, Any], said: Said) -> None:
    data = {"do": do, "arguments": arguments, "request_id": said.request_id}
    await cursor.execute(
        _EVENT,
        {
            "subject_id": endpoint_id,
            "at": said.at,
            "actor": said.actor,
            "comment": said.comment,
            "data": json.dumps(data),
        },
    )
