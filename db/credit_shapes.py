"""What the writes of credits take and give back; the activities' contracts fit the protocols as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from domain.credit import CreditStatus
from domain.money import Money


class CreditOpening(Protocol):
    """A credit that is asked for (`activities.contracts.credits.OpenCredit` says what each means)."""

    @property
    def credit_id(self) -> str: ...
    @property
    def object_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def amount(self) -> Money | None: ...
    @property
    def accept_risk(self) -> bool: ...
    @property
    def block_all(self) -> bool: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def at(self) -> datetime: ...


class CreditOutcome(Protocol):
    """A person's word on a credit (`activities.contracts.credits.RecordCredit` says what each means)."""

    @property
    def credit_id(self) -> str: ...
    @property
    def object_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def status(self) -> CreditStatus: ...
    @property
    def reason(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditGateway:
    """What the payment company returns: parts of a payment; what was paid at a till."""

    partial: bool
    konbini: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditOpened:
    """`opened` with what was reserved; `duplicate` of an earlier request; or `refused` with a code."""

    outcome: Literal["opened", "duplicate", "refused"]
    credit_id: str
    amount: Money | None = None
    order_id: str | None = None
    customer_id: str = ""
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
