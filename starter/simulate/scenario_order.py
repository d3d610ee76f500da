"""The order of a scenario: a product, and how it is bought (spec: interfaces.md §3).

What a scenario leaves out is made up: name and phone at the till, an empty answer for what the product does not ask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.order_terms import OrderSpec, Pay, order_terms
from domain.product import ProductTerms, check_custom_fields, check_identification
from starter.simulate.order_words import order_in_our_words

_AT_THE_TILL: Final = {"customer_name": "Scenario Customer", "phone": "09012345678"}
_RECURRING_DEFAULTS: Final = {"period": "monthly"}


class ScenarioOrder(BaseModel):
    """As `OrderSpec`, with the product itself in place of its id and without customer and card.

    Attributes:
        product: `name`, and what `ProductTerms` says.
        payment_method: a token of the sandbox (`tok_expired`); left out, a card follows the scenario's script.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: dict[str, Any]
    pay: Pay | None = None
    payment_method: str | dict[str, Any] | None = None
    options: list[str] = Field(default_factory=list)
    installments: int | None = None
    konbini: dict[str, Any] | None = None
    subscription: dict[str, Any] | None = None
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    identification: dict[str, str] = Field(default_factory=dict)
    zone: str | None = None
    preliminary_completes: bool | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, given: Any) -> Any:
        return order_in_our_words(given)

    @property
    def way(self) -> Pay:
        """How it is paid; by the product's sales method when it is not said."""
        if self.pay is not None:
            return self.pay
        if self.konbini is not None:
            return Pay.KONBINI
        return {"recurring": Pay.RECURRING, "token_auth": Pay.NONE}.get(
            self.product.get("sales_method", ""), Pay.CARD
        )

    @property
    def terms(self) -> ProductTerms:
        """What the product says; a recurring way of paying implies a product that is sold so."""
        said = {name: value for name, value in self.product.items() if name != "name"}
        implied = {Pay.RECURRING: "recurring", Pay.NONE: "token_auth"}.get(self.way)
        if implied is not None:
            said.setdefault("sales_method", implied)
        return ProductTerms.model_validate(said)

    @property
    def name(self) -> str:
        return str(self.product.get("name") or "scenario")

    def spec(self, *, customer_id: str, product_id: str, payment_method_id: str) -> OrderSpec:
        """The order as the SDK takes it."""
        way = self.way
        by_card = way in (Pay.CARD, Pay.RECURRING)
        konbini = {**_AT_THE_TILL, "store": "lawson", **(self.konbini or {})} if way is Pay.KONBINI else None
        recurring = {**_RECURRING_DEFAULTS, **(self.subscription or {})} if way is Pay.RECURRING else None
        given = {
            "installments": self.installments,
            "konbini": konbini,
            "subscription": recurring,
            "zone": self.zone,
            "preliminary_completes": self.preliminary_completes,
            "payment_method_id": payment_method_id if by_card else None,
        }
        return OrderSpec.model_validate(
            {
                **{name: value for name, value in given.items() if value is not None},
                "customer_id": customer_id,
                "product_id": product_id,
                "options": self.options,
                "pay": way,
                "custom_fields": self.custom_fields,
                "identification": self.identification,
                "metadata": self.metadata,
            }
        )

    def check(self, mistakes_at: Callable[..., AbstractContextManager[None]]) -> None:
        """Refuse, before anything is started, what no product and no order could be.

        Args:
            mistakes_at: given a path in the file, says where what does not fit stands.

        Raises:
            TeikiError: as `domain.order_terms.order_terms`, `check_custom_fields` and `check_identification` do.
        """
        with mistakes_at("order", "product"):
            terms = self.terms
        with mistakes_at("order"):
            spec = self.spec(customer_id="cus_0", product_id="prd_0", payment_method_id="pm_0")
        with mistakes_at("order", "subscription"):
            order_terms("ord_0", spec, self.name, terms)
        check_custom_fields(terms, spec.custom_fields)
        check_identification(terms, spec.identification)
