"""When to ask again about an attempt whose outcome is not known (spec: charging.md §2, subscriptions.md §3).

Unknown: ask with growing intervals until the in-flight horizon has passed, then send again under the
same key, but only while the gateway still remembers the key; after that never: a person settles it.
Pending: ask with growing intervals for a day, then give it up at the gateway and count it as failed.
Unsent: the gateway would not take it; send again later. None of this uses up an attempt.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from domain.subscription import InFlight, State, Status

Kind = Literal["unsent", "unknown", "pending"]

PENDING_LIFE: Final = timedelta(hours=24)
_UNKNOWN_FIRST: Final = timedelta(seconds=15)
_PENDING_FIRST: Final = timedelta(seconds=30)
_PENDING_MAX: Final = timedelta(hours=1)
_UNSENT_FIRST: Final = timedelta(seconds=15)
_UNSENT_MAX: Final = timedelta(minutes=10)
_ATTENTION_EVERY: Final = timedelta(hours=6)
_DOUBLINGS_MAX: Final = 12


class Mode(StrEnum):
    """What the charge activity is to do with the attempt."""

    SEND = "send"
    ASK = "ask"
    RESEND = "resend"
    GIVE_UP = "give_up"


def unresolved(
    state: State,
    kind: Kind,
    now: datetime,
    *,
    horizon_s: int | None = None,
    key_ttl_s: int | None = None,
    resent: bool = False,
) -> None:
    """Note that the attempt is still open and plan the next question.

    Args:
        state: changed in place.
        kind: what the gateway's answer amounts to.
        now: the instant of that answer.
        horizon_s: seconds a missed request may still take effect, by the gateway's capabilities.
        key_ttl_s: seconds the gateway remembers a key.
        resent: the request was sent once more just now, so the horizon starts anew.
    """
    flight = state.in_flight
    assert flight is not None
    kind = _not_forgetting(flight, kind)
    if flight.state != kind:
        flight.asks = 0
    if kind == "unsent":
        # Nothing left the house: the key is as good as new.
        flight.sent_at = now
    flight.horizon_s = horizon_s if horizon_s is not None else flight.horizon_s
    flight.key_ttl_s = key_ttl_s if key_ttl_s is not None else flight.key_ttl_s
    flight.resent_at = now if resent else flight.resent_at
    flight.state = kind
    if kind == "unknown" and _is_key_too_old(state, now):
        flight.state = "attention"
    flight.next_at = _next_question(state, now)
    flight.asks += 1


def _not_forgetting(flight: InFlight, kind: Kind) -> Kind:
    """What is open, given what was known before: a later failure to reach the gateway proves nothing."""
    if flight.state == "pending":
        # The gateway has it. Sending it again could charge twice where idempotency is best effort.
        return "pending"
    was_sent = flight.state in ("unknown", "attention") and flight.asks > 0
    return "unknown" if kind == "unsent" and was_sent else kind


def _next_question(state: State, now: datetime) -> datetime:
    flight = state.in_flight
    assert flight is not None
    doubled = 1 << min(flight.asks, _DOUBLINGS_MAX)
    if flight.state == "attention":
        return now + _ATTENTION_EVERY
    if flight.state == "unsent":
        return now + min(_UNSENT_FIRST * doubled, _UNSENT_MAX)
    if flight.state == "pending":
        give_up_at = flight.sent_at + PENDING_LIFE
        next_at = now + min(_PENDING_FIRST * doubled, _PENDING_MAX)
        return max(now, give_up_at) if next_at >= give_up_at > now else next_at
    horizon_at = flight.resent_at + timedelta(seconds=flight.horizon_s)
    next_at = now + _UNKNOWN_FIRST * doubled
    return min(next_at, horizon_at) if horizon_at > now else next_at


def _is_key_too_old(state: State, now: datetime) -> bool:
    flight = state.in_flight
    assert flight is not None
    return now - flight.sent_at >= timedelta(seconds=flight.key_ttl_s)


def question_mode(state: State, now: datetime) -> Mode:
    """What to do about the attempt in flight at `now`."""
    flight = state.in_flight
    assert flight is not None
    wants_charge = not state.is_final and state.status is not Status.SUSPENDED
    if flight.state == "unsent":
        # Ended or suspended meanwhile: an attempt that never left is simply dropped.
        return Mode.SEND if wants_charge else Mode.GIVE_UP
    if flight.state == "pending":
        over = state.is_final or now - flight.sent_at >= PENDING_LIFE
        return Mode.GIVE_UP if over else Mode.ASK
    if flight.state == "attention" or _is_key_too_old(state, now):
        return Mode.ASK
    horizon_over = now - flight.resent_at >= timedelta(seconds=flight.horizon_s)
    # One that wants no charge any more asks until the horizon has passed and then lets go.
    if horizon_over:
        return Mode.RESEND if wants_charge else Mode.GIVE_UP
    return Mode.ASK


def refund_unresolved(state: State, now: datetime, *, resent: bool, horizon_s: int | None) -> None:
    """The refund's outcome is not known yet: the same key again later; a refund has no retry ladder."""
    refund = state.refund
    assert refund is not None
    refund.resent_at = now if resent else refund.resent_at
    refund.horizon_s = horizon_s if horizon_s is not None else refund.horizon_s
    refund.next_at = now + min(_UNSENT_FIRST * (1 << min(refund.asks, _DOUBLINGS_MAX)), _PENDING_MAX)
    refund.asks += 1


def refund_mode(state: State, now: datetime) -> Mode:
    """A refund that may still be under way is asked about; only after the horizon it is sent again."""
    refund = state.refund
    assert refund is not None
    if refund.resent_at is None:
        return Mode.SEND
    horizon_over = now - refund.resent_at >= timedelta(seconds=refund.horizon_s)
    return Mode.RESEND if horizon_over else Mode.ASK
