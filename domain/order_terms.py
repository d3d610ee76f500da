"""What an order asks for, and the terms it is bought with.

`OrderSpec` is what a caller gives; together with what the product says at that moment it becomes `OrderTerms`, which
the order keeps: a product that changes later changes no order (spec: orders.md §§1, 4).
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from domain.billing_calendar import parse_zone, place
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.money import Money
from domain.product import (
    CustomField,
    FixedPeriod,
    ProductTerms,
    ProductType,
    SalesMethod,
    points_of,
    price_of,
)
from domain.terms import DEFAULT_ZONE, SubscriptionSpec, require_metadata

JAPAN: Final = "Asia/Tokyo"
INSTALLMENTS_MAX: Final = 60
_PHONE: Final = re.compile(r"0\d{9,10}", re.ASCII)
_END_OF_DAY: Final = time(23, 59, 59)


class Pay(StrEnum):
    """The way an order is paid (spec: orders.md §1)."""

    CARD = "card"
    KONBINI = "konbini"
    RECURRING = "recurring"
    NONE = "none"


class Store(StrEnum):
    SEVEN_ELEVEN = "seven_eleven"
    FAMILY_MART = "family_mart"
    LAWSON = "lawson"
    MINISTOP = "ministop"
    SEICOMART = "seicomart"
    DAILY_YAMAZAKI = "daily_yamazaki"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KonbiniSpec(_Asked):
    """Where and by when a deposit is paid.

    Attributes:
        customer_name: shown at the till.
        phone: Japanese, 10 or 11 digits from 0; hyphens and +81 are understood.
        deadline_days: the slip can be paid until 23:59:59 Japan time so many days after it is issued, 1–60.
        grace_minutes: how long a slip that a kiosk printed in time can still be paid, 0–1440.
    """

    store: Store
    customer_name: str = Field(min_length=1)
    phone: str
    deadline_days: int = Field(default=3, ge=1, le=60)
    grace_minutes: int = Field(default=30, ge=0, le=1440)

    @field_validator("customer_name")
    @classmethod
    def _storable(cls, name: str) -> str:
        name = name.strip()
        if not name:
            raise TeikiError(ErrorCode.INVALID_INPUT, "A till shows the customer's name; this one is blank.")
        return require_free_text(name, what="customer name")

    @field_validator("phone")
    @classmethod
    def _japanese(cls, phone: str) -> str:
        digits = re.sub(r"[\s\-()]", "", phone)
        digits = "0" + digits.removeprefix("+81").removeprefix("0") if digits.startswith("+81") else digits
        if not _PHONE.fullmatch(digits):
            raise TeikiError(
                ErrorCode.INVALID_PHONE, "A Japanese phone number has 10 or 11 digits and begins with 0."
            )
        return digits

    def deadline_at(self, issued_at: datetime) -> datetime:
        """The last second of its last day, in Japan's time of day."""
        zone = parse_zone(JAPAN)
        day = issued_at.astimezone(zone).date() + timedelta(days=self.deadline_days)
        return place(datetime.combine(day, _END_OF_DAY), zone)

    def final_at(self, issued_at: datetime) -> datetime:
        """When the grace is over: what is paid later goes back."""
        return self.deadline_at(issued_at) + timedelta(minutes=self.grace_minutes)


