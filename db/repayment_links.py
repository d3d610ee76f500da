"""Repayment links as their page meets them: found by a hash, never consumed by looking (spec: customers.md §4).

What consumes a link is money: its charge is guarded by `repayment_charges`. A form belongs to one card that is tried;
after a decline the link gets another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, LiteralString

from db.engine import Database
from domain.money import Money
from domain.repayment import RepaymentStatus, not_usable, why_unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaymentLinkRow:
    """A link as it stands.

    Attributes:
        asked_minor: what it asks for, and never more than is owed now.
        form_id: the gateway's payment form, once one was opened for the card to be tried next.
        is_being_paid: a card's charge has no outcome yet.
        declines: cards that were declined so far.
    """

    id: str
    customer_id: str
    product_name: str
    asked_minor: int
    paid_minor: int
    currency: str
    status: RepaymentStatus
    expires_at: datetime
    form_id: str | None
    is_being_paid: bool
    declines: int

    @property
    def amount(self) -> Money:
        """What is paid by it."""
        minor = self.paid_minor or self.asked_minor
        return Money(minor=minor, currency=self.currency)

    def why_unusable(self, now: datetime) -> Literal["used", "revoked", "expired"] | None:
        """None while it can be paid."""
        return why_unusable(self.status, self.expires_at, now)


_FIND: Final[LiteralString] = """
SELECT r.id, s.customer_id, p.name AS product_name, r.paid_minor, r.currency, r.status, r.expires_at, r.form_id,
    greatest(0, least(r.amount_minor, sums.owed))::bigint AS asked_minor,
    sums.is_being_paid, sums.declines
FROM repayments r JOIN payers s ON s.id = r.object_id JOIN products p ON p.id = s.product_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE
            WHEN purpose = 'chargeback' AND state NOT IN ('declined', 'abandoned') THEN amount_minor
            WHEN purpose IN ('repayment', 'receipt') AND state = 'settled' THEN -amount_minor ELSE 0 END), 0) AS owed,
        bool_or(purpose = 'repayment' AND returns = r.id
            AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')) AS is_being_paid,
        count(*) FILTER (WHERE purpose = 'repayment' AND returns = r.id AND state = 'declined')::int AS declines
    FROM attempts a WHERE a.object_id = r.object_id AND a.number = r.number
) sums
WHERE r.token_hash = %(token_hash)s
"""
_ATTACH: Final[LiteralString] = """
UPDATE repayments SET form_id = COALESCE(form_id, %(form_id)s)
WHERE id = %(id)s AND status = 'open' AND expires_at > %(now)s
RETURNING form_id
"""


async def find_repayment_link(db: Database, token_hash: str) -> RepaymentLinkRow | None:
    """The link as it stands; looking changes nothing."""
    row = await db.fetch_one(_FIND, {"token_hash": token_hash})
    if row is None:
        return None
    return RepaymentLinkRow(**(row | {"status": RepaymentStatus(row["status"])}))


async def attach_payment_form(db: Database, repayment_id: str, form_id: str, now: datetime) -> str:
    """Give the link the form for its next card; of several callers the first decides, and all learn the form it has.

    Raises:
        TeikiError: `link_not_usable`.
    """
    row = await db.fetch_one(_ATTACH, {"id": repayment_id, "form_id": form_id, "now": now})
    if row is None:
        raise not_usable("expired")
    return str(row["form_id"])
