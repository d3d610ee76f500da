"""What the workflow of a repayment may ask for, money apart (spec: customers.md §4).

Each write is one database transaction and can run twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from domain.money import Money
from domain.repayment import RepaymentKind, RepaymentStatus

OPEN = "repayments.open"
RECORD = "repayments.record"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenRepayment(_Frozen):
    """A link to be opened, or money to be written down that came otherwise.

    Attributes:
        amount: None: all that is owed.
        token_hash: and `expires_at`: of a link.
        method: and `received_as`, `received_on`: of money that came otherwise.
    """

    repayment_id: str
    request_id: str
    actor: str
    comment: str = ""
    at: datetime
    object_id: str
    number: int
    kind: RepaymentKind
    amount: Money | None = None
    token_hash: str | None = None
    expires_at: datetime | None = None
    method: str | None = None
    received_as: str | None = None
    received_on: date | None = None


class RepaymentOpened(_Frozen):
    """`opened`; `duplicate` of an earlier request (whose id this is); or `refused` with a code.

    `closed`: links that this one took the place of, or for which nothing is owed any more.
    """

    outcome: Literal["opened", "duplicate", "refused"]
    repayment_id: str
    amount: Money | None = None
    closed: tuple[str, ...] = ()
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordRepayment(_Frozen):
    """A reminder of a link, or its end.

    Attributes:
        event_key: names this write for ever.
        to: None: only a reminder.
        reminder: which one, from 1.
    """

    repayment_id: str
    at: datetime
    event_key: str
    actor: str = "system"
    comment: str = ""
    request_id: str | None = None
    to: RepaymentStatus | None = None
    reason: str = ""
    reminder: int | None = None


class RepaymentRecorded(_Frozen):
    """How the repayment stands afterwards; a reminder that nobody needs any more is not written."""

    status: RepaymentStatus
    reason: str


class RepaymentsContract:
    """Writes to the books; moves no money through the payment company (that is `billing.charge`)."""

    @activity.defn(name=OPEN)
    async def open(self, order: OpenRepayment) -> RepaymentOpened:
        """Enter a link, or money that came otherwise, unless more is asked for than is owed."""
        raise NotImplementedError

    @activity.defn(name=RECORD)
    async def record(self, order: RecordRepayment) -> RepaymentRecorded:
        """Write down a reminder, or an end."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.open, self.record]
