"""What the writes take and give back.

The inputs are protocols: the activities' contracts fit them as they are, and `db` need not know the contracts.
The outputs carry the same fields as the contracts' results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from domain.errors import ErrorCode
from domain.money import Money
from domain.product import ProductTerms
from domain.projection import Row
from domain.resume import Skipped
from domain.subscription import Transition
from domain.terms import SubscriptionSpec, Terms


class Opening(Protocol):
    """A subscription to be entered; `at` in its own time."""

    @property
    def subscription_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def spec(self) -> SubscriptionSpec: ...
    @property
    def terms(self) -> Terms: ...
    @property
    def row(self) -> Row: ...


class Link(Protocol):
    @property
    def token_hash(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...


class Happening(Protocol):
    """Something happened to a subscription (`activities.contracts.records.RecordInput` says what each means)."""

    @property
    def subscription_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def comment(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def row(self) -> Mapping[str, Any]: ...
    @property
    def moves(self) -> Sequence[Transition]: ...
    @property
    def skipped(self) -> Sequence[Skipped]: ...
    @property
    def payment(self) -> int | None: ...
    @property
    def decline(self) -> str | None: ...
    @property
    def payment_method_id(self) -> str | None: ...
    @property
    def link(self) -> Link | None: ...
    @property
    def terms(self) -> Terms | None: ...


class CustomerEntry(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...


class ProductEntry(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def price(self) -> Money | None: ...
    @property
    def terms(self) -> ProductTerms: ...
    @property
    def at(self) -> datetime: ...


class PaymentMethodEntry(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def customer_id(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def at(self) -> datetime: ...


class TokenFacts(Protocol):
    """What the gateway lets be shown of a token (`gateways.port.TokenDetails`)."""

    @property
    def kind(self) -> str: ...
    @property
    def brand(self) -> str: ...
    @property
    def last_four(self) -> str: ...
    @property
    def expires_month(self) -> int | None: ...
    @property
    def expires_year(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`opened`; `duplicate` of an earlier request with the same content; or `refused` with a code."""

    outcome: Literal["opened", "duplicate", "refused"]
    subscription_id: str
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`recorded`, `duplicate` (the request id was seen with this content), or `refused` with a code."""

    outcome: Literal["recorded", "duplicate", "refused"]
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """The catalogue entry as it now stands; its id is an older one when the request was a repetition."""

    id: str
    outcome: Literal["recorded", "duplicate", "refused"] = "recorded"
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - it rolls the transaction back and becomes a result, never a failure
    """Carries a refusal out of a transaction, undoing what the transaction had written."""

    def __init__(self, code: ErrorCode | str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = str(code)
        self.message = message
        self.facts = facts
