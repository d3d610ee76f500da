"""What writes have in common: the changed columns of a subscription's row, and changes of status as events.

Each fragment has one constant shape whatever changed, so that Postgres prepares a handful of statements once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, LiteralString

from domain.errors import ErrorCode, TeikiError
from domain.projection import Row
from domain.subscription import Transition

ROW_COLUMNS: Final = frozenset(Row.model_fields)

SET_ROW: Final[LiteralString] = """
    status = CASE WHEN %(row)s::jsonb ? 'status' THEN %(row)s::jsonb->>'status' ELSE s.status END,
    reason = CASE WHEN %(row)s::jsonb ? 'reason' THEN %(row)s::jsonb->>'reason' ELSE s.reason END,
    next_kind = CASE WHEN %(row)s::jsonb ? 'next_kind' THEN %(row)s::jsonb->>'next_kind' ELSE s.next_kind END,
    next_at = CASE WHEN %(row)s::jsonb ? 'next_at'
        THEN (%(row)s::jsonb->>'next_at')::timestamptz ELSE s.next_at END,
    failing = CASE WHEN %(row)s::jsonb ? 'failing' THEN (%(row)s::jsonb->>'failing')::boolean ELSE s.failing END,
    charges = CASE WHEN %(row)s::jsonb ? 'charges' THEN (%(row)s::jsonb->>'charges')::integer ELSE s.charges END,
    charged_minor = CASE WHEN %(row)s::jsonb ? 'charged_minor'
        THEN (%(row)s::jsonb->>'charged_minor')::bigint ELSE s.charged_minor END,
    amount_minor = CASE WHEN %(row)s::jsonb ? 'amount_minor'
        THEN (%(row)s::jsonb->>'amount_minor')::bigint ELSE s.amount_minor END,
    next_amount_minor = CASE WHEN %(row)s::jsonb ? 'next_amount_minor'
        THEN (%(row)s::jsonb->>'next_amount_minor')::bigint ELSE s.next_amount_minor END,
    cancel_at = CASE WHEN %(row)s::jsonb ? 'cancel_at'
        THEN (%(row)s::jsonb->>'cancel_at')::timestamptz ELSE s.cancel_at END,
    updated_at = %(at)s
"""
"""`UPDATE subscriptions s SET …` from the parameters `row` (as `row_json` makes it) and `at`."""


def row_json(row: Mapping[str, Any]) -> str:
    """The changed columns as one parameter: `domain.projection.changes(…)`, JSON values, columns of `Row` only."""
    strangers = sorted(set(row) - ROW_COLUMNS)
    if strangers:
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "A subscription's row has no such columns.", columns=strangers
        )
    return json.dumps(dict(row))


def moves_json(moves: Iterable[Transition], **more: Any) -> str:
    """Changes of status as history's data: `[{"from": …, "to": …, "reason": …}, …]`."""
    return json.dumps(moves_data(moves, **more))


def moves_data(moves: Iterable[Transition], **more: Any) -> list[dict[str, Any]]:
    extra = {name: value for name, value in more.items() if value is not None}
    return [{**move.model_dump(mode="json", by_alias=True), **extra} for move in moves]
