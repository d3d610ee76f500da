"""Writing things down: the opening of a subscription, operations, catalogue entries.

Each activity is one database transaction that recognises its own second run. Refusals are values: the workflow turns
them into answers, and nothing was written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from temporalio import activity

from activities.contracts.records import (
    ADD_PAYMENT_METHOD,
    CLOSE_INCIDENT,
    OPEN,
    PUT_CUSTOMER,
    PUT_PRODUCT,
    RECORD,
    AddPaymentMethod,
    CloseIncident,
    Entry,
    OpenInput,
    OpenResult,
    PutCustomer,
    PutProduct,
    RecordInput,
    RecordResult,
    RecordsContract,
)
from db import catalogue, incidents, subscriptions
from db.engine import Database
from domain.errors import ErrorCode, TeikiError
from gateways.port import PaymentGateway


@dataclass(frozen=True)
class RecordsActivities(RecordsContract):
    """Writes to the database; asks the gateway only what a token may show."""

    db: Database
    gateway: PaymentGateway

    @activity.defn(name=OPEN)
    async def open(self, order: OpenInput) -> OpenResult:
        return OpenResult(**asdict(await subscriptions.open_subscription(self.db, order)))

    @activity.defn(name=RECORD)
    async def record(self, order: RecordInput) -> RecordResult:
        result = await subscriptions.record(self.db, order, event_key=order.event_key)
        return RecordResult(**asdict(result))

    @activity.defn(name=PUT_CUSTOMER)
    async def put_customer(self, order: PutCustomer) -> Entry:
        return Entry(**asdict(await catalogue.put_customer(self.db, order)))

    @activity.defn(name=PUT_PRODUCT)
    async def put_product(self, order: PutProduct) -> Entry:
        return Entry(**asdict(await catalogue.put_product(self.db, order)))

    @activity.defn(name=ADD_PAYMENT_METHOD)
    async def add_payment_method(self, order: AddPaymentMethod) -> Entry:
        details = await self.gateway.token_details(order.token)
        if details is None:
            return Entry(
                id=order.id,
                outcome="refused",
                code=ErrorCode.TOKEN_REFUSED.value,
                message="The payment company does not know this token.",
            )
        return Entry(**asdict(await catalogue.add_payment_method(self.db, order, details)))

    @activity.defn(name=CLOSE_INCIDENT)
    async def close_incident(self, order: CloseIncident) -> Entry:
        try:
            is_new = await incidents.close_incident(
                self.db, order.id, actor=order.actor, comment=order.comment, at=order.at
            )
        except TeikiError as error:
            if error.code is not ErrorCode.INCIDENT_NOT_FOUND:
                raise
            return Entry(
                id=order.id,
                outcome="refused",
                code=error.code.value,
                message=error.message,
                facts=error.facts,
            )
        return Entry(id=order.id, outcome="recorded" if is_new else "duplicate")
