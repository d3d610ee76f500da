"""Request ids: the same id with the same content is a repetition, with another content a mistake.

A caller that got no answer asks again with the same id; the earlier answer comes back and nothing happens twice
(spec: interfaces.md).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

Cursor = psycopg.AsyncCursor[dict[str, Any]]

CREATE_SCOPE: Final = "subscription.create"

_CLAIM: Final[LiteralString] = """
INSERT INTO requests (scope, request_id, fingerprint, subject_id, at)
VALUES (%(scope)s, %(request_id)s, %(fingerprint)s, %(subject_id)s, %(at)s)
ON CONFLICT (scope, request_id) DO NOTHING
RETURNING subject_id
"""
_EARLIER: Final[LiteralString] = """
SELECT fingerprint, subject_id FROM requests WHERE scope = %(scope)s AND request_id = %(request_id)s
"""


def operation_scope(subscription_id: str) -> str:
    return f"subscription:{subscription_id}"


class Claim(NamedTuple):
    """`new`: go on; `repeated`: an earlier request with this content made `subject_id`; `conflict`: refuse."""

    kind: str
    subject_id: str


def fingerprint(content: Any) -> str:
    """SHA-256 of the canonical JSON: equal contents are equal whatever the order of their keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


async def claim(
    cursor: Cursor, *, scope: str, request_id: str, content: Any, subject_id: str, at: datetime
) -> Claim:
    """Take the request id within this transaction; a second taker waits here until the first has decided."""
    parameters = {
        "scope": scope,
        "request_id": request_id,
        "fingerprint": fingerprint(content),
        "subject_id": subject_id,
        "at": at,
    }
    await cursor.execute(_CLAIM, parameters)
    if await cursor.fetchone() is not None:
        return Claim("new", subject_id)
    await cursor.execute(_EARLIER, parameters)
    earlier = await cursor.fetchone()
    assert earlier is not None, "requests are never deleted"
    kind = "repeated" if earlier["fingerprint"] == parameters["fingerprint"] else "conflict"
    return Claim(kind, earlier["subject_id"])
