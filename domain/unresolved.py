"""A movement of money whose outcome is not known: when to ask again, when to send again, when to stop.

One protocol for charges, refunds and the return of twins (spec: charging.md §2). Unknown: ask with growing intervals
until the in-flight horizon has passed, then send again under the same key, but only while the gateway still
remembers the key; after that never: a person settles it. Pending: ask with growing intervals for a day, then give
it up at the gateway. Unsent: the gateway would not take it; send again later. None of this uses up an attempt.

What settled after a doubt is verified one horizon later: a request that everybody had given up may still arrive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel

Kind = Literal["unsent", "unknown", "pending", "attention"]

PENDING_LIFE: Final = timedelta(hours=24)
VERIFICATIONS_MAX: Final = 20
"""Questions of one verification; after these, reconciliation goes on looking and this subscription does not."""
_UNKNOWN_FIRST: Final = timedelta(seconds=15)
_UNKNOWN_MAX: Final = timedelta(minutes=10)
_PENDING_FIRST: Final = timedelta(seconds=30)
_PENDING_MAX: Final = timedelta(hours=1)
_UNSENT_FIRST: Final = timedelta(seconds=15)
_UNSENT_MAX: Final = timedelta(minutes=10)
_VERIFY_FIRST: Final = timedelta(minutes=1)
_VERIFY_MAX: Final = timedelta(hours=1)
_ATTENTION_EVERY: Final = timedelta(hours=6)
_DOUBLINGS_MAX: Final = 12


class Mode(StrEnum):
    """What the activity is to do with the attempt."""

    SEND = "send"
    ASK = "ask"
    RESEND = "resend"
    GIVE_UP = "give_up"


class InFlight(BaseModel):
    """An attempt whose outcome is not known yet: a value to be resolved, never a failure.

    Attributes:
        state: `unsent` (surely nothing happened, send later), `unknown` (ask; after the horizon send again
            under the same key), `pending` (the gateway works on it), `attention` (a person must settle it).
        sent_at: first time this key was sent; its lifetime counts from here.
        resent_at: last time it was sent; the in-flight horizon counts from here.
        counted: the attempt is one of the retry policy's (a charge's, not a refund's).
    """

    state: Kind
    sent_at: datetime
    resent_at: datetime
    next_at: datetime
    asks: int = 0
    counted: bool = True
    horizon_s: int = 600
    key_ttl_s: int = 82_800

    @classmethod
    def unsent(cls, now: datetime) -> InFlight:
        """One that has not left yet and may."""
        return cls(state="unsent", sent_at=now, resent_at=now, next_at=now)


class Verification(BaseModel):
    """An attempt that got its outcome after a doubt and is looked at once more, one horizon later."""

    number: int
    attempt: int
    next_at: datetime
    asks: int = 0

    def ask_again(self, now: datetime) -> Verification | None:
        """The same question later; None when it was asked often enough."""
        asks = self.asks + 1
        if asks >= VERIFICATIONS_MAX:
            return None
        next_at = now + min(_VERIFY_FIRST * (1 << min(self.asks, _DOUBLINGS_MAX)), _VERIFY_MAX)
        return self.model_copy(update={"asks": asks, "next_at": next_at})


def unresolved(
    flight: InFlight,
    kind: Kind,
    now: datetime,
    *,
    horizon_s: int | None = None,
    key_ttl_s: int | None = None,
    resent: bool = False,
    retry_after_s: int | None = None,
) -> None:
    """Note that the attempt is still open and plan the next question.

    Args:
        flight: changed in place.
        kind: what the gateway's answer amounts to.
        now: the instant of that answer.
        horizon_s: seconds a missed request may still take effect, by the gateway's capabilities.
        key_ttl_s: seconds the gateway remembers a key.
        resent: the request was sent once more just now, so the horizon starts anew.
        retry_after_s: seconds for which the gateway asked to be left alone.
    """
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
    if kind == "unknown" and _is_key_too_old(flight, now):
        flight.state = "attention"
    flight.next_at = max(_next_question(flight, now), now + timedelta(seconds=retry_after_s or 0))
    flight.asks += 1


def _not_forgetting(flight: InFlight, kind: Kind) -> Kind:
    """What is open, given what was known before: a later failure to reach the gateway proves nothing."""
    if kind == "attention":
        return kind
    if flight.state == "pending":
        # The gateway has it. Sending it again could charge twice where idempotency is best effort.
        return "pending"
    was_sent = flight.state in ("unknown", "attention") and flight.asks > 0
    return "unknown" if kind == "unsent" and was_sent else kind


def _next_question(flight: InFlight, now: datetime) -> datetime:
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
    next_at = now + min(_UNKNOWN_FIRST * doubled, _UNKNOWN_MAX)
    return min(next_at, horizon_at) if horizon_at > now else next_at


def _is_key_too_old(flight: InFlight, now: datetime) -> bool:
    return now - flight.sent_at >= timedelta(seconds=flight.key_ttl_s)


def question_mode(flight: InFlight, now: datetime, *, wanted: bool = True, ended: bool = False) -> Mode:
    """What to do about the attempt in flight at `now`.

    Args:
        flight: the attempt.
        now: the instant of the question.
        wanted: the money is still to be moved; what is not wanted any more is never sent again.
        ended: nothing waits for it any more, so a pending one is given up at the gateway at once.
    """
    if flight.state == "unsent":
        # Ended or suspended meanwhile: an attempt that never left is simply dropped.
        return Mode.SEND if wanted else Mode.GIVE_UP
    if flight.state == "pending":
        return Mode.GIVE_UP if ended or now - flight.sent_at >= PENDING_LIFE else Mode.ASK
    if flight.state == "attention" or _is_key_too_old(flight, now):
        return Mode.ASK
    horizon_over = now - flight.resent_at >= timedelta(seconds=flight.horizon_s)
    # One that wants no charge any more asks until the horizon has passed and then lets go.
    if horizon_over:
        return Mode.RESEND if wanted else Mode.GIVE_UP
    return Mode.ASK
