"""What an order remembers, and what is told to it: its statuses, its slip, its subscription (spec: orders.md §§2–6).

`State` travels with the workflow for as long as the order lives. What changes it is in `order` and `order_operations`.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from domain.credit import CreditFact, CreditStatus
from domain.deposit import ENDED as ENDED_DEPOSIT
from domain.deposit import DepositStatus
from domain.order_terms import OrderTerms, Pay
from domain.permission import Permission
from domain.refunds import RefundDue
from domain.subscription import Status as SubscriptionStatus
from domain.unresolved import InFlight, Verification


class OrderStatus(StrEnum):
    IN_PROCESS = "in_process"
    COMPLETE = "complete"
    PURCHASE_CONFIRMED = "purchase_confirmed"
    EXPIRED = "expired"
    CANCELED = "canceled"


FINAL: Final = frozenset({OrderStatus.EXPIRED, OrderStatus.CANCELED})

TRANSITIONS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.IN_PROCESS: frozenset({OrderStatus.COMPLETE, OrderStatus.CANCELED}),
    # Back to in_process: only when a preliminary notice is taken back.
    OrderStatus.COMPLETE: frozenset(
        {
            OrderStatus.PURCHASE_CONFIRMED,
            OrderStatus.EXPIRED,
            OrderStatus.CANCELED,
            OrderStatus.IN_PROCESS,
        }
    ),
    OrderStatus.PURCHASE_CONFIRMED: frozenset(
        {OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.IN_PROCESS}
    ),
    OrderStatus.EXPIRED: frozenset(),
    OrderStatus.CANCELED: frozenset(),
}


class PaymentStatus(StrEnum):
    NO_PAYMENT = "no_payment"
    PAYMENT_PENDING = "payment_pending"
    PAYMENT_DEADLINE_EXPIRED = "payment_deadline_expired"
    CANCEL_BEFORE_PAYMENT = "cancel_before_payment"
    PAYMENT_COMPLETED = "payment_completed"
    RECURRING_PAYMENT = "recurring_payment"
    REFUNDED = "refunded"
    RECURRING_PAYMENT_CANCELED = "recurring_payment_canceled"


class Event(BaseModel):
    """What history keeps: `status` (object, from, to, reason), `points`, `custom_fields` (before, after)."""

    kind: Literal["status", "points", "custom_fields"]
    data: dict[str, Any]


class OrderRefund(RefundDue):
    """Money of this order on its way back.

    Attributes:
        object_id: whose payment it is: the order's own, or its subscription's.
        why: in history.
        bank_account: a token of the payment company's, for a remittance; None: it asks the customer.
        again: it was refused, and a person asked for it again: the refused attempt is closed, a new one follows.
    """

    object_id: str
    why: str
    bank_account: str | None = None
    again: bool = False


class DepositFact(BaseModel):
    """What a slip tells its order. `paid_at`: when the customer paid; it may be learned much later."""

    deposit_id: str
    number: int
    status: DepositStatus
    reason: str
    at: datetime
    paid_at: datetime | None = None


class SubscriptionFact(BaseModel):
    """What a subscription tells its order.

    Attributes:
        paid_until: when the period of the last payment ends.
        charged_minor: all payments made, in minor units; of the last one `last_number` and `last_amount_minor`.
    """

    status: SubscriptionStatus
    charges: int
    charged_minor: int = 0
    paid_until: datetime | None = None
    next_payment_at: datetime | None = None
    last_number: int | None = None
    last_amount_minor: int | None = None


class Slip(BaseModel):
    """A slip of the order, as its own workflow told it last.

    Attributes:
        is_started: its workflow runs.
        cancel: why it is to be voided; `is_told`: its workflow knows.
        told_at: the instant of its latest news.
    """

    deposit_id: str
    number: int
    status: DepositStatus = DepositStatus.REQUESTED
    is_started: bool = False
    cancel: str | None = None
    is_told: bool = False
    told_at: datetime | None = None

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED_DEPOSIT


class State(BaseModel):
    """Everything an order remembers; fields only grow, with defaults. Collections are tuples.

    Attributes:
        paid_number: of the payment that paid it; `paid_minor` in minor units of the price's currency.
        is_preliminary: completed by a preliminary notice; the money is not there yet.
        attempt: attempts at the card that got a definite answer.
        slip: the one that can be paid, or the last one; `earlier_slip`: one that must be voided before it is issued.
        paid_slips: numbers of the slips whose money was counted.
        credits: of its payments, as they were told last.
        subscription: what it told last; `subscription_cancel`: it is still to be stopped, and by whom.
    """

    id: str
    number: str
    customer_id: str
    product_id: str
    terms: OrderTerms
    status: OrderStatus = OrderStatus.IN_PROCESS
    reason: str = "placed"
    payment_status: PaymentStatus
    paid_number: int | None = None
    paid_minor: int = 0
    refunded_minor: int = 0
    is_preliminary: bool = False
    payments: int = 0
    completed_at: datetime | None = None
    confirmed_at: datetime | None = None
    permission: Permission | None = None
    permission_id: str
    points_earned: int = 0
    attempt: int = 0
    in_flight: InFlight | None = None
    refunds: tuple[OrderRefund, ...] = ()
    refund_requests: int = 0
    verifications: tuple[Verification, ...] = ()
    slip: Slip | None = None
    earlier_slip: Slip | None = None
    slips: int = 0
    paid_slips: tuple[int, ...] = ()
    subscription_id: str | None = None
    subscription_started: bool = False
    subscription: SubscriptionFact | None = None
    subscription_cancel: str | None = None
    expires_on: date | None = None
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    credits: tuple[CreditFact, ...] = ()

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_at_rest(self) -> bool:
        """Nothing is under way: no money, no slip to void, no subscription to stop."""
        return (
            self.in_flight is None
            and not self.refunds
            and not self.verifications
            and self.subscription_cancel is None
            and self.earlier_slip is None
            and (self.slip is None or self.slip.is_ended)
        )

    @property
    def next_refund(self) -> OrderRefund | None:
        return min(self.refunds, key=lambda refund: refund.flight.next_at, default=None)

    @property
    def next_verification(self) -> Verification | None:
        return min(self.verifications, key=lambda verification: verification.next_at, default=None)

    @property
    def points_expected(self) -> int:
        """Shown until they are earned; none for an order that will not be confirmed any more."""
        return 0 if self.is_final or self.points_earned else self.terms.points

    @property
    def refundable_minor(self) -> int:
        """What a cancellation returns now: the paid amount less what went back, or the last recurring payment."""
        if self.terms.pay is Pay.RECURRING:
            return self._last_payment_left
        if self.paid_number is None:
            return 0
        # A second slip's money may be on its way back: it belongs to the customer already.
        leaving = sum(refund.amount_minor for refund in self.refunds if refund.returns is None)
        return max(0, self.paid_minor - self.refunded_minor - leaving - self._credited(None))

    @property
    def _last_payment_left(self) -> int:
        fact = self.subscription
        if fact is None or fact.last_amount_minor is None:
            return 0
        return max(0, fact.last_amount_minor - self._credited(fact.last_number))

    def _credited(self, number: int | None) -> int:
        """What credits took and the sums do not show: of a subscription's payment all, of the order's the open ones."""
        return sum(
            credit.amount_minor
            for credit in self.credits
            if credit.status is not CreditStatus.FAILED
            and (credit.number == number if number is not None else not credit.is_counted)
        )

    @property
    def ends_at(self) -> datetime | None:
        """When the permission ends; for a running subscription that is open."""
        return self.permission.ends_at if self.permission else None
