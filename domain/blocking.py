"""What a block does to a subscription, and how an unblock puts it back (spec: customers.md §2).

A block suspends with reason `blocked` and leaves the plan as it is: the status that was is remembered in `State.held`.
An unblock gives exactly that status back and charges nothing by itself: what fell due meanwhile is skipped, what was
planned for later stays planned. The guard of money is not here: a charge of somebody who is blocked is refused where
its intent is written (`db.begin`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from domain.errors import ErrorCode, TeikiError
from domain.resume import Resumed, Skipped
from domain.subscription import FINAL, Held, State, Status, Transition, complete, move, next_charge

BLOCKED: Final = "blocked"
"""The reason of a suspension by a block, and of the payments skipped for it."""
RUNNING: Final = frozenset(set(Status) - FINAL - {Status.SUSPENDED})
"""What a block suspends; what an operator has suspended before is left alone, and so is what has ended."""


def block(state: State, now: datetime) -> list[Transition]:
    """Stop charging until unblocked. An attempt in flight is still resolved, and never sent again.

    Raises:
        TeikiError: `invalid_status` when it is suspended already or has ended.
    """
    if state.status not in RUNNING:
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            f"A subscription that is {state.status.value} has nothing to block.",
            status=state.status.value,
            allowed=sorted(status.value for status in RUNNING),
        )
    before = Held(status=state.status, reason=state.reason, at=now)
    suspended = move(state, Status.SUSPENDED, BLOCKED)
    state.held = before
    return [suspended]


def unblock(state: State, now: datetime) -> Resumed:
    """Give back the status that the block took; missed payments are skipped and nothing falls due by it.

    Raises:
        TeikiError: `invalid_status` when no block suspended it.
    """
    if state.status is not Status.SUSPENDED or state.reason != BLOCKED:
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            "Only a subscription that a block suspended is unblocked.",
            status=state.status.value,
            reason=state.reason,
        )
    held = state.held or _as_far_as_known(state, now)
    skipped = _skip_missed(state, held, now)
    transitions = [move(state, held.status, "unblocked")]
    state.reason = held.reason
    if held.status is Status.CURRENT and not state.has_more_charges and state.open is None:
        # The last agreed payment was in flight when the block came, and succeeded.
        transitions.append(complete(state))
    return Resumed(transitions=transitions, skipped=skipped)


def _as_far_as_known(state: State, now: datetime) -> Held:
    """For what was suspended before blocks were remembered."""
    if state.charges == 0:
        return Held(status=Status.UNCONFIRMED, reason="first_payment_failed", at=now)
    return Held(status=Status.CURRENT, reason="resumed", at=now)


def _skip_missed(state: State, held: Held, now: datetime) -> list[Skipped]:
    if state.in_flight is not None:
        # What is in flight has its own outcome; the cycles behind it may have fallen due meanwhile.
        due_at = state.next_cycle_at or state.next_cycle_due()
        return _skip_cycles(state, now) if held.at < due_at <= now else []
    if state.open is None:
        step = next_charge(state)
        return _skip_cycles(state, now) if step is not None and step.at <= now else []
    payment = state.open
    if payment.next_at is not None and payment.next_at > now:
        payment.extra_at = (
            None if payment.extra_at is not None and payment.extra_at <= now else payment.extra_at
        )
        return []
    state.open = None
    return [Skipped(first=payment.number, last=payment.number, reason=BLOCKED), *_skip_cycles(state, now)]


def _skip_cycles(state: State, now: datetime) -> list[Skipped]:
    """On with the first cycle date in the future. One that was given an instant of its own has missed that."""
    first, named_at = state.next_cycle, state.next_cycle_at
    if named_at is not None and named_at > now:
        return []
    state.next_cycle_at = None
    calendar = state.terms.calendar
    cycle = calendar.first_at_or_after(now, start=first if named_at is None else first + 1)
    while calendar.due(cycle) <= now:
        cycle += 1
    state.next_cycle = cycle
    if state.next_cycle == first:
        return []
    return [Skipped(first=first + 1, last=state.next_cycle, reason=BLOCKED)]
