"""Builders for database tests: a customer with a card, a product, a subscription, its payments."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activities.contracts.blocking import ChangeBlocks, Do
from activities.contracts.records import (
    AddPaymentMethod,
    OpenInput,
    PutCustomer,
    PutProduct,
    RecordInput,
)
from db.attempts import Begun, begin_attempt, settle_attempt
from db.blocking import BlockChange, change_blocks
from db.catalogue import add_payment_method, put_customer, put_product
from db.engine import Database
from db.subscriptions import open_subscription
from domain.billing_calendar import UTC
from domain.identifiers import charge_reference, idempotency_key, refund_reference
from domain.money import Money
from domain.projection import row_of
from domain.subscription import State, Transition
from domain.terms import SubscriptionSpec, agree
from gateways.port import TokenDetails

NOW = datetime(2026, 1, 31, 22, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:8]}{next(_numbers):06d}"


def transition(old: str, new: str, reason: str = "because") -> Transition:
    return Transition.model_validate({"from": old, "to": new, "reason": reason})


def charge_key(subscription_id: str, number: int, attempt: int) -> str:
    return idempotency_key("charge", charge_reference(subscription_id, number, attempt))


@dataclass(frozen=True)
class Tenant:
    """A customer with a card and a product to pay for."""

    customer_id: str
    card_id: str
    product_id: str


class House:
    """Everything a test needs to exist before it starts."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def tenant(self, *, email: str = "", name: str = "", **card: Any) -> Tenant:
        customer_id, product_id = unique("cus"), unique("prod")
        await put_customer(
            self.db,
            PutCustomer(
                id=customer_id, request_id=unique("req"), actor="test", at=NOW, email=email, name=name
            ),
        )
        await put_product(
            self.db,
            PutProduct(id=product_id, request_id=unique("req"), actor="test", name="Live replay", at=NOW),
        )
        return Tenant(customer_id, await self.card(customer_id, **card), product_id)

    async def card(self, customer_id: str, **details: Any) -> str:
        method_id = unique("pm")
        shown = {"kind": "card", "brand": "visa", "last_four": "4242", "token": f"tok_{method_id}"} | details
        await add_payment_method(
            self.db,
            AddPaymentMethod(
                id=method_id,
                request_id=unique("req"),
                actor="test",
                customer_id=customer_id,
                token=str(shown["token"]),
                at=NOW,
            ),
            TokenDetails.model_validate(shown),
        )
        return method_id

    async def block(self, customer_id: str, *details: str, do: Do = "block", **more: Any) -> BlockChange:
        """Block or unblock these details; none with `…_all`."""
        order = {
            "run_id": unique("run"),
            "request_id": unique("req"),
            "at": NOW,
            "actor": "operator:desk",
        } | more
        return await change_blocks(
            self.db, ChangeBlocks(customer_id=customer_id, do=do, details=details, **order)
        )

    def opening(self, tenant: Tenant, *, at: datetime = NOW, request_id: str = "", **more: Any) -> OpenInput:
        """What would open a subscription; `more` goes into its spec."""
        given = {"period": "monthly", "amount": Money(minor=1000, currency="JPY")} | more
        spec = SubscriptionSpec(
            customer_id=tenant.customer_id,
            product_id=tenant.product_id,
            payment_method_id=str(given.pop("payment_method_id", tenant.card_id)),
            **given,
        )
        terms = agree(spec, now=at)
        subscription_id = unique("sub")
        state = State(
            id=subscription_id,
            customer_id=tenant.customer_id,
            product_id=tenant.product_id,
            terms=terms,
            amount_minor=terms.amount_minor,
        )
        return OpenInput(
            subscription_id=subscription_id,
            request_id=request_id or unique("req"),
            actor="operator:desk",
            at=at,
            spec=spec,
            terms=terms,
            row=row_of(state),
        )

    async def subscription(self, tenant: Tenant | None = None, **more: Any) -> OpenInput:
        order = self.opening(tenant or await self.tenant(), **more)
        opened = await open_subscription(self.db, order)
        assert opened.outcome == "opened", opened
        return order

    async def begin(
        self, order: OpenInput, number: int = 1, attempt: int = 1, *, at: datetime = NOW, **more: Any
    ) -> Begun:
        given = {"amount_minor": order.terms.amount_minor, "currency": order.terms.currency} | more
        return await begin_attempt(
            self.db,
            key=charge_key(order.subscription_id, number, attempt),
            reference=charge_reference(order.subscription_id, number, attempt),
            object_id=order.subscription_id,
            number=number,
            attempt=attempt,
            due_at=order.terms.calendar.due(number - 1),
            at=at,
            **given,
        )

    async def settled(
        self, order: OpenInput, number: int = 1, attempt: int = 1, *, at: datetime = NOW, **more: Any
    ) -> str:
        """A payment that is paid; returns its attempt's key."""
        key = charge_key(order.subscription_id, number, attempt)
        await self.begin(order, number, attempt, at=at)
        given: dict[str, Any] = {"row": {"charges": number}, "moves": []} | more
        assert await settle_attempt(
            self.db, key=key, gateway_id=f"ch_{key}", at=at + timedelta(seconds=1), **given
        )
        return key

    async def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        async with self.db.transaction() as cursor:
            await cursor.execute(sql, parameters)  # type: ignore[arg-type]  # a test's own text
            return await cursor.fetchall()

    async def row(self, sql: str, *parameters: Any) -> dict[str, Any]:
        (row,) = await self.rows(sql, *parameters)
        return row

    async def everything(self, subscription_id: str) -> dict[str, list[dict[str, Any]]]:
        """All that is stored of a subscription: equal before and after means that nothing changed."""
        of_attempts = "(SELECT key FROM attempts WHERE object_id = %s)"
        queries = {
            "subscription": "SELECT * FROM subscriptions WHERE id = %s",
            "payments": "SELECT * FROM payments WHERE subscription_id = %s ORDER BY number",
            "attempts": "SELECT * FROM attempts WHERE object_id = %s ORDER BY key",
            "ledger": f"SELECT * FROM ledger WHERE attempt_key IN {of_attempts} ORDER BY id",
            "history": "SELECT * FROM history WHERE subject_id = %s ORDER BY seq",
            "outbox": "SELECT * FROM outbox WHERE subject_id = %s ORDER BY id",
            "links": "SELECT * FROM card_links WHERE subscription_id = %s ORDER BY token_hash",
        }
        return {name: await self.rows(sql, subscription_id) for name, sql in queries.items()}


def refund_key(subscription_id: str, number: int) -> str:
    return idempotency_key("refund", refund_reference(subscription_id, number))


def happening(order: OpenInput, **more: Any) -> RecordInput:
    given = {"at": NOW, "actor": "operator:desk", "terms": order.terms, "event_key": "k"} | more
    return RecordInput(subscription_id=order.subscription_id, **given)
