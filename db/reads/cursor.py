"""Keyset cursors: where a page ended, as an opaque text. A page costs the same however deep it lies."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from sqlalchemy import ColumnElement, literal, tuple_

from domain.billing_calendar import UTC
from domain.errors import ErrorCode, TeikiError

PAGE_MAX: Final = 200
_CURSOR_CHARACTERS_MAX: Final = 400


def page_size(limit: int) -> int:
    """The limit asked for, when it is 1 to 200."""
    if not 1 <= limit <= PAGE_MAX:
        raise TeikiError(ErrorCode.INVALID_INPUT, f"A page has 1 to {PAGE_MAX} entries.", limit=limit)
    return limit


def encode_cursor(created_at: datetime, entry_id: str) -> str:
    """After this entry, newest first."""
    text = json.dumps([created_at.astimezone(UTC).isoformat(), entry_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """The entry a page ended with; `invalid_cursor` for anything that no page has given."""
    try:
        if len(cursor) > _CURSOR_CHARACTERS_MAX:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, entry_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        instant = datetime.fromisoformat(created_at)
        if instant.tzinfo is None or not isinstance(entry_id, str) or "\x00" in entry_id:
            raise ValueError("not a cursor of ours")
    except (ValueError, TypeError, binascii.Error) as error:
        raise TeikiError(ErrorCode.INVALID_CURSOR, "This cursor was not made by a list.") from error
    return instant, entry_id


def after(cursor: str, created_at: ColumnElement[Any], entry_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition "older than the cursor", in the order of the index."""
    instant, last_id = decode_cursor(cursor)
    return tuple_(created_at, entry_id) < tuple_(literal(instant), literal(last_id))


def prefix_pattern(text: str) -> str:
    r"""A LIKE pattern for "starts with", `%`, `_` and `\` taken literally."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%"


def _searchable(text: str) -> str:
    """Postgres has no NUL in a text: nothing can contain it."""
    if "\x00" in text:
        raise TeikiError(ErrorCode.INVALID_INPUT, "No text contains this character.")
    return text


SearchText = Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_searchable)]
"""What a list is searched for: 1 to 320 characters."""
