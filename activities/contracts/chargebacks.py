"""What the workflow of a chargeback may ask for (spec: customers.md §4).

Every activity here can run twice: a chargeback is booked once per payment, and access is ended under one request id.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.money import Money

TAKE = "chargebacks.take"
END_ACCESS = "chargebacks.end_access"


class ChargebackOrder(BaseModel):
    """Somebody says that a payment was charged back: the payment company, a reconciliation, or an operator.

    Attributes:
        at: when it was said.
        entered: an operator says so, and is believed also while the payment company's book does not show it.
        comment: the operator's.
    """

    model_config = ConfigDict(frozen=True)

    object_id: str
    number: int
    at: datetime
    actor: str = "system"
    entered: bool = False
    comment: str = ""


class ChargebackTaken(BaseModel):
    """What became of it.

    Attributes:
        outcome: `booked`: the payment company's book shows it, and now ours does; `entered`: an operator's word stands
            until it does; `known`: nothing new; `not_shown`: a hint without anything behind it, yet; `refused`.
        amount: what was taken back.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["booked", "entered", "known", "not_shown", "refused"]
    amount: Money | None = None
    code: str | None = None
    message: str = ""

    @property
    def is_charged_back(self) -> bool:
        return self.outcome in ("booked", "entered", "known")


class EndAccess(BaseModel):
    """The customer's access for a payment that was charged back is to end, if the setting says so."""

    model_config = ConfigDict(frozen=True)

    object_id: str
    number: int
    at: datetime


class AccessEnded(BaseModel):
    """`suspended` the subscription, `revoked` the permission, `left` by the setting; `ended`: there was none."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["suspended", "revoked", "left", "ended"]


class ChargebacksContract:
    """Asks the payment company, books, and ends access."""

    @activity.defn(name=TAKE)
    async def take(self, order: ChargebackOrder) -> ChargebackTaken:
        """Ask the payment company's book, and write down what it shows."""
        raise NotImplementedError

    @activity.defn(name=END_ACCESS)
    async def end_access(self, order: EndAccess) -> AccessEnded:
        """Suspend the subscription or revoke the permission, as the setting says."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.take, self.end_access]
