"""What goes in and out of a credit's workflow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from domain.credit import CreditState
from domain.money import Money
from workflows.messages import Command


class AskCredit(Command):
    """Return a payment, or a part of it.

    Attributes:
        amount: None: everything that is left.
        accept_risk: "I understand the risk and want to proceed", for a part of a wire payment.
        block_all: block the customer as well.
        bank_account: the payment company's token for the account a remittance goes to; None: it asks the customer.
    """

    object_id: str
    number: int = Field(ge=1)
    amount: Money | None = None
    accept_risk: bool = False
    block_all: bool = False
    bank_account: str | None = Field(default=None, max_length=200)


class CreditOpened(BaseModel):
    """How the asking went: `opened`, `duplicate` of an earlier one (whose id this is), or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    credit_id: str
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class CreditInput(BaseModel):
    """How a `Credit` starts, and what it hands itself at each continue-as-new.

    Attributes:
        ask: the first run's command; later runs have `state`.
        scenario_start: a simulation's instant at the start; `clock_offset`: the shift, kept for later runs.
        seen: request ids of recent commands → fingerprints.
    """

    id: str
    ask: AskCredit | None = None
    state: CreditState | None = None
    scenario_start: datetime | None = None
    clock_offset: timedelta = timedelta()
    seen: dict[str, str] = Field(default_factory=dict)
