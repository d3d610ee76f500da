"""Customers, products and payment methods: what a subscription refers to.

Entries are made by short workflows, so an accepted one survives any crash. A payment method is a token of the
gateway; of the card only brand, last four digits and expiry are ever kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from activities.contracts.records import AddPaymentMethod, CloseIncident, Entry, PutCustomer, PutProduct
from db.reads import catalogue as reads
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.identifiers import require_id
from domain.money import Money
from starter.engine import NotRunning
from starter.subscriptions import DEFAULT_ACTOR
from workflows.catalogue import AddPaymentMethodEntry, PutCustomerEntry, PutProductEntry

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Entries:
    """What is entered by a short workflow of one activity."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def _enter(
        self, workflow: Any, order: PutCustomer | PutProduct | AddPaymentMethod | CloseIncident
    ) -> str:
        # The id holds the content too: the same request id with other content must reach the database, which refuses
        # it, and not be answered with the first one's result.
        content = order.model_dump_json(exclude={"id", "at", "request_id"})
        fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
        workflow_id = f"catalogue/{workflow.__name__}/{order.request_id}/{fingerprint}"
        try:
            entry: Entry = await self._teiki.engine.run(workflow, order, workflow_id=workflow_id)
        except NotRunning as error:
            raise TeikiError(ErrorCode.ENGINE_UNAVAILABLE, "The engine lost the entry; repeat it.") from error
        if entry.outcome == "refused":
            raise TeikiError(ErrorCode(entry.code or ErrorCode.INVALID_INPUT), entry.message, **entry.facts)
        return entry.id


class Customers(Entries):
    """`teiki.customers`."""

    async def put(
        self,
        *,
        customer_id: str | None = None,
        email: str = "",
        name: str = "",
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """Enter or change a customer; answers the id."""
        require_free_text(email, what="e-mail", characters_max=320)
        require_free_text(name, what="name", characters_max=200)
        return await self._enter(
            PutCustomerEntry,
            PutCustomer(
                id=require_id(customer_id, "cus") if customer_id else self._teiki.new_id("cus"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                email=email,
                name=name,
                at=self._teiki.now(),
            ),
        )

    async def list(
        self, *, text: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> reads.CustomerPage:
        """One page, newest first; `text` is the beginning of an id, an e-mail or a name."""
        return await reads.list_customers(await self._teiki.database(), text=text, cursor=cursor, limit=limit)


class Products(Entries):
    """`teiki.products`."""

    async def put(
        self,
        *,
        name: str,
        product_id: str | None = None,
        price: Money | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """Enter or change a product; answers the id."""
        require_free_text(name, what="name", characters_max=200)
        return await self._enter(
            PutProductEntry,
            PutProduct(
                id=require_id(product_id, "prd") if product_id else self._teiki.new_id("prd"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                name=name,
                price=price,
                at=self._teiki.now(),
            ),
        )

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> reads.ProductPage:
        """One page, newest first."""
        return await reads.list_products(await self._teiki.database(), cursor=cursor, limit=limit)


class PaymentMethods(Entries):
    """`teiki.payment_methods`."""

    async def add(
        self,
        *,
        customer_id: str,
        token: str,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """Enter a gateway token for a customer; answers the id.

        Raises:
            TeikiError: `customer_not_found`, `token_refused` when the gateway does not know it.
        """
        return await self._enter(
            AddPaymentMethodEntry,
            AddPaymentMethod(
                id=self._teiki.new_id("pm"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                customer_id=require_id(customer_id, "cus"),
                token=token,
                at=self._teiki.now(),
            ),
        )

    async def list(self, *, customer_id: str) -> list[reads.PaymentMethodItem]:
        """All of a customer's."""
        return await reads.list_payment_methods(await self._teiki.database(), customer_id)
