"""The payment history of an order: one entry per charge, slip and return of money (spec: orders.md §9).

An entry's category is said of itself, not of the order: a slip that expired stays `payment_deadline_expired` beside the
later one that was paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row

from domain.money import Money

Category = Literal[
    "payment_pending",
    "payment_complete",
    "payment_failed",
    "payment_deadline_expired",
    "cancel_before_payment",
    "refund_pending",
    "refunded",
    "refund_failed",
    "chargeback",
    "repayment_pending",
    "repaid",
    "repayment_failed",
]

_OF_SLIP: Final[dict[str, Category]] = {
    "requested": "payment_pending",
    "issued": "payment_pending",
    "preliminary": "payment_pending",
    "paid": "payment_complete",
    "expired": "payment_deadline_expired",
    "canceled": "cancel_before_payment",
    "failed": "payment_failed",
}
_OF_CHARGE: Final[dict[str, Category]] = {
    "settled": "payment_complete",
    "declined": "payment_failed",
    "abandoned": "cancel_before_payment",
}
_OF_RETURN: Final[dict[str, Category]] = {
    "settled": "refunded",
    "declined": "refund_failed",
    "abandoned": "refund_failed",
}
_OF_REPAYMENT: Final[dict[str, Category]] = {
    "settled": "repaid",
    "declined": "repayment_failed",
    "abandoned": "repayment_failed",
}
_RETURNS: Final = frozenset({"refund", "twin", "chargeback"})


class PaymentEntry(BaseModel):
    """One line of the payment history.

    Attributes:
        reason: of a cancellation, a refund or a refusal; None where there is nothing to explain.
        pay: the payment method; `installments` is None for a one-time payment.
        transaction_id: ours, under which the payment company knows it.
        payment_number: of the payment in the books; `slip_number` is what the customer types in at the store.
        approval_number: the payment company's.
        requested_at: when it was asked for; `approved_at`: when the payment company said yes.
        is_return: money that goes back. `waits_for_a_person`: nobody could find out its outcome, or it was refused.
    """

    model_config = ConfigDict(frozen=True)

    category: Category
    reason: str | None = None
    pay: str
    installments: int | None = None
    transaction_id: str | None = None
    payment_number: int
    slip_number: str | None = None
    approval_number: str | None = None
    price: Money
    requested_at: datetime
    approved_at: datetime | None = None
    is_return: bool = False
    waits_for_a_person: bool = False


def payment_history(
    *,
    pay: str,
    installments: int | None,
    attempts: Iterable[Row[Any]],
    slips: Sequence[Row[Any]],
    refund_reasons: Mapping[tuple[int, str | None], str],
    cancel_reason: str | None,
) -> list[PaymentEntry]:
    """The entries in the order of their requests.

    Args:
        pay: the order's payment method; nothing is shown for `none`.
        installments: into how many parts a card payment is divided.
        attempts: rows of the order's and its subscription's movements of money.
        slips: rows of its Konbini slips.
        refund_reasons: why money went back, by the payment's number and, where it was no charge of ours that was
            returned (a second one, late money), that charge's id.
        cancel_reason: the canceled order's.
    """
    if pay == "none":
        return []
    of_number = {slip.number: slip for slip in slips}
    entries, asked = [], set()
    for attempt in attempts:
        slip = of_number.get(attempt.number) if attempt.purpose == "charge" else None
        asked.add(attempt.number if slip is not None else None)
        category, reason = _judged(attempt, slip, refund_reasons, cancel_reason)
        entries.append(
            PaymentEntry(
                category=category,
                reason=reason,
                pay=pay,
                installments=installments if attempt.purpose == "charge" else None,
                transaction_id=attempt.reference,
                payment_number=attempt.number,
                slip_number=slip.payment_number or None if slip is not None else None,
                approval_number=attempt.gateway_id,
                price=Money(minor=attempt.amount_minor, currency=attempt.currency),
                requested_at=attempt.sent_at,
                approved_at=attempt.resolved_at if attempt.state == "settled" else None,
                is_return=attempt.purpose in _RETURNS,
                waits_for_a_person=attempt.state == "attention",
            )
        )
    entries += [_of_slip(slip) for slip in slips if slip.number not in asked]
    return sorted(entries, key=lambda entry: (entry.requested_at, entry.payment_number))


def _judged(
    attempt: Row[Any],
    slip: Row[Any] | None,
    refund_reasons: Mapping[tuple[int, str | None], str],
    cancel_reason: str | None,
) -> tuple[Category, str | None]:
    if attempt.purpose == "chargeback":
        return "chargeback", None
    if attempt.purpose in ("repayment", "receipt"):
        return _OF_REPAYMENT.get(attempt.state, "repayment_pending"), attempt.decline
    if attempt.purpose != "charge":
        of_ours = attempt.purpose == "refund"
        known = refund_reasons.get((attempt.number, attempt.credit_id if of_ours else attempt.returns))
        why = known or (None if of_ours else "double_charge")
        return _OF_RETURN.get(attempt.state, "refund_pending"), attempt.decline or why
    if slip is not None and attempt.state != "settled":
        return _OF_SLIP[slip.status], _reason_of(slip)
    category = _OF_CHARGE.get(attempt.state, "payment_pending")
    why = cancel_reason if category == "cancel_before_payment" else None
    return category, attempt.decline or why


def _of_slip(slip: Row[Any]) -> PaymentEntry:
    """A slip that no movement of money belongs to: it was never asked for."""
    return PaymentEntry(
        category=_OF_SLIP[slip.status],
        reason=_reason_of(slip),
        pay="konbini",
        payment_number=slip.number,
        slip_number=slip.payment_number or None,
        approval_number=slip.gateway_id,
        price=Money(minor=slip.amount_minor, currency=slip.currency),
        requested_at=slip.created_at,
        approved_at=slip.paid_at,
    )


def _reason_of(slip: Row[Any]) -> str | None:
    return slip.reason if slip.status in ("expired", "canceled", "failed") else None
