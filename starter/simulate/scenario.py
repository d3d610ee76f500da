"""A scenario: what an integrator writes to see what a policy does (spec: interfaces.md §3).

YAML or JSON. YAML is read by the rules of its current version, so that `10:00` is a text and `no` is not False.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from domain.errors import ErrorCode, TeikiError
from domain.terms import SubscriptionSpec, require_instant
from starter.documents import UnreadableDocument, read_document
from starter.simulate.scenario_order import ScenarioOrder

Operation = Literal[
    # of subscriptions
    "suspend",
    "resume",
    "cancel",
    "recover",
    "change_card",
    "change_amount",
    # of orders
    "use",
    "process_access",
    "cancel_order",
    "cancel_subscription",
    "issue_slip",
    "change_custom_fields",
    "identify",
    "note",
    "deposit_paid",
    "deposit_preliminary",
    "deposit_preliminary_canceled",
    "deposit_notice",
    # of payments
    "credit",
    # of customers
    "block_all",
    "unblock_all",
]
"""What is known. An operation that the scenario's object does not have is refused in the report, as any other is."""


class Event(BaseModel):
    """Something a person or a service does at an instant; the other fields are the operation's arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")

    at: datetime
    do: Operation

    @field_validator("at")
    @classmethod
    def _aware(cls, at: datetime) -> datetime:
        return require_instant(at)

    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Scenario(BaseModel):
    """What happens, from `start` to `until`.

    Attributes:
        subscription: the terms, as in `SubscriptionSpec`, without customer and product. `payment_method` may name a
            token of the sandbox (`tok_expired`) or a kind (`konbini`); left out, a card follows the script.
        order: in place of a subscription: a product and how it is bought.
        gateway: the outcome of each charge attempt in turn; afterwards every charge is approved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "scenario"
    start: datetime
    subscription: dict[str, Any] | None = None
    order: ScenarioOrder | None = None
    gateway: list[str | dict[str, Any]] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    until: datetime

    @field_validator("start", "until")
    @classmethod
    def _aware(cls, at: datetime) -> datetime:
        return require_instant(at)

    @model_validator(mode="after")
    def _in_order(self) -> Scenario:
        if (self.subscription is None) == (self.order is None):
            raise TeikiError(ErrorCode.SCENARIO_INVALID, "A scenario has a subscription or an order.")
        if self.until <= self.start:
            raise TeikiError(ErrorCode.SCENARIO_INVALID, "`until` must be after `start`.")
        outside = [event.at.isoformat() for event in self.events if not self.start <= event.at <= self.until]
        if outside:
            raise TeikiError(
                ErrorCode.SCENARIO_INVALID, "An event is outside the scenario's time.", at=outside[0]
            )
        return self

    @property
    def in_order(self) -> list[Event]:
        """The events as they happen; those of one instant as they are written."""
        return sorted(self.events, key=lambda event: event.at)

    @property
    def token(self) -> str | None:
        """The sandbox token that pays; None: a card that follows the script in `gateway`."""
        named = self.order.payment_method if self.order else (self.subscription or {}).get("payment_method")
        return token_of(named)

    def spec(self, *, customer_id: str, product_id: str, payment_method_id: str) -> SubscriptionSpec:
        """The terms as the SDK takes them."""
        given = self.subscription or {}
        terms = {name: value for name, value in given.items() if name != "payment_method"}
        return SubscriptionSpec.model_validate(
            {
                **terms,
                "customer_id": customer_id,
                "product_id": product_id,
                "payment_method_id": payment_method_id,
            }
        )


_TOKEN_OF_KIND: Final = {"card": None, "konbini": "tok_konbini", "bank_transfer": "tok_bank"}


def token_of(named: object) -> str | None:
    """What a scenario calls a payment method, as a token of the sandbox."""
    kind = named.get("type", named.get("kind")) if isinstance(named, dict) else named
    if kind is None or (isinstance(kind, str) and kind.startswith("tok_")):
        return kind
    if not isinstance(kind, str) or kind not in _TOKEN_OF_KIND:
        raise TeikiError(ErrorCode.SCENARIO_INVALID, "A payment method is a tok_… or a kind.", got=str(kind))
    return _TOKEN_OF_KIND[kind]


def read_scenario(path: Path) -> Scenario:
    """Read and check a file.

    Raises:
        TeikiError: `scenario_invalid`, with the place of the first mistake.
    """
    try:
        document = read_document(path)
    except UnreadableDocument as error:
        raise TeikiError(ErrorCode.SCENARIO_INVALID, str(error), file=path.name) from error
    return parse_scenario(document)


def parse_scenario(document: Any) -> Scenario:
    """Check what was written; terms as well, before anything is started for them.

    Raises:
        TeikiError: `scenario_invalid` with the place of the first mistake, or the SDK's own code for such terms.
    """
    with _mistakes_at():
        scenario = Scenario.model_validate(document)
    if scenario.order is not None:
        scenario.order.check(_mistakes_at)
        return scenario
    with _mistakes_at("subscription"):
        # The ids are made up only to have the terms checked.
        scenario.spec(customer_id="cus_0", product_id="prd_0", payment_method_id="pm_0")
    return scenario


@contextmanager
def _mistakes_at(*path: str) -> Iterator[None]:
    """What does not fit is refused with its place in the file."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([*path, *(str(part) for part in first["loc"])])
        raise TeikiError(ErrorCode.SCENARIO_INVALID, f"{place}: {first['msg']}", place=place) from error
