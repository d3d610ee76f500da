"""Orders, money apart: entering them, writing down what happens, stopping a subscription (spec: orders.md).

Each write is one database transaction that recognises its own second run. Refusals are values: the workflow turns them
into answers, and nothing was written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from temporalio import activity

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
from db import deposits, order_notes, orders
from db.engine import Database
from db.order_shapes import KonbiniOffer
from gateways.port import PaymentGateway


@dataclass(frozen=True)
class OrdersActivities(OrdersContract):
    """Writes to the database; knows of the gateway what it offers; commands subscriptions through the engine."""

    db: Database
    gateway: PaymentGateway
    engine: EngineCommands

    @activity.defn(name=OPEN_ORDER)
    async def open(self, order: OpenOrderInput) -> OpenOrderResult:
        can = self.gateway.capabilities
        offer = KonbiniOffer(
            is_offered=can.konbini,
            is_refundable=can.konbini_refund != "none",
            amount_min=can.konbini_amount_min_minor,
            amount_max=can.konbini_amount_max_minor,
        )
        opened = await orders.open_order(self.db, order, offer)
        return OpenOrderResult(**{name: getattr(opened, name) for name in opened.__slots__})

    @activity.defn(name=RECORD_ORDER)
    async def record(self, order: RecordOrderInput) -> RecordResult:
        return RecordResult(**asdict(await orders.record_order(self.db, order)))

    @activity.defn(name=RECORD_DEPOSIT)
    async def record_deposit(self, order: RecordDepositInput) -> None:
        await deposits.record_deposit(self.db, order)

    @activity.defn(name=STOP_SUBSCRIPTION)
    async def stop_subscription(self, order: StopSubscription) -> StopResult:
        stopped = await self.engine.cancel_subscription(
            order.subscription_id, request_id=order.request_id, actor=order.actor, comment=order.comment
        )
        return StopResult(outcome="stopped" if stopped else "ended")

    @activity.defn(name=ADD_NOTE)
    async def add_note(self, order: AddNote) -> Entry:
        return Entry(**asdict(await order_notes.add_note(self.db, order)))

    @activity.defn(name=IDENTIFY)
    async def identify(self, order: Identify) -> Entry:
        return Entry(**asdict(await order_notes.identify(self.db, order)))
