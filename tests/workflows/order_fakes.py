"""Small real stand-ins for the activities of orders: they keep books in memory; the till has a truth of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.client import Client

from activities.contracts.billing import (
    CHARGE,
    REFUND,
    VERIFY,
    ChargeInput,
    Outcome,
    RefundInput,
    SlipDetails,
    Twin,
    VerifyInput,
    VerifyResult,
)
from activities.contracts.orders import (
    ADD_NOTE,
    IDENTIFY,
    OPEN_ORDER,
    RECORD_DEPOSIT,
    RECORD_ORDER,
    STOP_SUBSCRIPTION,
    AddNote,
    Identify,
    OpenOrderInput,
    OpenOrderResult,
    OrdersContract,
    RecordDepositInput,
    RecordOrderInput,
    StopResult,
    StopSubscription,
)
from activities.contracts.records import Entry, RecordResult
from activities.engine_commands import EngineCommands
from domain.declines import DeclineCode
from domain.order_terms import order_terms
from domain.product import ProductTerms
from domain.unresolved import Mode
from tests.workflows.fakes import FakeBilling

UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800)


@dataclass
class FakeSlip:
    """A slip in the payment company's book."""

    is_open: bool = True
    preliminary: bool = False
    payments: int = 0
    seen: int = 0


@dataclass
class FakeTill(FakeBilling):
    """Cards by the script of `FakeBilling`; slips by what customers did (`slips`), unless `slip_script` has an answer.

    `is_down`: it cannot be asked.
    """

    slips: dict[str, FakeSlip] = field(default_factory=dict)
    slip_script: list[Outcome] = field(default_factory=list)
    is_down: bool = False

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> Outcome:
        if order.konbini is None:
            return await FakeBilling.charge(self, order)
        self.charges.append(order)
        if self.gate is not None:
            await self.gate()
        if self.is_down:
            return UNKNOWN.model_copy(update={"resent": order.mode is Mode.SEND})
        if self.slip_script:
            return self.slip_script.pop(0)
        name = f"{order.object_id}/{order.number}"
        if order.mode in (Mode.SEND, Mode.RESEND):
            self.slips.setdefault(name, FakeSlip())
        return self._shown(name, order)

    def _shown(self, name: str, order: ChargeInput) -> Outcome:
        slip = self.slips.get(name)
        if slip is None:
            never = Outcome(outcome="declined", decline=DeclineCode.NEVER_ARRIVED)
            return never if order.mode is Mode.GIVE_UP else UNKNOWN
        if slip.payments:
            slip.seen = max(slip.seen, 1)
            return Outcome(outcome="settled")
        if order.mode is Mode.GIVE_UP and not slip.preliminary:
            slip.is_open = False
            return Outcome(outcome="declined", decline=DeclineCode.PENDING_EXPIRED)
        numbers = SlipDetails(payment_number="1234567890123") if order.mode is Mode.SEND else None
        return Outcome(outcome="pending", gateway_id=f"kb_{name}", preliminary=slip.preliminary, slip=numbers)

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> Outcome:
        if self.is_down:
            self.refunds.append(order)
            return UNKNOWN.model_copy(update={"resent": order.mode is Mode.SEND})
        return await FakeBilling.refund(self, order)

    @activity.defn(name=VERIFY)
    async def verify(self, order: VerifyInput) -> VerifyResult:
        if not order.konbini:
            return await FakeBilling.verify(self, order)
        self.verifications.append(order)
        slip = self.slips.get(f"{order.object_id}/{order.number}")
        if self.is_down or slip is None:
            return VerifyResult(is_clear=not self.is_down)
        late = range(slip.seen, slip.payments)
        slip.seen = slip.payments
        names = [f"ch_{order.object_id}_{order.number}_{n}" for n in late]
        return VerifyResult(is_clear=True, twins=[Twin(gateway_id=name, amount_minor=1000) for name in names])


@dataclass
class FakeOrders(OrdersContract):
    """Keeps what was written; orders are of one product, whose terms a test sets."""

    product: dict[str, Any] = field(default_factory=dict)
    opened: list[OpenOrderInput] = field(default_factory=list)
    written: list[RecordOrderInput] = field(default_factory=list)
    slips_written: list[RecordDepositInput] = field(default_factory=list)
    refuse: OpenOrderResult | None = None
    client: Client | None = None
    is_konbini_refundable: bool = True

    @activity.defn(name=OPEN_ORDER)
    async def open(self, order: OpenOrderInput) -> OpenOrderResult:
        if self.refuse is not None:
            return self.refuse
        self.opened.append(order)
        terms = order_terms(
            order.order_id,
            order.spec,
            "One",
            ProductTerms.model_validate(self.product),
            konbini_refundable=self.is_konbini_refundable,
        )
        return OpenOrderResult(outcome="opened", order_id=order.order_id, number="20230801-1", terms=terms)

    @activity.defn(name=RECORD_ORDER)
    async def record(self, order: RecordOrderInput) -> RecordResult:
        if all(earlier.event_key != order.event_key for earlier in self.written):
            self.written.append(order)
        return RecordResult(outcome="recorded")

    @activity.defn(name=RECORD_DEPOSIT)
    async def record_deposit(self, order: RecordDepositInput) -> None:
        self.slips_written.append(order)

    @activity.defn(name=STOP_SUBSCRIPTION)
    async def stop_subscription(self, order: StopSubscription) -> StopResult:
        assert self.client is not None
        commands = EngineCommands(self.client)
        stopped = await commands.cancel_subscription(
            order.subscription_id, request_id=order.request_id, actor=order.actor, comment=order.comment
        )
        return StopResult(outcome="stopped" if stopped else "ended")

    @activity.defn(name=ADD_NOTE)
    async def add_note(self, order: AddNote) -> Entry:
        return Entry(id=order.order_id)

    @activity.defn(name=IDENTIFY)
    async def identify(self, order: Identify) -> Entry:
        return Entry(id=order.permission_id)

    def changes(self, thing: str = "order") -> list[tuple[str | None, str, str]]:
        """Changes of status, as written: of the `order`, its `payment` or its `permission`."""
        events = [event for order in self.written for event in order.events if event.kind == "status"]
        return [
            (event.data["from"], event.data["to"], event.data["reason"])
            for event in events
            if event.data["object"] == thing
        ]
