"""What goes in and out of an order's workflows: the start inputs, the commands (updates) and their answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from domain.deposit import DepositState
from domain.money import Money
from domain.order_projection import OrderRow, OrderView
from domain.order_state import State
from domain.order_terms import OrderSpec
from workflows.messages import Command


class PlaceOrder(Command):
    spec: OrderSpec


class Use(Command):
    """The content is used or viewed by its customer."""


class ProcessAccess(Command):
    """A ticket is used, at the door. Cannot be undone."""


class CancelOrder(Command):
    """`refund_amount`: what the person saw and agreed to; None agrees to what is computed."""

    refund_amount: Money | None = None
    bank_account: str | None = Field(default=None, max_length=200)


class RevokeAccess(Command):
    """The payment was charged back: the access that it brought ends."""


class CancelSubscription(Command):
    """The subscription of a recurring order; past payments stay."""


class IssueSlip(Command):
    """Another slip; the one before is voided first."""


class ChangeCustomFields(Command):
    """Answers that replace the old ones; fields not named stay as they are."""

    fields: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        # What was answered stands in the event, before and after; the command names the fields only.
        return {"fields": sorted(self.fields)}


class OrderAnswer(BaseModel):
    """The new state."""

    order: OrderView


class OrderOpened(BaseModel):
    """How a placement went: `opened`, `duplicate` of an earlier one (whose id this is), or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    order_id: str
    order: OrderView | None = None
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class OrderInput(BaseModel):
    """How an `Order` starts, and what it hands itself at each continue-as-new.

    Attributes:
        place: the first run's command; later runs have `state`.
        scenario_start: a simulation's first instant; the workflow's clock is then shifted to it.
        clock_offset: that shift, kept for the later runs and given to slips and subscription. Zero in production.
        seen: request ids of recent commands → fingerprints.
        written: the database row's columns.
        identification: until the permission is granted.
    """

    id: str
    place: PlaceOrder | None = None
    state: State | None = None
    scenario_start: datetime | None = None
    clock_offset: timedelta = timedelta()
    seen: dict[str, str] = Field(default_factory=dict)
    written: OrderRow | None = None
    identification: dict[str, str] = Field(default_factory=dict)


class OrderSnapshot(BaseModel):
    """The workflow's own memory: what a cancellation would return now is read from it."""

    state: State | None
    clock_offset: timedelta = timedelta()


class DepositInput(BaseModel):
    """How a `KonbiniDeposit` starts, and what it hands itself at each continue-as-new.

    `is_new`: its row is not written yet.
    """

    state: DepositState
    clock_offset: timedelta = timedelta()
    is_new: bool = True
    seen: dict[str, str] = Field(default_factory=dict)