class OrderSpec(_Asked):
    """An order as it is asked for: one product with options, one customer, one way to pay.

    Attributes:
        payment_method_id: the card, for `card` and `recurring`.
        installments: a card payment in so many parts, 2–60; None: at once.
        subscription: for `recurring`, the fields of `SubscriptionSpec` without customer, product and card; the
            amount is the product's price unless it is given.
        custom_fields: the answers to the product's questions.
        identification: about the holder of the permission.
        zone: the merchant's, in which calendar durations are counted.
        preliminary_completes: a preliminary notice (速報) of a deposit completes the order.
        metadata: up to 50 pairs of strings, returned as given.
    """

    customer_id: str
    product_id: str
    options: tuple[str, ...] = ()
    pay: Pay = Pay.CARD
    payment_method_id: str | None = None
    installments: int | None = Field(default=None, ge=2, le=INSTALLMENTS_MAX)
    konbini: KonbiniSpec | None = None
    subscription: dict[str, Any] | None = None
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    identification: dict[str, str] = Field(default_factory=dict)
    zone: str = DEFAULT_ZONE
    preliminary_completes: bool = True
    metadata: dict[str, str] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, metadata: dict[str, str]) -> dict[str, str]:
        return require_metadata(metadata)

    @model_validator(mode="after")
    def _whole(self) -> OrderSpec:
        parse_zone(self.zone)
        if (self.konbini is not None) != (self.pay is Pay.KONBINI):
            raise _mismatch(
                "A Konbini order says store, name and phone; any other says none of them.", self.pay
            )
        if (self.payment_method_id is not None) != (self.pay in (Pay.CARD, Pay.RECURRING)):
            raise _mismatch("A payment method belongs to an order paid by card, once or recurring.", self.pay)
        if self.installments is not None and self.pay is not Pay.CARD:
            raise _mismatch("Only a card payment is made in installments.", self.pay)
        if (self.subscription is not None) != (self.pay is Pay.RECURRING):
            raise _mismatch("A recurring order says the terms of its subscription; no other does.", self.pay)
        return self

    def subscription_spec(self, order_id: str, price: Money | None) -> SubscriptionSpec:
        """The subscription that pays a recurring order."""
        given = {"amount": price, "zone": self.zone, **(self.subscription or {})}
        if "total_amount" in given and "amount" not in (self.subscription or {}):
            del given["amount"]
        return SubscriptionSpec.model_validate(
            {
                **{name: value for name, value in given.items() if value is not None},
                "customer_id": self.customer_id,
                "product_id": self.product_id,
                "payment_method_id": self.payment_method_id,
                "order_id": order_id,
            }
        )


_SOLD_BY: Final = {
    SalesMethod.ONE_TIME: frozenset({Pay.CARD, Pay.KONBINI}),
    SalesMethod.RECURRING: frozenset({Pay.RECURRING}),
    SalesMethod.TOKEN_AUTH: frozenset({Pay.NONE}),
}


class OrderTerms(BaseModel):
    """What the order was bought with, kept for decades: new fields always get a default.

    Attributes:
        price: what is paid; None where a token proves the right.
        konbini_refundable: whether the payment company returns a paid deposit (a bank remittance).
    """

    model_config = ConfigDict(frozen=True)

    pay: Pay
    product_type: ProductType
    product_name: str
    options: tuple[str, ...] = ()
    price: Money | None = None
    usage_period: str | FixedPeriod | None = None
    point_rate: Decimal | None = None
    membership_numbers: bool = False
    zone: str = DEFAULT_ZONE
    payment_method_id: str | None = None
    installments: int | None = None
    konbini: KonbiniSpec | None = None
    konbini_refundable: bool = True
    preliminary_completes: bool = True
    subscription: SubscriptionSpec | None = None
    custom_fields: tuple[CustomField, ...] = ()

    @property
    def points(self) -> int:
        """What a confirmed purchase earns."""
        return points_of(self.price, self.point_rate) if self.price is not None else 0


def order_terms(
    order_id: str, spec: OrderSpec, name: str, product: ProductTerms, *, konbini_refundable: bool = True
) -> OrderTerms:
    """The terms of an order placed now.

    Raises:
        TeikiError: `sales_method_mismatch`, `invalid_option`, `price_missing`, `invalid_money`, or what is wrong with
            the subscription.
    """
    if spec.pay not in _SOLD_BY[product.sales_method]:
        raise TeikiError(
            ErrorCode.SALES_METHOD_MISMATCH,
            "The product is not sold this way.",
            sales_method=product.sales_method.value,
            pay=spec.pay.value,
        )
    price = None if spec.pay is Pay.NONE else price_of(product, spec.options)
    if price is not None and price.minor <= 0:
        raise TeikiError(ErrorCode.INVALID_MONEY, "What costs nothing is not paid for.", minor=price.minor)
    if price is None:
        price_of(product.model_copy(update={"price": Money(minor=0, currency="JPY")}), spec.options)
    return OrderTerms(
        pay=spec.pay,
        product_type=product.type,
        product_name=name,
        options=spec.options,
        price=price,
        usage_period=product.usage_period,
        point_rate=product.point_rate,
        membership_numbers=product.membership_numbers,
        zone=spec.zone,
        payment_method_id=spec.payment_method_id,
        installments=spec.installments,
        konbini=spec.konbini,
        konbini_refundable=konbini_refundable,
        preliminary_completes=spec.preliminary_completes,
        subscription=spec.subscription_spec(order_id, price) if spec.pay is Pay.RECURRING else None,
        custom_fields=product.custom_fields,
    )


def _mismatch(message: str, pay: Pay) -> TeikiError:
    return TeikiError(ErrorCode.INVALID_INPUT, message, pay=pay.value)
