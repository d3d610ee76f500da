"""Tokens that name their own outcome: `tok_ok`, `tok_lost`, `tok_insufficient_then_ok:3`, `tok_3ds`, …

None of them has to be made first, and a suffix makes another card of the same kind: `tok_ok:anything`.
There is no card number anywhere; brand, last four and expiry follow from the token's name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from domain.declines import DeclineCode
from gateways.sandbox.outcomes import APPROVED, Plan

TokenKind = Literal["card", "konbini", "bank_transfer", "sepa_debit"]
CHARGEABLE: Final = ("card", "sepa_debit")

PLANS: Final[dict[str, Plan]] = {
    "ok": APPROVED,
    "insufficient_funds": Plan(decline=DeclineCode.INSUFFICIENT_FUNDS),
    "issuer_unavailable": Plan(decline=DeclineCode.ISSUER_UNAVAILABLE),
    "do_not_honor": Plan(decline=DeclineCode.DO_NOT_HONOR),
    "expired": Plan(decline=DeclineCode.EXPIRED_CARD),
    "lost": Plan(decline=DeclineCode.LOST_CARD),
    "stolen": Plan(decline=DeclineCode.STOLEN_CARD),
    "closed": Plan(decline=DeclineCode.CLOSED_ACCOUNT),
    "seized": Plan(decline=DeclineCode.SEIZED_CARD),
    "fraud": Plan(decline=DeclineCode.FRAUD_SUSPECTED),
    "3ds": Plan(pending=True, decided_on_ask=3),
    "pending": Plan(pending=True),
    "pending_then_declined": Plan(pending=True, decided_on_ask=2, decline=DeclineCode.AUTHENTICATION_FAILED),
}
INSUFFICIENT_THEN_OK: Final = "insufficient_then_ok"
_NOT_CARDS: Final[dict[str, TokenKind]] = {
    "konbini": "konbini",
    "bank": "bank_transfer",
    "sepa": "sepa_debit",
}
_SUFFIX: Final = r"(?::(?P<suffix>[A-Za-z0-9_.:-]{1,100}))?"
_NAMED: Final = re.compile(r"tok_(?P<name>[a-z0-9_]+)" + _SUFFIX)
SCRIPT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCRIPTED: Final = re.compile(rf"tok_script_(?P<script>{SCRIPT_ID.pattern})" + _SUFFIX)
_BRANDS: Final = ("visa", "mastercard", "jcb", "amex")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token's name says. Exactly one of `plan` and `script_id` decides a charge."""

    text: str
    kind: TokenKind
    plan: Plan | None = None
    declines_first: int = 0
    """`tok_insufficient_then_ok:N`: how many attempts per merchant's object are declined first."""
    script_id: str | None = None

    def details(self) -> dict[str, Any]:
        """What may be shown of it: never more than the last four digits."""
        shown: dict[str, Any] = {"token": self.text, "kind": self.kind}
        digest = hashlib.sha256(self.text.encode()).digest()
        last_four = f"{int.from_bytes(digest[1:5], 'big') % 10_000:04d}"
        if self.kind == "sepa_debit":
            shown |= {"brand": "sepa", "last_four": last_four}
        if self.kind == "card":
            expired = self.plan is not None and self.plan.decline is DeclineCode.EXPIRED_CARD
            shown |= {
                "brand": _BRANDS[digest[0] % len(_BRANDS)],
                "last_four": last_four,
                # Far away, so that no scenario outlives a good card; long past for the expired one.
                "expires_month": 1 if expired else 12,
                "expires_year": 2020 if expired else 2049,
            }
        return shown


@lru_cache(maxsize=4096)
def read_token(text: str) -> Token | None:
    """The token's meaning, or None for a name this gateway never gave out.

    Whether a script of that name exists is the desk's question: a name cannot know.
    """
    if scripted := _SCRIPTED.fullmatch(text):
        return Token(text=text, kind="card", script_id=scripted["script"])
    named = _NAMED.fullmatch(text)
    if named is None:
        return None
    name = named["name"]
    if name in PLANS:
        return Token(text=text, kind="card", plan=PLANS[name])
    if name in _NOT_CARDS:
        # A bank account that is debited approves every debit; the others are not charged.
        return Token(text=text, kind=_NOT_CARDS[name], plan=APPROVED if name == "sepa" else None)
    if name == INSUFFICIENT_THEN_OK:
        count = (named["suffix"] or "").split(":")[0]
        if re.fullmatch(r"[0-9]{1,3}", count):
            return Token(text=text, kind="card", plan=APPROVED, declines_first=int(count))
    return None


def object_of(reference: str) -> str:
    """The merchant's object a reference belongs to: `sub_x` of `sub_x/3/1`."""
    return reference.partition("/")[0]
