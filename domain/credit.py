"""Credits: money of a settled payment that goes back because somebody asked for it (spec: customers.md §3).

A credit is the whole balance of a payment or a part of it. The balance is what was settled less everything that went
back or is on its way back; it is counted in one place, in the database under a lock on the payment
(`db.balances`). What may be asked for is decided here; the money moves by the protocol of all money
(`domain.unresolved`), in a workflow of the credit's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.refunds import RefundDue
from domain.unresolved import InFlight, Verification

CHARGEABLE_KINDS: Final = frozenset({"card", "sepa_debit"})
"""Payment methods that are charged by us whenever a payment is due."""
WIRE_KINDS: Final = frozenset({"sepa_debit", "bank_transfer"})
"""Payment methods whose payer can take the money back by himself: what was returned in part may go back whole too."""


class CreditStatus(StrEnum):
    """`open`: its money is reserved and on its way; `returned`; `failed`: a person said that it never will be."""

    OPEN = "open"
    RETURNED = "returned"
    FAILED = "failed"


class CreditFact(BaseModel):
    """What a credit tells the order that is concerned, and what the order remembers of it.

    Attributes:
        object_id: whose payment it is: the order's own, or its subscription's.
        is_counted: the order counts it as refunded; only the order says so.
    """

    model_config = ConfigDict(frozen=True)

    credit_id: str
    object_id: str
    number: int
    amount_minor: int
    status: CreditStatus
    is_counted: bool = False


class CreditState(BaseModel):
    """What a running credit remembers. Fields only grow, with defaults.

    Attributes:
        order_id: the order that is concerned, if one is.
        due: its money on its way; None: decided.
        verifications: the second looks at what had a doubt on the way.
        told: the status that the order knows.
        blocks: the customer is still to be blocked, by this actor.
    """

    id: str
    object_id: str
    number: int
    amount: Money
    status: CreditStatus = CreditStatus.OPEN
    reason: str = "asked"
    order_id: str | None = None
    customer_id: str
    bank_account: str | None = None
    due: RefundDue | None = None
    verifications: tuple[Verification, ...] = ()
    told: CreditStatus | None = None
    blocks: str | None = None

    @property
    def fact(self) -> CreditFact:
        return CreditFact(
            credit_id=self.id,
            object_id=self.object_id,
            number=self.number,
            amount_minor=self.amount.minor,
            status=self.status,
        )

    @property
    def next_verification(self) -> Verification | None:
        return min(self.verifications, key=lambda verification: verification.next_at, default=None)

    @property
    def has_news(self) -> bool:
        """The order concerned does not know how it stands."""
        return self.order_id is not None and self.told is not self.status


class Step(NamedTuple):
    """What a credit does next, and when; None: now."""

    kind: Literal["block", "tell", "refund", "verify"]
    at: datetime | None


def next_step(state: CreditState) -> Step | None:
    """The next step; None: it is over. The block comes first, because nothing is to be charged meanwhile."""
    if state.blocks is not None:
        return Step("block", None)
    if state.has_news:
        return Step("tell", None)
    verification = state.next_verification
    flight = state.due.flight if state.due is not None else None
    if verification is not None and (flight is None or verification.next_at < flight.next_at):
        return Step("verify", verification.next_at)
    return Step("refund", flight.next_at) if flight is not None else None


def close(state: CreditState, status: CreditStatus, reason: str) -> None:
    state.status, state.reason, state.due = status, reason, None


def verify_later(state: CreditState, attempt: int, now: datetime, *, in_s: int) -> None:
    """It got its outcome after a doubt: the gateway's book is looked at once more, one horizon later."""
    doubt = Verification(number=state.number, attempt=attempt, next_at=now + timedelta(seconds=in_s))
    state.verifications = (*state.verifications, doubt)


def accepted(
    credit_id: str,
    *,
    object_id: str,
    number: int,
    amount: Money,
    order_id: str | None,
    customer_id: str,
    bank_account: str | None,
    blocks: str | None,
    now: datetime,
) -> CreditState:
    """A credit whose money was reserved just now, and has not left yet."""
    due = RefundDue(number=number, amount_minor=amount.minor, sent_at=now, flight=InFlight.unsent(now))
    return CreditState(
        id=credit_id,
        object_id=object_id,
        number=number,
        amount=amount,
        order_id=order_id,
        customer_id=customer_id,
        bank_account=bank_account,
        due=due,
        blocks=blocks,
    )


