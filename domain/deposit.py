"""A Konbini deposit: one slip, from its issue until nobody can pay it any more (spec: orders.md §4).

Notices of the payment company are hints that may be lost, doubled, late or in the wrong order; what counts is what its
book shows when it is asked. So every decision here follows from an answer to a question, and the same answers give the
same end whatever was heard in between. After its end a slip is watched for a while: what is paid on it then, or a
second time, is money that goes back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.order_terms import KonbiniSpec
from domain.refunds import RefundDue
from domain.unresolved import InFlight

_ASK_FIRST: Final = timedelta(minutes=5)
_ASK_MAX: Final = timedelta(hours=6)
_WATCH_FIRST: Final = timedelta(hours=1)
_WATCH_MAX: Final = timedelta(days=3)
WATCHED_FOR: Final = timedelta(days=30)
"""After its end. What comes later still is found by the daily reconciliation."""
ANNOUNCED_FOR: Final = timedelta(days=14)
"""How long after the grace a preliminary notice stands without its money: a settlement, and a row of holidays."""
_DOUBLINGS_MAX: Final = 12


class DepositStatus(StrEnum):
    REQUESTED = "requested"
    ISSUED = "issued"
    PRELIMINARY = "preliminary"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FAILED = "failed"


ENDED: Final = frozenset(
    {DepositStatus.PAID, DepositStatus.EXPIRED, DepositStatus.CANCELED, DepositStatus.FAILED}
)


class DepositMove(BaseModel):
    """One change of status, as history keeps it."""

    from_: DepositStatus
    to: DepositStatus
    reason: str


class DepositState(BaseModel):
    """Everything a deposit remembers; fields only grow, with defaults. Collections are tuples.

    Attributes:
        number: of the slip within its order, and of the payment in the books.
        flight: where the request for the slip stands; None once the slip is paid, voided or refused.
        gateway_id: the slip, as the payment company names it.
        final_at: the end of the grace.
        cancel_reason: why it is to be voided as soon as possible.
        watch_until: and `watches`: how long, and how often it was looked for late money.
        refunds: late or second payments on their way back.
    """

    id: str
    order_id: str
    number: int
    konbini: KonbiniSpec
    amount: Money
    deadline_at: datetime
    final_at: datetime
    status: DepositStatus = DepositStatus.REQUESTED
    reason: str = "requested"
    flight: InFlight | None = None
    gateway_id: str | None = None
    asks: int = 0
    cancel_reason: str | None = None
    paid_at: datetime | None = None
    watch_at: datetime | None = None
    watch_until: datetime | None = None
    watches: int = 0
    refunds: tuple[RefundDue, ...] = ()

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    @property
    def gives_up_at(self) -> datetime:
        """When nobody waits for its money any more."""
        announced = self.status is DepositStatus.PRELIMINARY
        return self.final_at + ANNOUNCED_FOR if announced else self.final_at

    @property
    def next_refund(self) -> RefundDue | None:
        return min(self.refunds, key=lambda refund: refund.flight.next_at, default=None)


StepName = Literal["issue", "ask", "void", "watch", "refund"]


class Step(NamedTuple):
    """What happens next, and when."""

    name: StepName
    at: datetime


def next_step(state: DepositState) -> Step | None:
    """The next thing this deposit does by itself; None: it has ended and is not watched any more."""
    steps: list[Step] = []
    if state.flight is not None:
        steps.append(Step(_question(state, state.flight), state.flight.next_at))
    if (refund := state.next_refund) is not None:
        steps.append(Step("refund", refund.flight.next_at))
    if state.watch_at is not None:
        steps.append(Step("watch", state.watch_at))
    return min(steps, key=lambda step: step.at, default=None)


def _question(state: DepositState, flight: InFlight) -> StepName:
    # Beyond the grace the slip is voided, which is also the last question whether it was paid. One that a store has
    # announced as paid has more time: its money is on the way, often until the next day. One that could not be issued
    # until then is not wanted any more.
    if state.cancel_reason is not None or flight.next_at >= state.gives_up_at:
        return "void"
    return "issue" if state.status is DepositStatus.REQUESTED else "ask"


def opened(
    deposit_id: str, order_id: str, number: int, konbini: KonbiniSpec, amount: Money, now: datetime
) -> DepositState:
    """A slip that is to be asked for now."""
    return DepositState(
        id=deposit_id,
        order_id=order_id,
        number=number,
        konbini=konbini,
        amount=amount,
        deadline_at=konbini.deadline_at(now),
        final_at=konbini.final_at(now),
        flight=InFlight.unsent(now),
    )


def shown_pending(
    state: DepositState, gateway_id: str | None, now: datetime, *, preliminary: bool
) -> list[DepositMove]:
    """The payment company shows the slip, unpaid or with a preliminary notice."""
    assert state.flight is not None
    state.gateway_id = gateway_id or state.gateway_id
    state.flight.state = "pending"
    _ask_later(state, now)
    if state.cancel_reason is not None:
        state.flight.next_at = now
    if preliminary and state.status is not DepositStatus.PRELIMINARY:
        return [_move(state, DepositStatus.PRELIMINARY, "preliminary_notice")]
    if not preliminary and state.status is DepositStatus.PRELIMINARY:
        if now >= state.deadline_at:
            # Taken back after the deadline: nobody may pay it any more, grace or not.
            state.final_at = min(state.final_at, now)
            state.flight.next_at = now
        return [_move(state, DepositStatus.ISSUED, "preliminary_canceled")]
    if state.status is DepositStatus.REQUESTED:
        return [_move(state, DepositStatus.ISSUED, "issued")]
    return []


def asked_in_vain(state: DepositState, now: datetime) -> None:
    """The payment company could not be asked, or did not know: the question comes again soon, also after the end."""
    assert state.flight is not None
    state.asks = 0
    _ask_later(state, now)


def paid(state: DepositState, now: datetime, *, paid_at: datetime | None = None) -> list[DepositMove]:
    """The money is there and in the books. `paid_at`: when it was paid, as the store says; else now.

    A clock that cannot be right (before the slip was asked for, or in the future) counts as silence.
    """
    moves = [_move(state, DepositStatus.PAID, "paid_after_cancel" if state.cancel_reason else "paid")]
    asked_at = state.flight.sent_at if state.flight is not None else now
    state.paid_at = paid_at if paid_at is not None and asked_at <= paid_at <= now else now
    _end(state, now)
    return moves


def closed(state: DepositState, now: datetime, *, refused: bool = False) -> list[DepositMove]:
    """It will never be paid: voided at the payment company, or refused by it."""
    if refused and state.status is DepositStatus.REQUESTED:
        move = _move(state, DepositStatus.FAILED, "refused")
    elif state.cancel_reason is not None:
        move = _move(state, DepositStatus.CANCELED, state.cancel_reason)
    else:
        move = _move(state, DepositStatus.EXPIRED, "deposit_expired")
    _end(state, now)
    return [move]


def noticed(state: DepositState, now: datetime) -> None:
    """Somebody said that something happened: ask, or look for late money, at once."""
    if state.flight is not None:
        state.flight.next_at = min(state.flight.next_at, now)
    if state.watch_at is not None:
        state.watch_at = min(state.watch_at, now)


def cancel(state: DepositState, reason: str, now: datetime) -> None:
    """Void it as soon as possible. One that has ended stays as it is."""
    if state.flight is not None and state.cancel_reason is None:
        state.cancel_reason = reason
        state.flight.next_at = now


def watched(state: DepositState, now: datetime, *, clear: bool) -> None:
    """It was looked for late money; the next look comes later, and none after the time for it."""
    assert state.watch_until is not None
    state.watches += 1
    later = now + min(_WATCH_FIRST * (1 << min(state.watches, _DOUBLINGS_MAX)), _WATCH_MAX)
    is_over = now >= state.watch_until and clear
    state.watch_at = None if is_over else max(min(later, state.watch_until), now + timedelta(minutes=1))


def late_money(state: DepositState, gateway_id: str, amount_minor: int, now: datetime) -> bool:
    """Money nobody expects goes back by itself; False when it is on its way already."""
    if any(refund.returns == gateway_id for refund in state.refunds):
        return False
    due = RefundDue(
        number=state.number,
        amount_minor=amount_minor,
        sent_at=now,
        flight=InFlight.unsent(now),
        returns=gateway_id,
    )
    state.refunds = (*state.refunds, due)
    return True


def may_be_given_up(state: DepositState, now: datetime) -> bool:
    """Nobody wants it any more, and no request of ours can still arrive: what is not found then was never issued.

    The key's age, which keeps a charge from being sent again, does not matter where nothing is sent.
    """
    flight = state.flight
    assert flight is not None
    return now - flight.resent_at >= timedelta(seconds=flight.horizon_s)


def require_open(state: DepositState) -> None:
    """Refuses what is meant for a slip that can still be paid."""
    if state.is_ended:
        raise TeikiError(
            ErrorCode.INVALID_STATUS, "This slip cannot be paid any more.", status=state.status.value
        )


def _ask_later(state: DepositState, now: datetime) -> None:
    """With growing pauses, and always at the deadline and at the end of the grace."""
    assert state.flight is not None
    state.asks += 1
    next_at = now + min(_ASK_FIRST * (1 << min(state.asks, _DOUBLINGS_MAX)), _ASK_MAX)
    for instant in (state.deadline_at, state.final_at, state.gives_up_at):
        if now < instant:
            next_at = min(next_at, instant)
    state.flight.next_at = next_at


def _end(state: DepositState, now: datetime) -> None:
    state.flight = None
    state.watch_at = now + _WATCH_FIRST
    state.watch_until = now + WATCHED_FOR


def _move(state: DepositState, to: DepositStatus, reason: str) -> DepositMove:
    move = DepositMove(from_=state.status, to=to, reason=reason)
    state.status, state.reason = to, reason
    return move
