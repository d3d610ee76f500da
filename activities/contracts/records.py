"""What a workflow may write down: the opening of a subscription, operations and their effects, catalogue entries.

Every write is one database transaction and idempotent by its request id (spec: interfaces.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from domain.money import Money
from domain.product import ProductTerms
from domain.projection import Row
from domain.resume import Skipped
from domain.subscription import Transition
from domain.terms import SubscriptionSpec, Terms

OPEN = "subscription.open"
RECORD = "subscription.record"
PUT_CUSTOMER = "catalogue.put_customer"
PUT_PRODUCT = "catalogue.put_product"
ADD_PAYMENT_METHOD = "catalogue.add_payment_method"
CLOSE_INCIDENT = "incidents.close"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenInput(_Frozen):
    """A subscription to be entered. `at` is the instant of creation, in its own time."""

    subscription_id: str
    request_id: str
    actor: str
    comment: str = ""
    at: datetime
    spec: SubscriptionSpec
    terms: Terms
    row: Row


class OpenResult(_Frozen):
    """`opened`; `duplicate` of an earlier request with the same content; or `refused` with a code."""

    outcome: Literal["opened", "duplicate", "refused"]
    subscription_id: str
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordInput(_Frozen):
    """Something happened to a subscription: an operation, a change of status, payments skipped.

    Attributes:
        request_id: of the operation; None for what the subscription does by itself.
        operation: the update's name (`suspend`, `resume`, …), or None.
        arguments: of the operation, as history shows them.
        row: the columns that change, as JSON values.
        payment: number of the payment that caused it, if one did.
        decline: the decline that caused it, if one did.
        payment_method_id: the new card, when it is changed.
        terms: needed to date the skipped payments.
        event_key: names this write for ever; a second run of the activity writes nothing more.
    """

    subscription_id: str
    at: datetime
    actor: str
    request_id: str | None = None
    operation: str | None = None
    comment: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    row: dict[str, Any] = Field(default_factory=dict)
    moves: list[Transition] = Field(default_factory=list)
    skipped: list[Skipped] = Field(default_factory=list)
    payment: int | None = None
    decline: str | None = None
    payment_method_id: str | None = None
    link: CardLink | None = None
    terms: Terms | None = None
    event_key: str


class CardLink(_Frozen):
    """A card change link: the database keeps the hash, only the caller ever has the token."""

    token_hash: str
    expires_at: datetime


class RecordResult(_Frozen):
    """`recorded`, `duplicate` (the request id was seen with this content), or `refused` with a code."""

    outcome: Literal["recorded", "duplicate", "refused"]
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class PutCustomer(_Frozen):
    id: str
    request_id: str
    actor: str
    email: str = ""
    name: str = ""
    at: datetime


class PutProduct(_Frozen):
    """A product as it is from now on; orders keep the terms they were placed with.

    `price` is from before products had terms: it stands there or in `terms`, and in both only if it is the same.
    """

    id: str
    request_id: str
    actor: str
    name: str
    price: Money | None = None
    terms: ProductTerms = ProductTerms()
    at: datetime


class AddPaymentMethod(_Frozen):
    """`token` is the gateway's; what may be shown of it is asked from the gateway."""

    id: str
    request_id: str
    actor: str
    customer_id: str
    token: str
    at: datetime


class CloseIncident(_Frozen):
    """A person has looked into an incident; `comment` says what came of it."""

    id: str
    request_id: str
    actor: str
    comment: str
    at: datetime


class Entry(_Frozen):
    """The catalogue entry as it now stands; its id is an older one when the request was a repetition."""

    id: str
    outcome: Literal["recorded", "duplicate", "refused"] = "recorded"
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordsContract:
    """Activities that write to the database only (and ask the gateway what a token is). Each can run twice."""

    @activity.defn(name=OPEN)
    async def open(self, order: OpenInput) -> OpenResult:
        raise NotImplementedError

    @activity.defn(name=RECORD)
    async def record(self, order: RecordInput) -> RecordResult:
        raise NotImplementedError

    @activity.defn(name=PUT_CUSTOMER)
    async def put_customer(self, order: PutCustomer) -> Entry:
        raise NotImplementedError

    @activity.defn(name=PUT_PRODUCT)
    async def put_product(self, order: PutProduct) -> Entry:
        raise NotImplementedError

    @activity.defn(name=ADD_PAYMENT_METHOD)
    async def add_payment_method(self, order: AddPaymentMethod) -> Entry:
        raise NotImplementedError

    @activity.defn(name=CLOSE_INCIDENT)
    async def close_incident(self, order: CloseIncident) -> Entry:
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [
            self.open,
            self.record,
            self.put_customer,
            self.put_product,
            self.add_payment_method,
            self.close_incident,
        ]


RecordInput.model_rebuild()
