"""Getting money back after a chargeback: what is owed, and the life of a repayment link (spec: customers.md §4).

A link is open until it is paid, runs out or is canceled. Meanwhile the merchant's service is reminded, so that it can
remind the customer. Its one payment follows the protocol of all money (`unresolved`): a declined card leaves it open,
for another card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.refunds import RefundDue
from domain.unresolved import InFlight, Verification

LINK_LIFE: Final = timedelta(days=14)
LINK_LIFE_MAX: Final = timedelta(days=180)
REMIND_AFTER: Final = (timedelta(days=3), timedelta(days=7), timedelta(days=12))
REMINDERS_MAX: Final = 20


class RepaymentKind(StrEnum):
    LINK = "link"
    MANUAL = "manual"


class RepaymentStatus(StrEnum):
    OPEN = "open"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELED = "canceled"


REPAID_STATES: Final = ("chargeback", "partially_repaid", "repaid")
"""States of a payment that was charged back, by how much of it came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is owed for one payment, in minor units of its currency.

    Attributes:
        charged_back: what the customer's bank took back.
        repaid: what came back, by link or otherwise.
        on_its_way: what a link is charging at this moment, or may have charged.
    """

    charged_back: int
    repaid: int
    on_its_way: int

    @property
    def owed(self) -> int:
        """What may still be asked for."""
        return max(0, self.charged_back - self.repaid - self.on_its_way)

    @property
    def payment_state(self) -> str:
        """The payment's state by it."""
        if not self.repaid:
            return "chargeback"
        return "repaid" if self.repaid >= self.charged_back else "partially_repaid"


class State(BaseModel):
    """Everything a link's workflow remembers; fields only grow, with defaults. Collections are tuples.

    Attributes:
        amount: what it asks for; less when the rest came otherwise meanwhile.
        remind_at: the instants of reminders still to come.
        attempt: attempts at a card that got a definite answer; `decline`: of the last one.
        flight: where the attempt under way stands, and the card it charges; None: nothing is under way.
        verification: a second look at an attempt that was in doubt.
        refunds: second charges, made by mistake, on their way back.
    """

    id: str
    object_id: str
    number: int
    amount: Money
    expires_at: datetime
    status: RepaymentStatus = RepaymentStatus.OPEN
    reason: str = "opened"
    remind_at: tuple[datetime, ...] = ()
    reminders: int = 0
    attempt: int = 0
    flight: InFlight | None = None
    payment_method_id: str | None = None
    decline: str | None = None
    verification: Verification | None = None
    refunds: tuple[RefundDue, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.status is RepaymentStatus.OPEN

    @property
    def next_refund(self) -> RefundDue | None:
        return min(self.refunds, key=lambda refund: refund.flight.next_at, default=None)

    @property
    def next_attempt(self) -> int:
        return self.attempt + 1


class Step(NamedTuple):
    """What happens next by itself, and when (it may be overdue)."""

    name: Literal["ask", "remind", "expire", "verify", "return"]
    at: datetime


def next_step(state: State) -> Step | None:
    """The next thing a link does by itself; None: it has ended.

    While money is under way neither reminders nor the end come: the money's outcome comes first.
    """
    if state.flight is not None:
        return Step("ask", state.flight.next_at)
    steps = [] if state.verification is None else [Step("verify", state.verification.next_at)]
    if (refund := state.next_refund) is not None:
        steps.append(Step("return", refund.flight.next_at))
    if state.is_open:
        steps.append(Step("expire", state.expires_at))
        steps += [Step("remind", at) for at in state.remind_at[:1]]
    return min(steps, key=lambda step: step.at, default=None)


def reminders_of(
    opened_at: datetime, expires_at: datetime, after: Sequence[timedelta]
) -> tuple[datetime, ...]:
    """The instants of a link's reminders: those before its end."""
    return tuple(at for wait in sorted(set(after)) if (at := opened_at + wait) < expires_at)


def require_link_terms(life: timedelta, remind_after: Sequence[timedelta]) -> None:
    """A link lives between a minute and half a year, and reminds at most `REMINDERS_MAX` times.

    Raises:
        TeikiError: `invalid_duration`.
    """
    if not timedelta(minutes=1) <= life <= LINK_LIFE_MAX:
        raise TeikiError(
            ErrorCode.INVALID_DURATION, f"A link lives from a minute to {LINK_LIFE_MAX.days} days."
        )
    if len(remind_after) > REMINDERS_MAX or any(wait <= timedelta() for wait in remind_after):
        raise TeikiError(
            ErrorCode.INVALID_DURATION,
            f"Reminders come after positive times, at most {REMINDERS_MAX} of them.",
        )


def require_payable(state: State, now: datetime) -> None:
    """A link can be paid while it is open, not yet over, and nothing is under way.

    Raises:
        TeikiError: `link_not_usable` (`used`, `revoked`, `expired`), `live_attempt_exists`.
    """
    if not state.is_open or state.expires_at <= now:
        raise not_usable(why_unusable(state.status, state.expires_at, now) or "expired")
    if state.flight is not None:
        raise TeikiError(
            ErrorCode.LIVE_ATTEMPT_EXISTS, "This repayment is being paid: its outcome comes first."
        )


def require_cancelable(state: State) -> None:
    """A link that is open can be canceled, unless money is under way.

    Raises:
        TeikiError: `invalid_status`, `live_attempt_exists`.
    """
    if not state.is_open:
        raise TeikiError(
            ErrorCode.INVALID_STATUS, "This repayment has ended.", status=state.status.value, allowed="open"
        )
    if state.flight is not None:
        raise TeikiError(
            ErrorCode.LIVE_ATTEMPT_EXISTS, "This repayment is being paid: its outcome comes first."
        )


def why_unusable(
    status: RepaymentStatus, expires_at: datetime, now: datetime
) -> Literal["used", "revoked", "expired"] | None:
    """Why a link cannot be paid (any more); None while it can."""
    if status is RepaymentStatus.PAID:
        return "used"
    if status is RepaymentStatus.CANCELED:
        return "revoked"
    if status is RepaymentStatus.EXPIRED or expires_at <= now:
        return "expired"
    return None


def not_usable(why: str) -> TeikiError:
    return TeikiError(ErrorCode.LINK_NOT_USABLE, "This link cannot be used (any more).", why=why)
