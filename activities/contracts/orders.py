"""What an order's workflows may ask for, money apart: entering it, writing down what happened, stopping a subscription.

Every write is one database transaction and idempotent by its request id or event key (spec: orders.md, interfaces.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from activities.contracts.billing import SlipDetails
from activities.contracts.records import Entry, RecordResult
from domain.deposit import DepositMove, DepositStatus
from domain.money import Money
from domain.order_state import Event
from domain.order_terms import KonbiniSpec, OrderSpec, OrderTerms
from domain.permission import Permission

OPEN_ORDER = "orders.open"
RECORD_ORDER = "orders.record"
RECORD_DEPOSIT = "orders.record_deposit"
STOP_SUBSCRIPTION = "orders.stop_subscription"
ADD_NOTE = "orders.add_note"
IDENTIFY = "orders.identify"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenOrderInput(_Frozen):
    """An order to be entered. `at` is the instant of placing it, in its own time."""

    order_id: str
    request_id: str
    actor: str
    comment: str = ""
    at: datetime
    spec: OrderSpec


class OpenOrderResult(_Frozen):
    """`opened` with what the order keeps; `duplicate` of an earlier request; or `refused` with a code.

    Attributes:
        number: for people: unique and sortable.
        terms: what it was bought with: the spec together with what the product said at that moment.
        custom_fields, identification: the answers as they are kept.
    """

    outcome: Literal["opened", "duplicate", "refused"]
    order_id: str
    number: str = ""
    terms: OrderTerms | None = None
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    identification: dict[str, str] = Field(default_factory=dict)
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordOrderInput(_Frozen):
    """Something happened to an order: an operation, a change of status, points, a permission.

    Attributes:
        request_id: of the operation; None for what the order does by itself.
        row: the columns that change, as JSON values.
        events: what history keeps, in order.
        permission: as it stands now, when it changed; its first writing gives the membership number.
        numbered: that membership number is wanted.
        identification: about the holder, with the permission's first writing.
        custom_fields: the answers as they stand now, when they changed.
        payment: number of the payment that caused it, if one did.
        credit_ids: the credits that the row counts as refunded from now on.
        event_key: names this write for ever; a second run of the activity writes nothing more.
    """

    order_id: str
    at: datetime
    actor: str
    request_id: str | None = None
    operation: str | None = None
    comment: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    row: dict[str, Any] = Field(default_factory=dict)
    events: tuple[Event, ...] = ()
    permission: Permission | None = None
    numbered: bool = False
    identification: dict[str, str] = Field(default_factory=dict)
    custom_fields: dict[str, Any] | None = None
    payment: int | None = None
    credit_ids: tuple[str, ...] = ()
    event_key: str


class RecordDepositInput(_Frozen):
    """A slip as it stands now. `slip`: when it was issued just now."""

    deposit_id: str
    order_id: str
    number: int
    at: datetime
    konbini: KonbiniSpec
    amount: Money
    deadline_at: datetime
    final_at: datetime
    status: DepositStatus
    reason: str
    gateway_id: str | None = None
    slip: SlipDetails | None = None
    moves: tuple[DepositMove, ...] = ()
    paid_at: datetime | None = None
    event_key: str


class StopSubscription(_Frozen):
    """End an order's subscription now; `request_id` makes it once."""

    subscription_id: str
    request_id: str
    actor: str
    comment: str = ""


class StopResult(_Frozen):
    """`stopped`, or `ended` before."""

    outcome: Literal["stopped", "ended"]


class AddNote(_Frozen):
    """An internal note, by an admin."""

    order_id: str
    request_id: str
    actor: str
    text: str
    at: datetime


class Identify(_Frozen):
    """Identification information of a permission: by an admin at any time, by its customer once."""

    permission_id: str
    request_id: str
    actor: str
    comment: str = ""
    identification: dict[str, str]
    at: datetime


class OrdersContract:
    """Activities about orders that move no money. Each can run twice."""

    @activity.defn(name=OPEN_ORDER)
    async def open(self, order: OpenOrderInput) -> OpenOrderResult:
        raise NotImplementedError

    @activity.defn(name=RECORD_ORDER)
    async def record(self, order: RecordOrderInput) -> RecordResult:
        raise NotImplementedError

    @activity.defn(name=RECORD_DEPOSIT)
    async def record_deposit(self, order: RecordDepositInput) -> None:
        raise NotImplementedError

    @activity.defn(name=STOP_SUBSCRIPTION)
    async def stop_subscription(self, order: StopSubscription) -> StopResult:
        raise NotImplementedError

    @activity.defn(name=ADD_NOTE)
    async def add_note(self, order: AddNote) -> Entry:
        raise NotImplementedError

    @activity.defn(name=IDENTIFY)
    async def identify(self, order: Identify) -> Entry:
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [
            self.open,
            self.record,
            self.record_deposit,
            self.stop_subscription,
            self.add_note,
            self.identify,
        ]
