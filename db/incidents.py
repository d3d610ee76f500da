"""Incidents: what does not add up, as rows that people see and close (spec: charging.md §2.6).

Opening one tells history and the outbox in the same statement; the same trouble found again is the same incident.
Nothing here mends anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

from db.engine import Database
from domain.errors import ErrorCode, TeikiError

# History needs a subject: an incident about nobody we know is told by its row and its notice alone.
_OPEN: Final[LiteralString] = """
WITH incident AS (
    INSERT INTO incidents (kind, dedupe_key, subject_id, number, attempt_key, gateway_id, amount_minor, currency, facts)
    VALUES (%(kind)s, %(dedupe_key)s, %(subject_id)s, %(number)s, %(attempt_key)s, %(gateway_id)s, %(amount_minor)s,
            %(currency)s, %(facts)s::jsonb)
    ON CONFLICT (dedupe_key) DO NOTHING
    RETURNING id, kind, subject_id, number, opened_at,
        jsonb_strip_nulls(jsonb_build_object('incident_id', id, 'kind', kind, 'gateway_id', gateway_id,
                                             'amount_minor', amount_minor, 'currency', currency)) AS told,
        -- What is neither an order nor a subscription is named as what it is; the function knows those two.
        CASE left(subject_id, 4) WHEN 'kon_' THEN jsonb_build_object('deposit_id', subject_id)
             WHEN 'crd_' THEN jsonb_build_object('credit_id', subject_id)
             WHEN 'rep_' THEN jsonb_build_object('repayment_id', subject_id)
             ELSE object_named(subject_id) END AS named_subject
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT subject_id, 'incident', COALESCE(%(at)s, opened_at), 'system', number, told || '{"outcome": "opened"}'
    FROM incident WHERE subject_id IS NOT NULL
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'incident.opened', COALESCE(subject_id, id),
           jsonb_strip_nulls(told || named_subject || jsonb_build_object('number', number)) FROM incident
)
SELECT id FROM incident
"""

_CLOSE: Final[LiteralString] = """
WITH incident AS (
    UPDATE incidents SET closed_at = COALESCE(%(at)s, clock_timestamp()), closed_by = %(actor)s,
        closing_comment = %(comment)s
    WHERE id = %(id)s AND closed_at IS NULL
    RETURNING id, kind, subject_id, number, closed_at, jsonb_build_object('incident_id', id, 'kind', kind) AS told,
        CASE left(subject_id, 4) WHEN 'kon_' THEN jsonb_build_object('deposit_id', subject_id)
             WHEN 'crd_' THEN jsonb_build_object('credit_id', subject_id)
             WHEN 'rep_' THEN jsonb_build_object('repayment_id', subject_id)
             ELSE object_named(subject_id) END AS named_subject
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, comment, number, data)
    SELECT subject_id, 'incident', closed_at, %(actor)s, %(comment)s, number, told || '{"outcome": "closed"}'
    FROM incident WHERE subject_id IS NOT NULL
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'incident.closed', COALESCE(subject_id, id),
           jsonb_strip_nulls(told || named_subject || jsonb_build_object('number', number)) FROM incident
)
SELECT id FROM incident
"""

_KNOWN: Final[LiteralString] = "SELECT closed_at FROM incidents WHERE id = %(id)s"
_EARLIER: Final[LiteralString] = "SELECT id, closed_at FROM incidents WHERE dedupe_key = %(dedupe_key)s"


async def open_incident(
    db: Database,
    *,
    kind: str,
    dedupe_key: str,
    subject_id: str | None = None,
    number: int | None = None,
    attempt_key: str | None = None,
    gateway_id: str | None = None,
    amount_minor: int | None = None,
    currency: str | None = None,
    facts: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> bool:
    """Show a trouble to people, once.

    Args:
        db: the database.
        kind: one of `db.tables.INCIDENT_KINDS`.
        dedupe_key: `<kind>:<gateway id or attempt key>`: names this trouble for ever.
        subject_id: the subscription, order, slip or credit it is about; its history tells of the incident.
        number: of the payment.
        attempt_key: the attempt it is about.
        gateway_id: the movement at the gateway it is about.
        amount_minor: minor units of `currency`: what it is about.
        currency: ISO 4217; together with the amount.
        facts: what was seen; no personal data.
        at: the instant in the subject's own time; the database's now when not given.

    Returns:
        False, and nothing changes, when it is known, also when it was closed since.
    """
    parameters = {
        "kind": kind,
        "dedupe_key": dedupe_key,
        "subject_id": subject_id,
        "number": number,
        "attempt_key": attempt_key,
        "gateway_id": gateway_id,
        "amount_minor": amount_minor,
        "currency": currency,
        "facts": json.dumps(dict(facts or {})),
        "at": at,
    }
    return await db.fetch_one(_OPEN, parameters) is not None


async def is_closed(db: Database, dedupe_key: str) -> bool:
    """Whether a person has closed the incident of this trouble."""
    row = await db.fetch_one(_EARLIER, {"dedupe_key": dedupe_key})
    return row is not None and row["closed_at"] is not None


async def close_incident(
    db: Database,
    id: str,  # noqa: A002 - the column's name
    *,
    actor: str,
    comment: str,
    at: datetime | None = None,
) -> bool:
    """A person has looked into it; the comment says what came of it.

    Returns:
        False, and nothing changes, when it was closed before.

    Raises:
        TeikiError: `incident_not_found`.
    """
    parameters = {"id": id, "actor": actor, "comment": comment, "at": at}
    if await db.fetch_one(_CLOSE, parameters) is not None:
        return True
    if await db.fetch_one(_KNOWN, {"id": id}) is None:
        raise TeikiError(ErrorCode.INCIDENT_NOT_FOUND, "There is no such incident.", incident_id=id)
    return False
