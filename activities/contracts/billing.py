"""What a workflow may ask for where money is concerned.

The stubs are typed and named here; the implementations (`activities.billing`) subclass them with their
dependencies. A workflow that imports this module imports no database and no gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from temporalio import activity

from domain.declines import DeclineCode
from domain.subscription import Transition
from domain.unresolved import Mode

CHARGE = "billing.charge"
REFUND = "billing.refund"
VERIFY = "billing.verify"


ObjectId = Annotated[str, Field(validation_alias=AliasChoices("object_id", "subscription_id"))]
"""Whose money it is: a subscription's or an order's. Under its older name in what was written before orders."""


class Verdict(BaseModel):
    """A person's word on an attempt that nobody else could settle.

    Attributes:
        moved: the money moved (charged, or returned); else it did not and never will.
        gateway_id: where the gateway shows it; needed with `moved`, and checked there.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    moved: bool
    gateway_id: str | None = None


class SlipOrder(BaseModel):
    """The charge is a Konbini slip to be issued, and paid at a till (spec: orders.md §4)."""

    model_config = ConfigDict(frozen=True)

    store: str
    customer_name: str
    phone: str
    deadline_at: datetime


class RepaymentOrder(BaseModel):
    """The charge is a repayment: for a payment that was charged back, from the card the customer chose for it (spec:
    customers.md §4).
    """

    model_config = ConfigDict(frozen=True)

    repayment_id: str
    payment_method_id: str


class SlipDetails(BaseModel):
    """What the customer needs at the till."""

    model_config = ConfigDict(frozen=True)

    payment_number: str
    confirmation_number: str = ""


class ChargeInput(BaseModel):
    """One question about one attempt: send it, ask about it, send it again, or give it up.

    Attributes:
        at: the instant the attempt was first sent, in the subscription's time (a scenario's clock included).
        amount_minor: minor units of `currency`.
        row: the subscription's columns after success, as JSON values: only those that change.
        moves: the changes of status that success brings.
        learned_at: the instant of this question, when it is not the sending itself: what history dates by.
        turn: which question about this attempt this is; a re-send is claimed under it, once.
        verdict: a person settles it; the gateway is asked first and knows better.
        konbini: it is a slip; None: a card is charged, in so many `installments` or at once.
        repayment: it is the charge of a repayment link, which takes no more than is owed.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    object_id: ObjectId
    number: int
    attempt: int
    due_at: datetime
    at: datetime
    amount_minor: int
    currency: str
    row: dict[str, Any]
    mode: Mode = Mode.SEND
    turn: int = 0
    learned_at: datetime | None = None
    moves: list[Transition] = Field(default_factory=list)
    verdict: Verdict | None = None
    konbini: SlipOrder | None = None
    installments: int | None = None
    repayment: RepaymentOrder | None = None


class Outcome(BaseModel):
    """What became of an attempt. Unknown is a value here, so that no retry machinery can hide it.

    Attributes:
        outcome: `attention` waits for a person; the others as the gateway's port names them.
        decline: why, when declined.
        horizon_s: seconds a missed request may still take effect; with `unknown`.
        key_ttl_s: seconds the gateway remembers a key; with `unknown`.
        resent: the request may have gone out until just now, so the horizon counts from now.
        retry_after_s: seconds for which the gateway asked to be left alone; with `unsent`.
        verify_in_s: there was a doubt on the way: look at the gateway's book once more after so many seconds.
        hint: what was seen, for people.
        gateway_id, preliminary, slip: of a slip that is pending: its name at the gateway, whether the store says that
            it was paid, and its numbers. `paid_at`: of one that was paid, when, by the store's clock.
        returned_minor: of a refund that settled: what really went back; less than was planned when credits came first.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    outcome: Literal["settled", "declined", "pending", "unknown", "unsent", "attention"]
    decline: DeclineCode | None = None
    horizon_s: int | None = None
    key_ttl_s: int | None = None
    resent: bool = False
    retry_after_s: int | None = None
    verify_in_s: int | None = None
    hint: str = ""
    gateway_id: str | None = None
    preliminary: bool = False
    slip: SlipDetails | None = None
    paid_at: datetime | None = None
    returned_minor: int | None = None


class RefundInput(BaseModel):
    """Give money back: what is left of a settled payment, a second charge for it, or what a credit reserved.

    Attributes:
        at: when it was first asked for.
        returns: the gateway's id of a second charge; None: the payment's own charge.
        attempt: rises only when a person answered a refusal with "again".
        mode, turn, verdict: as for a charge.
        bank_account: a token of the gateway's, where the money goes back as a remittance; None: it asks the customer.
        credit_id: it is this credit's refund.
        repayment_id: the second charge was a repayment's.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    object_id: ObjectId
    number: int
    at: datetime
    reason: str
    mode: Mode = Mode.SEND
    turn: int = 0
    returns: str | None = None
    attempt: int = 1
    verdict: Verdict | None = None
    bank_account: str | None = None
    credit_id: str | None = None
    repayment_id: str | None = None


class VerifyInput(BaseModel):
    """Look once more at what the gateway holds under the reference of an attempt.

    Attributes:
        at: the instant of the look.
        konbini: it is a slip: late or second money on it is no incident, and slips that nobody needs are voided.
        credit_id: it is this credit's refund; what is found beyond it is booked as returned, too.
        repayment_id: it is an attempt of this repayment.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    object_id: ObjectId
    number: int
    attempt: int
    at: datetime
    konbini: bool = False
    credit_id: str | None = None
    repayment_id: str | None = None


class Twin(BaseModel):
    """A charge at the gateway that our books do not need: it goes back. `amount_minor`: in the payment's currency."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    gateway_id: str
    amount_minor: int


class VerifyResult(BaseModel):
    """`is_clear`: nothing is open any more; `twins`: booked and to be returned, also when found before."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    is_clear: bool
    twins: list[Twin] = Field(default_factory=list)


class BillingContract:
    """Activities that talk to the payment company. Each can run twice."""

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> Outcome:
        """Bring one attempt forward (spec: charging.md §2)."""
        raise NotImplementedError

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> Outcome:
        """Return what is left of a settled payment, or one credit, under one key for ever."""
        raise NotImplementedError

    @activity.defn(name=VERIFY)
    async def verify(self, order: VerifyInput) -> VerifyResult:
        """List the attempt's reference at the gateway; book a second charge and open an incident."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.charge, self.refund, self.verify]
