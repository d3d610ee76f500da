"""Why a card was declined, and what that means for the next attempt (spec: subscriptions.md §4).

Gateways speak many dialects; an adapter translates each into one of these codes. The category decides:
`retryable` follows the retry policy, `needs_new_card` suspends at once, `blocked` never reaches a gateway.
An unknown outcome is no decline at all.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class DeclineCategory(StrEnum):
    RETRYABLE = "retryable"
    NEEDS_NEW_CARD = "needs_new_card"
    BLOCKED = "blocked"


class DeclineCode(StrEnum):
    INSUFFICIENT_FUNDS = "insufficient_funds"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    DO_NOT_HONOR = "do_not_honor"
    LIMIT_EXCEEDED = "limit_exceeded"
    PROCESSING_ERROR = "processing_error"
    AUTHENTICATION_FAILED = "authentication_failed"
    PENDING_EXPIRED = "pending_expired"
    NEVER_ARRIVED = "never_arrived"
    CARD_DECLINED = "card_declined"
    EXPIRED_CARD = "expired_card"
    LOST_CARD = "lost_card"
    STOLEN_CARD = "stolen_card"
    CLOSED_ACCOUNT = "closed_account"
    SEIZED_CARD = "seized_card"
    INVALID_CARD = "invalid_card"
    FRAUD_SUSPECTED = "fraud_suspected"
    SLIP_REFUSED = "slip_refused"
    REMITTANCE_FAILED = "remittance_failed"
    PARTIAL_REFUND_NOT_SUPPORTED = "partial_refund_not_supported"
    REFUND_NOT_SUPPORTED = "refund_not_supported"
    CUSTOMER_BLOCKED = "customer_blocked"
    PAYMENT_METHOD_BLOCKED = "payment_method_blocked"
    NOTHING_OWED = "nothing_owed"
    """Of a repayment: the rest came otherwise, or its link was closed, before a card was charged."""


_NEEDS_NEW_CARD: Final = frozenset(
    {
        DeclineCode.EXPIRED_CARD,
        DeclineCode.LOST_CARD,
        DeclineCode.STOLEN_CARD,
        DeclineCode.CLOSED_ACCOUNT,
        DeclineCode.SEIZED_CARD,
        DeclineCode.INVALID_CARD,
        DeclineCode.FRAUD_SUSPECTED,
    }
)
_BLOCKED: Final = frozenset({DeclineCode.CUSTOMER_BLOCKED, DeclineCode.PAYMENT_METHOD_BLOCKED})


def category_of(code: DeclineCode) -> DeclineCategory:
    if code in _NEEDS_NEW_CARD:
        return DeclineCategory.NEEDS_NEW_CARD
    if code in _BLOCKED:
        return DeclineCategory.BLOCKED
    return DeclineCategory.RETRYABLE
