"""What the workflow of a credit may ask for, money apart (spec: customers.md §3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from domain.credit import CreditStatus
from domain.money import Money

OPEN_CREDIT: Final = "credits.open"
RECORD_CREDIT: Final = "credits.record"
COUNT_CREDIT: Final = "credits.count_on_ended_order"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenCredit(_Frozen):
    """A credit that is asked for.

    Attributes:
        object_id: whose payment it is, with its `number`.
        amount: None: everything that is left.
        accept_risk: a part of a wire payment may be returned.
        block_all: the customer is blocked as well.
    """

    credit_id: str
    object_id: str
    number: int
    amount: Money | None = None
    accept_risk: bool = False
    block_all: bool = False
    request_id: str
    actor: str
    comment: str = ""
    at: datetime


class OpenCreditResult(_Frozen):
    """`opened` with what was reserved; `duplicate` of an earlier request (whose credit this is); or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    credit_id: str
    amount: Money | None = None
    order_id: str | None = None
    customer_id: str = ""
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordCredit(_Frozen):
    """A person's word on a credit; `status` and `reason` as the credit stands after it."""

    credit_id: str
    object_id: str
    number: int
    status: CreditStatus
    reason: str
    request_id: str
    actor: str
    comment: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    at: datetime


class CountCredit(_Frozen):
    """A returned credit of an order that has ended."""

    credit_id: str
    at: datetime


class CreditsContract:
    """Activities about credits that move no money. Each can run twice."""

    @activity.defn(name=OPEN_CREDIT)
    async def open(self, order: OpenCredit) -> OpenCreditResult:
        """Count what is left of the payment and reserve the credit's part of it."""
        raise NotImplementedError

    @activity.defn(name=RECORD_CREDIT)
    async def record(self, order: RecordCredit) -> None:
        """Write a person's word down."""
        raise NotImplementedError

    @activity.defn(name=COUNT_CREDIT)
    async def count_on_ended_order(self, order: CountCredit) -> None:
        """Bring the sums of an order up to date that cannot be told any more."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.open, self.record, self.count_on_ended_order]
