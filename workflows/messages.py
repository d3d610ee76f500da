"""What goes in and out of the workflows: the start input, the commands (updates) and their answers.

Commands are frozen and refuse unknown fields: a misspelt argument is an error, not a default. What travels through
continue-as-new does neither, because an old run must be readable by newer code.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from domain.free_text import require_free_text
from domain.money import Money
from domain.notices import GatewayNotice
from domain.order_state import SubscriptionFact
from domain.projection import Row, SubscriptionView
from domain.resume import Plan
from domain.subscription import State
from domain.terms import ResumePolicy, SubscriptionSpec, require_instant

__all__ = ["GatewayNotice"]

REQUEST_ID_CHARACTERS_MAX = 200


class Command(BaseModel):
    """What every command carries.

    Attributes:
        request_id: repeating a command with it changes nothing more.
        actor: `customer:<id>`, `operator:<id>`, `service:<name>` or `system`.
        comment: for operators, never shown to customers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str = Field(min_length=1, max_length=REQUEST_ID_CHARACTERS_MAX)
    actor: str = Field(pattern=r"^(system|(customer|operator|service):[\w.@:\-]{1,80})$")
    comment: str = ""

    @field_validator("comment")
    @classmethod
    def _storable(cls, comment: str) -> str:
        return require_free_text(comment, what="comment")

    def arguments(self) -> dict[str, Any]:
        """What is particular to this command, as JSON values."""
        return self.model_dump(mode="json", exclude=set(Command.model_fields), exclude_none=True)

    def fingerprint(self) -> str:
        """The same request id with another fingerprint is a conflict, not a repetition."""
        content = self.model_dump_json(exclude={"request_id"})
        return hashlib.sha256(f"{type(self).__name__}:{content}".encode()).hexdigest()[:16]


class Suspend(Command):
    pass


class Resume(Command):
    """`policy` overrides the subscription's own; `at` names the next payment's instant instead."""

    policy: ResumePolicy | None = None
    at: datetime | None = None

    @field_validator("at")
    @classmethod
    def _aware(cls, at: datetime | None) -> datetime | None:
        return None if at is None else require_instant(at)


class Cancel(Command):
    mode: Literal["now", "period_end"] = "now"


class Recover(Command):
    pass


class Block(Command):
    """The customer is blocked, as the database knows. `do`: what was commanded, which is what history tells."""

    do: Literal["block_all"] = "block_all"

    def arguments(self) -> dict[str, Any]:
        return {}


class Unblock(Command):
    """Neither the customer nor the card is blocked any more. `do`: as above."""

    do: Literal["unblock", "unblock_all"] = "unblock_all"

    def arguments(self) -> dict[str, Any]:
        return {}


class ChangeCard(Command):
    payment_method_id: str


class ChangeAmount(Command):
    amount: Money
    next_only: bool = False


class OpenCardLink(Command):
    """The caller keeps the token; the database gets its SHA-256 only."""

    token_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    expires_at: datetime


class SettleAttention(Command):
    """A person's word on an attempt in `attention`.

    Attributes:
        number: the payment's.
        returns: the second charge whose return it is; `payment` for the payment's own refund; None for its charge.
        moved: it was charged (or returned); else it was not and never will be.
        gateway_id: where the gateway shows it; needed with `moved`, and checked there.
        again: a refund that was refused is asked for again, under a new key.
    """

    number: int
    returns: str | None = None
    moved: bool = False
    gateway_id: str | None = None
    again: bool = False

    @model_validator(mode="after")
    def _whole(self) -> SettleAttention:
        if self.moved and not self.gateway_id:
            raise ValueError("Say where the gateway shows it (gateway_id).")
        if self.again and (self.moved or self.returns is None):
            raise ValueError("Only a refund that did not happen can be asked for again.")
        return self


class Create(Command):
    spec: SubscriptionSpec


class Answer(BaseModel):
    """The new state, and for `resume` the plan."""

    subscription: SubscriptionView
    plan: Plan | None = None


class Opened(BaseModel):
    """How a creation went: `opened`, `duplicate` of an earlier one (whose id this is), or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    subscription_id: str
    subscription: SubscriptionView | None = None
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class Snapshot(BaseModel):
    """The workflow's own memory, for plans made outside (`what-if`, dry runs)."""

    state: State | None
    clock_offset: timedelta = timedelta()


class SubscriptionInput(BaseModel):
    """How a `Subscription` starts, and what it hands itself at each continue-as-new.

    Attributes:
        create: the first run's command; later runs have `state`.
        scenario_start: a simulation's first instant; the workflow's clock is then shifted to it.
        clock_offset: that shift, kept for the later runs. Zero in production.
        seen: request ids of recent commands → fingerprints, so that a repetition after continue-as-new is one.
        written: the database row's columns when they are not what `state` implies.
        cycles_per_run: payments settled before history is cut.
        order_workflow_id: the order that it pays, which is told what becomes of it; `told`: what it was told last.
    """

    id: str
    create: Create | None = None
    state: State | None = None
    scenario_start: datetime | None = None
    clock_offset: timedelta = timedelta()
    seen: dict[str, str] = Field(default_factory=dict)
    written: Row | None = None
    cycles_per_run: int = 6
    order_workflow_id: str | None = None
    told: SubscriptionFact | None = None
