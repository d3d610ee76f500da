"""What a subscription's memory is made of: its statuses and the changes between them,
the open payment, what a block interrupted, and the steps it takes by itself.

`domain.subscription` puts the parts together and decides (spec: subscriptions.md §3).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Status(StrEnum):
    UNVERIFIED = "unverified"
    CURRENT = "current"
    UNCONFIRMED = "unconfirmed"
    UNPAID = "unpaid"
    SUSPENDED = "suspended"
    CANCELED = "canceled"
    COMPLETED = "completed"


FINAL: Final = frozenset({Status.CANCELED, Status.COMPLETED})

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.UNVERIFIED: frozenset({Status.CURRENT, Status.UNCONFIRMED, Status.SUSPENDED, Status.CANCELED}),
    Status.UNCONFIRMED: frozenset({Status.CURRENT, Status.SUSPENDED, Status.CANCELED}),
    Status.CURRENT: frozenset({Status.UNPAID, Status.SUSPENDED, Status.COMPLETED, Status.CANCELED}),
    Status.UNPAID: frozenset({Status.CURRENT, Status.SUSPENDED, Status.CANCELED}),
    # Back to where nothing was paid yet only by an unblock, which restores what was.
    Status.SUSPENDED: frozenset(
        {Status.CURRENT, Status.UNPAID, Status.UNVERIFIED, Status.UNCONFIRMED, Status.CANCELED}
    ),
    Status.CANCELED: frozenset(),
    Status.COMPLETED: frozenset(),
}


class Transition(BaseModel):
    """One change of status, as history keeps it."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    from_: Status = Field(alias="from")
    to: Status
    reason: str


class OpenPayment(BaseModel):
    """The scheduled payment being collected.

    Attributes:
        number: 1 for the first cycle; a skipped cycle keeps its number.
        base_at: where its retry ladder starts: when its first attempt was planned.
        next_at: the next attempt by the policy; None: exhausted, or cut short by a suspension.
        extra_at: an immediate attempt with a new card, which the policy does not count.
        counted: attempts of the policy used up.
        attempts: attempts that got a definite answer; the next one has this number plus one.
    """

    number: int
    due_at: datetime
    amount_minor: int
    base_at: datetime
    next_at: datetime | None
    extra_at: datetime | None = None
    counted: int = 0
    attempts: int = 0


class Held(BaseModel):
    """What a block interrupted: the status that an unblock gives back, and since when.

    What is in flight when the block comes is still resolved; what its outcome would have changed is kept up here.
    """

    model_config = ConfigDict(frozen=True)

    status: Status
    reason: str
    at: datetime


class StepKind(StrEnum):
    PAYMENT = "payment"
    RETRY = "retry"
    ASK = "ask"
    CANCEL = "cancel"
    REFUND = "refund"
    ATTENTION = "attention"
    VERIFY = "verify"


class Step(NamedTuple):
    """What happens next, and when (it may be overdue)."""

    kind: StepKind
    at: datetime
