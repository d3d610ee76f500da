"""Writing down who was refused. What was done is written down by triggers, in the transaction that did it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, LiteralString

from db.engine import Database

_DENIED: Final[LiteralString] = "SELECT audit_denied(%(actor)s, %(action)s, %(subject_id)s, %(content)s)"
_WORD_CHARACTERS_MAX: Final = 200


async def note_denied(
    db: Database, *, actor: str, operation: str, subject_id: str, facts: Mapping[str, Any]
) -> None:
    """A call that its actor may not make; `facts`: ids and codes, no personal data."""
    await db.fetch_one(
        _DENIED,
        {
            "actor": actor[:_WORD_CHARACTERS_MAX],
            "action": operation[:_WORD_CHARACTERS_MAX],
            "subject_id": subject_id[:_WORD_CHARACTERS_MAX],
            "content": json.dumps(dict(facts), sort_keys=True),
        },
    )