def ask_again(state: CreditState, now: datetime) -> None:
    """A person wants the refused attempt asked for once more, under a key of its own; what it reserved stays."""
    assert state.due is not None
    state.due = state.due.model_copy(
        update={"attempt": state.due.attempt + 1, "flight": InFlight.unsent(now), "sent_at": now}
    )


def hurry(state: CreditState, now: datetime) -> bool:
    """The payment company has news: what is in flight is asked about now."""
    flight = state.due.flight if state.due is not None else None
    if flight is None or flight.state not in ("unknown", "pending") or flight.next_at <= now:
        return False
    flight.next_at = now
    return True


def require_waiting(state: CreditState) -> RefundDue:
    """What a person is to settle.

    Raises:
        TeikiError: `nothing_to_settle`.
    """
    if state.due is None or state.due.flight.state != "attention":
        raise TeikiError(
            ErrorCode.NOTHING_TO_SETTLE,
            "Nothing of this credit waits for a person; while the gateway is still asked, wait.",
            credit_id=state.id,
        )
    return state.due


# ---------------------------------------------------------------------- what may be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Creditable:
    """A settled payment, as its credit is judged.

    Attributes:
        settled_minor: what was paid; `balance_minor`: what is left of it. Minor units of `currency`.
        method: kind of the payment method.
        partial: the gateway returns parts; `konbini`: it returns what was paid at a till.
    """

    settled_minor: int
    balance_minor: int
    currency: str
    method: str
    partial: bool
    konbini: bool


def agreed_amount(payment: Creditable, amount: Money | None, *, accept_risk: bool) -> Money:
    """What is returned.

    Args:
        payment: what is left of it, counted under its lock.
        amount: what was asked for; None: everything that is left.
        accept_risk: "I understand the risk and want to proceed".

    Raises:
        TeikiError: `currency_mismatch`; `credit_exceeds_balance` with the balance; `refund_not_supported`,
            `partial_refund_not_supported`; `risk_not_accepted`.
    """
    balance = Money(minor=max(0, payment.balance_minor), currency=payment.currency)
    wanted = amount if amount is not None else balance
    if wanted.currency != payment.currency:
        raise TeikiError(
            ErrorCode.CURRENCY_MISMATCH,
            "A payment is returned in its own currency.",
            expected=payment.currency,
            got=wanted.currency,
        )
    if not 0 < wanted.minor <= balance.minor:
        raise TeikiError(
            ErrorCode.CREDIT_EXCEEDS_BALANCE,
            f"Of this payment {balance} can be returned.",
            balance=balance.model_dump(),
            asked=None if amount is None else amount.model_dump(),
        )
    _require_possible(payment, is_partial=wanted.minor != payment.settled_minor, accept_risk=accept_risk)
    return wanted


def _require_possible(payment: Creditable, *, is_partial: bool, accept_risk: bool) -> None:
    if payment.method == "konbini" and not payment.konbini:
        raise TeikiError(
            ErrorCode.REFUND_NOT_SUPPORTED, "The payment company cannot return a paid Konbini deposit."
        )
    if is_partial and (payment.method == "konbini" or not payment.partial):
        what = "A Konbini deposit" if payment.method == "konbini" else "At this payment company a payment"
        raise TeikiError(ErrorCode.PARTIAL_REFUND_NOT_SUPPORTED, f"{what} is returned whole.")
    if is_partial and payment.method in WIRE_KINDS and not accept_risk:
        raise TeikiError(
            ErrorCode.RISK_NOT_ACCEPTED,
            "The payer of such a payment can take it back as well: say that you understand the risk.",
            method=payment.method,
        )


def is_returned_whole(*, pay_is_recurring: bool, paid_minor: int, refunded_minor: int) -> bool:
    """Whether an order's payment is shown as refunded: all of it went back. A subscription goes on all the same."""
    return not pay_is_recurring and 0 < paid_minor <= refunded_minor


def remembered(known: Sequence[CreditFact], fact: CreditFact) -> tuple[CreditFact, ...]:
    """The facts an order remembers after it was told one. What has ended stays ended, whatever comes late."""
    by_id = {credit.credit_id: credit for credit in known}
    before = by_id.get(fact.credit_id)
    if before is None or before.status is CreditStatus.OPEN:
        by_id[fact.credit_id] = fact
    return tuple(by_id.values())
