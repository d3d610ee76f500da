"""Products and payment methods: what a subscription refers to; and how entries are made, customers' too.

Entries are made by short workflows, so an accepted one survives any crash. A payment method is a token of the
gateway; of the card only brand, last four digits and expiry are ever kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from activities.contracts.orders import AddNote, Identify
from activities.contracts.records import AddPaymentMethod, CloseIncident, Entry, PutCustomer, PutProduct
from db.reads import catalogue as reads
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable, require_free_text
from domain.identifiers import require_id
from domain.money import Money
from domain.product import CustomField, FixedPeriod, Option, ProductTerms, ProductType, SalesMethod
from starter.engine import NotRunning
from starter.subscriptions import DEFAULT_ACTOR
from workflows.catalogue import AddPaymentMethodEntry, PutProductEntry

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Entries:
    """What is entered by a short workflow of one activity."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def _enter(
        self,
        workflow: Any,
        order: PutCustomer | PutProduct | AddPaymentMethod | CloseIncident | AddNote | Identify,
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


class Products(Entries):
    """`teiki.products`."""

    async def put(
        self,
        *,
        name: str,
        product_id: str | None = None,
        price: Money | None = None,
        type: ProductType | str = ProductType.DIGITAL,  # noqa: A002 - the field's word
        sales_method: SalesMethod | str = SalesMethod.ONE_TIME,
        options: Sequence[Option] = (),
        usage_period: str | FixedPeriod | None = None,
        point_rate: Decimal | str | None = None,
        membership_numbers: bool = False,
        identification_fields: Sequence[str] = (),
        custom_fields: Sequence[CustomField] = (),
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """Enter a product, or say anew what it is from now on; answers the id.

        What is left out has its default, also when the product exists. Orders keep the terms they were placed with.

        Args:
            name: what customers know it by.
            product_id: of an entry to be replaced; None: a new one.
            price: before any option; None where nothing is charged, or where each option names its own.
            type: a `ProductType`, or its word.
            sales_method: a `SalesMethod`, or its word.
            options: variants, some with a price of their own.
            usage_period: "P30D" from the acquisition, a `FixedPeriod`, or None: without end.
            point_rate: 0 to 1, as text: "0.01".
            membership_numbers: each customer gets the product's next number.
            identification_fields: what is collected about the holder.
            custom_fields: questions to the customer.
            request_id: a repetition with the same one changes nothing more.
            actor: who asks.

        Raises:
            TeikiError: `invalid_product`, `invalid_usage_period`, `invalid_point_rate`, `invalid_money`,
                `currency_mismatch`, `invalid_input`, `card_number_refused`, `request_id_conflict`.
        """
        given = {
            "type": type,
            "sales_method": sales_method,
            "price": price,
            "options": tuple(options),
            "usage_period": usage_period,
            "point_rate": point_rate,
            "membership_numbers": membership_numbers,
            "identification_fields": tuple(identification_fields),
            "custom_fields": tuple(custom_fields),
        }
        said = {name: value for name, value in given.items() if value is not None}
        return await self.put_terms(
            name=name,
            terms=ProductTerms.model_validate(said),
            product_id=product_id,
            request_id=request_id,
            actor=actor,
        )

    async def put_terms(
        self,
        *,
        name: str,
        terms: ProductTerms,
        product_id: str | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """The same with the terms in one piece, as `show` gives them."""
        return await self._enter(
            PutProductEntry,
            PutProduct(
                id=require_id(product_id, "prd") if product_id else self._teiki.new_id("prd"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                name=require_free_text(name, what="name"),
                price=terms.price,  # a worker from before there were terms knows it here only
                terms=terms,
                at=self._teiki.now(),
            ),
        )

    async def show(self, product_id: str) -> reads.ProductDetail:
        """What it says, and how that came about; `product_not_found` when there is none."""
        return await reads.show_product(await self._teiki.database(), product_id)

    async def list(
        self,
        *,
        type: ProductType | str | None = None,  # noqa: A002 - the field's word
        cursor: str | None = None,
        limit: int = 50,
    ) -> reads.ProductPage:
        """One page, newest first; `type`: only products of this one."""
        return await reads.list_products(
            await self._teiki.database(), type=_known_type(type), cursor=cursor, limit=limit
        )


def _known_type(given: str | None) -> ProductType | None:
    try:
        return None if given is None else ProductType(given)
    except ValueError as error:
        known = [known.value for known in ProductType]
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            "There is no such type of product.",
            type=repeatable(given, 40),
            types=known,
        ) from error


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
