"""What goes in and out of a repayment's workflow: how it starts, the commands and their answers."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from domain.free_text import require_free_text
from domain.money import Money
from domain.repayment import LINK_LIFE, REMIND_AFTER, RepaymentStatus
from workflows.messages import Command

_METHOD_CHARACTERS_MAX = 60
_REFERENCE_CHARACTERS_MAX = 200


class Received(BaseModel):
    """Money that came otherwise than through a link.

    Attributes:
        amount: None: all that is owed.
        method: how it came, `bank_transfer` or `cash` for example.
        reference: what the bank statement or the receipt says.
        on: the day it came.
    """

    amount: Money | None = None
    method: str
    reference: str = ""
    on: date

    @field_validator("method")
    @classmethod
    def _named(cls, method: str) -> str:
        if not method.strip():
            raise ValueError("Say how the money came.")
        return require_free_text(method, what="method", characters_max=_METHOD_CHARACTERS_MAX)

    @field_validator("reference")
    @classmethod
    def _storable(cls, reference: str) -> str:
        return require_free_text(reference, what="reference", characters_max=_REFERENCE_CHARACTERS_MAX)


class Link(BaseModel):
    """A link by which the customer pays. The caller keeps the token; the database gets its SHA-256 only.

    Attributes:
        amount: None: all that is owed.
        life: until it expires.
        remind_after: so long after it was opened the merchant's service is reminded.
    """

    amount: Money | None = None
    token_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    life: timedelta = LINK_LIFE
    remind_after: tuple[timedelta, ...] = REMIND_AFTER


class AddRepayment(Command):
    """Either a link, or money received otherwise."""

    object_id: str
    number: int
    link: Link | None = None
    received: Received | None = None

    def fingerprint(self) -> str:
        # A caller who repeats makes a new token: it is no part of what was asked for.
        anonymous = self.link and self.link.model_copy(update={"token_hash": "0" * 64})
        return super(AddRepayment, self.model_copy(update={"link": anonymous})).fingerprint()


class CancelRepayment(Command):
    """The link cannot be paid any more. What is being paid at this moment comes first."""


class Pay(Command):
    """The customer has chosen a card on the payment company's form: charge it."""

    payment_method_id: str


class RepaymentInput(BaseModel):
    """How a `Repayment` starts."""

    id: str
    add: AddRepayment


class RepaymentView(BaseModel):
    """A repayment as its workflow answers.

    Attributes:
        is_being_paid: a card's charge has no outcome yet.
        decline: why the last card was declined.
    """

    id: str
    status: RepaymentStatus
    reason: str
    amount: Money
    expires_at: datetime | None = None
    is_being_paid: bool = False
    decline: str | None = None


class RepaymentAdded(BaseModel):
    """How it went: `opened`, `duplicate` of an earlier request (whose id this is), or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    repayment_id: str
    repayment: RepaymentView | None = None
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)
