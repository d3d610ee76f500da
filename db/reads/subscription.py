"""One subscription, whole: its row, every payment with its attempts, operations, and what happens next (§9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Table, select

from db.engine import Database
from db.reads.catalogue import (
    CustomerItem,
    PaymentMethodItem,
    ProductItem,
    customer_item,
    payment_method_item,
    product_item,
)
from db.reads.subscriptions import SubscriptionItem, item_of, single_query
from db.tables import attempts, customers, history, payment_methods, payments, products
from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.terms import Terms


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class AttemptDetail(_Shown):
    """One attempt. `sent_at` and `resolved_at` are in the subscription's time, `recorded_at` on our clock."""

    key: str
    attempt: int
    purpose: Literal["charge", "refund", "twin", "chargeback", "repayment", "receipt"]
    reference: str
    state: str
    payment_method_id: str
    amount: Money
    sent_at: datetime
    recorded_at: datetime
    resolved_at: datetime | None
    decline: str | None
    gateway_code: str | None
    gateway_id: str | None
    hint: str
    needs_verification: bool
    credit_id: str | None = None


class PaymentDetail(_Shown):
    number: int
    due_at: datetime
    amount: Money
    state: str
    settled_at: datetime | None
    skip_reason: str | None
    attempts: list[AttemptDetail]


class EventDetail(_Shown):
    """One event of history, as it was written."""

    seq: int
    kind: str
    at: datetime
    recorded_at: datetime
    actor: str
    comment: str
    payment: int | None
    data: dict[str, Any]


class SubscriptionDetail(SubscriptionItem):
    """Everything about one subscription. Instants are aware and in UTC; show them in `zone` too."""

    order_id: str | None
    terms: Terms
    metadata: dict[str, str]
    updated_at: datetime
    customer: CustomerItem
    product: ProductItem
    payment_method: PaymentMethodItem
    payments: list[PaymentDetail]
    history: list[EventDetail]

    @property
    def operations(self) -> list[EventDetail]:
        return [event for event in self.history if event.kind == "operation"]

    @property
    def skipped(self) -> list[PaymentDetail]:
        return [payment for payment in self.payments if payment.state == "skipped"]


async def show_subscription(db: Database, subscription_id: str) -> SubscriptionDetail:
    """The whole subscription, from one snapshot.

    Raises:
        TeikiError: `subscription_not_found`.
    """
    async with db.reading() as connection:
        row = (await connection.execute(single_query(subscription_id))).one_or_none()
        if row is None:
            raise TeikiError(
                ErrorCode.SUBSCRIPTION_NOT_FOUND,
                "There is no such subscription.",
                subscription_id=subscription_id,
            )

        async def of(table: Table, column: str, *order: str) -> list[Row[Any]]:
            query = select(table).where(table.c[column] == subscription_id)
            return list(await connection.execute(query.order_by(*(table.c[name] for name in order))))

        async def one(table: Table, entry_id: str) -> Row[Any]:
            return (await connection.execute(select(table).where(table.c.id == entry_id))).one()

        payment_rows = await of(payments, "object_id", "number")
        attempt_rows = await of(attempts, "object_id", "number", "seq")
        event_rows = await of(history, "subject_id", "at", "seq")
        customer = customer_item(await one(customers, row.customer_id))
        product = product_item(await one(products, row.product_id))
        method = payment_method_item(await one(payment_methods, row.payment_method_id))
    of_number: dict[int, list[AttemptDetail]] = {}
    for attempt in attempt_rows:
        of_number.setdefault(attempt.number, []).append(_attempt(attempt))
    return SubscriptionDetail(
        **item_of(row).model_dump(),
        order_id=row.order_id,
        terms=Terms.model_validate(row.terms),
        metadata=row._mapping["metadata"],
        updated_at=row.updated_at,
        customer=customer,
        product=product,
        payment_method=method,
        payments=[_payment(payment, of_number.get(payment.number, [])) for payment in payment_rows],
        history=[_event(event) for event in event_rows],
    )


def _payment(row: Row[Any], tries: list[AttemptDetail]) -> PaymentDetail:
    shown = {name: getattr(row, name) for name in ("number", "due_at", "state", "settled_at", "skip_reason")}
    amount = Money(minor=row.amount_minor, currency=row.currency)
    return PaymentDetail(**shown, amount=amount, attempts=tries)


def _attempt(row: Row[Any]) -> AttemptDetail:
    names = [name for name in AttemptDetail.model_fields if name != "amount"]
    shown = {name: getattr(row, name) for name in names}
    return AttemptDetail(**shown, amount=Money(minor=row.amount_minor, currency=row.currency))


def _event(row: Row[Any]) -> EventDetail:
    names = [name for name in EventDetail.model_fields if name != "payment"]
    return EventDetail(**{name: getattr(row, name) for name in names}, payment=row.number)
