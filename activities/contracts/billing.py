"""What a workflow may ask for where money is concerned.

The stubs are typed and named here; the implementations (`activities.billing`) subclass them with their
dependencies. A workflow that imports this module imports no database and no gateway.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from domain.declines import DeclineCode
from domain.subscription import Transition
from domain.unresolved import Mode

CHARGE = "billing.charge"
REFUND = "billing.refund"


class ChargeInput(BaseModel):
    """One question about one attempt: send it, ask about it, send it again, or give it up.

    Attributes:
        at: the instant the attempt was first sent, in the subscription's time (a scenario's clock included).
        amount_minor: minor units of `currency`.
        row: the subscription's columns after success, as JSON values: only those that change.
        moves: the changes of status that success brings.
        learned_at: the instant of this question, when it is not the sending itself: what history dates by.
        turn: which question about this attempt this is; a re-send is claimed under it, once.
    """

    model_config = ConfigDict(frozen=True)

    subscription_id: str
    number: int
    attempt: int
    due_at: datetime
    at: datetime
    amount_minor: int
    currency: str
    row: dict[str, Any]
    mode: Mode = Mode.SEND
    turn: int = 0
    learned_at: datetime | None = None
    moves: list[Transition] = Field(default_factory=list)


class ChargeResult(BaseModel):
    """What became of the attempt. Unknown is a value here, so that no retry machinery can hide it.

    Attributes:
        decline: why, when declined.
        horizon_s: seconds a missed request may still take effect; with `unknown`.
        key_ttl_s: seconds the gateway remembers a key; with `unknown`.
        resent: the request may have gone out until just now, so the horizon counts from now.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["settled", "declined", "pending", "unknown", "unsent"]
    decline: DeclineCode | None = None
    horizon_s: int | None = None
    key_ttl_s: int | None = None
    resent: bool = False


class RefundInput(BaseModel):
    """Give a settled payment back, whole. `at`: when it was first asked for; `mode`, `turn` as for a charge."""

    model_config = ConfigDict(frozen=True)

    subscription_id: str
    number: int
    at: datetime
    reason: str
    mode: Mode = Mode.SEND
    turn: int = 0


class RefundResult(BaseModel):
    """What became of the refund; `declined` waits for a person."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["settled", "declined", "pending", "unknown", "unsent"]
    horizon_s: int | None = None
    resent: bool = False


class BillingContract:
    """Activities that talk to the payment company. Each can run twice."""

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> ChargeResult:
        """Bring one attempt forward (spec: charging.md §2)."""
        raise NotImplementedError

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> RefundResult:
        """Return one settled payment under one key for ever."""
        raise NotImplementedError
