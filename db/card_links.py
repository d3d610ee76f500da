"""Card change links: the database keeps a hash, uses it once, and holds one usable link per subscription.

Only the caller ever has the token. Looking at a link never consumes it (spec: subscriptions.md §7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from db.engine import Database
from db.requests import Cursor
from db.shapes import Link
from domain.errors import ErrorCode, TeikiError


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLinkRow:
    """A link as it stands.

    Attributes:
        form_id: the gateway's hosted form, once one was opened.
        revoked_at: when a newer link took its place. A used link gets it too: what a crash kept it from finishing must
            not undo what the newer one brought.
    """

    subscription_id: str
    form_id: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    def why_unusable(self, now: datetime) -> Literal["used", "revoked", "expired"] | None:
        """None while it may be used."""
        if self.used_at is not None:
            return "used"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else None


_REVOKE: Final[LiteralString] = """
UPDATE card_links SET revoked_at = %(at)s
WHERE subscription_id = %(subscription_id)s AND token_hash <> %(token_hash)s AND revoked_at IS NULL
"""
_ISSUE: Final[LiteralString] = """
INSERT INTO card_links (token_hash, subscription_id, expires_at, created_at)
VALUES (%(token_hash)s, %(subscription_id)s, %(expires_at)s, %(at)s)
ON CONFLICT (token_hash) DO NOTHING
"""
_FIND: Final[LiteralString] = """
SELECT subscription_id, form_id, created_at, expires_at, used_at, revoked_at
FROM card_links WHERE token_hash = %(token_hash)s
"""
_ATTACH: Final[LiteralString] = """
UPDATE card_links SET form_id = COALESCE(form_id, %(form_id)s)
WHERE token_hash = %(token_hash)s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > %(now)s
RETURNING form_id
"""
_USE: Final[LiteralString] = """
WITH link AS (
    UPDATE card_links SET used_at = %(now)s
    WHERE token_hash = %(token_hash)s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > %(now)s
    RETURNING subscription_id, form_id, created_at, expires_at, used_at, revoked_at
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, data)
    SELECT link.subscription_id, 'link', %(now)s, 'customer:' || s.customer_id, '{"outcome": "used"}'
    FROM link JOIN subscriptions s ON s.id = link.subscription_id
)
SELECT * FROM link
"""


async def issue_card_link(cursor: Cursor, link: Link, *, subscription_id: str, at: datetime) -> None:
    """Store a new link within the caller's transaction; it voids the older ones."""
    parameters: dict[str, Any] = {
        "token_hash": link.token_hash,
        "expires_at": link.expires_at,
        "subscription_id": subscription_id,
        "at": at,
    }
    await cursor.execute(_REVOKE, parameters)
    await cursor.execute(_ISSUE, parameters)


async def find_card_link(db: Database, token_hash: str) -> CardLinkRow | None:
    """The link as it stands; looking changes nothing."""
    row = await db.fetch_one(_FIND, {"token_hash": token_hash})
    return CardLinkRow(**row) if row else None


async def attach_card_form(db: Database, token_hash: str, form_id: str, now: datetime) -> str:
    """Give the link its one hosted form; of several callers the first decides, and all learn the form it has.

    Raises:
        TeikiError: `link_not_usable`, as `use_card_link`.
    """
    parameters = {"token_hash": token_hash, "form_id": form_id, "now": now}
    row = await db.fetch_one(_ATTACH, parameters)
    if row is None:
        raise await _not_usable(db, token_hash, now)
    return str(row["form_id"])


async def use_card_link(db: Database, token_hash: str, now: datetime) -> CardLinkRow:
    """Consume the link: of any number of callers at once exactly one gets through.

    Raises:
        TeikiError: `link_not_usable`, with `why`: `unknown`, `used`, `revoked` or `expired`.
    """
    row = await db.fetch_one(_USE, {"token_hash": token_hash, "now": now})
    if row is None:
        raise await _not_usable(db, token_hash, now)
    return CardLinkRow(**row)


async def _not_usable(db: Database, token_hash: str, now: datetime) -> TeikiError:
    link = await find_card_link(db, token_hash)
    # A link that was used by somebody else in this very instant reads as used by now.
    why = "unknown" if link is None else link.why_unusable(now) or "used"
    return TeikiError(ErrorCode.LINK_NOT_USABLE, "This link cannot be used (any more).", why=why)
