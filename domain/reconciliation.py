"""Do the gateway's book, our attempts and our ledger tell the same story? One movement at a time, purely.

A movement is a charge or a refund as the gateway lists it. It is right when one settled attempt of ours names it, with
the same amount, and that attempt's ledger entry says so too; a second charge under one reference is right once it was
booked as a twin. Everything else is a difference with a name (`db.tables.INCIDENT_KINDS`); differences are shown to
people, never mended here (spec: charging.md §§2.6, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

IN_FLIGHT_GRACE: Final = timedelta(minutes=5)
"""How much older than the gateway's in-flight horizon something is before it is judged."""
DECISION_PATIENCE: Final = timedelta(hours=25)
"""How long an attempt may be pending at the gateway, or unsent: the protocol gives up pending ones after a day."""

DifferenceKind = Literal[
    "double_charge",
    "charge_without_attempt",
    "charge_missing_at_gateway",
    "refund_missing_at_gateway",
    "amount_differs",
    "state_differs",
    "ledger_differs",
    "attempt_stuck",
    "workflow_missing",
    "double_refund",
    "returned_twice",
    "chargeback_unmatched",
]
_MOVES: Final = {
    "charge": ("charge", "charge"),
    "refund": ("refund", "refund"),
    "twin": ("refund", "refund"),
    "chargeback": ("chargeback", "chargeback"),
    "repayment": ("charge", "repayment"),
}
"""By an attempt's purpose: the kind of its movement at the gateway, and of its ledger entry. A receipt has no movement:
its money came otherwise.
"""
MOVEMENT_BOOKINGS: Final = frozenset(booking for _, booking in _MOVES.values())
_OPEN: Final = ("sent", "unsent", "unknown", "pending", "attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What the gateway lists; `minor` is positive for charges, refunds and chargebacks alike."""

    gateway_id: str
    kind: Literal["charge", "refund", "chargeback"]
    reference: str
    minor: int
    currency: str
    state: Literal["settled", "declined", "pending", "voided"]
    charge_id: str | None = None

    @property
    def signed(self) -> int:
        """What it changed in what the gateway owes us."""
        if self.state != "settled":
            return 0
        return self.minor if self.kind == "charge" else -self.minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A ledger entry; `net` is what it changes in `gateway_receivable`."""

    kind: str
    net: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt of ours with its ledger entries."""

    key: str
    object_id: str
    number: int
    purpose: Literal["charge", "refund", "twin", "chargeback", "repayment", "receipt"]
    reference: str
    state: str
    minor: int
    currency: str
    gateway_id: str | None
    returns: str | None
    is_young: bool
    """Within its horizon: what is not known of it yet may come."""
    bookings: tuple[Booking, ...] = ()

    def booked(self, kind: str) -> tuple[Booking, ...]:
        return tuple(booking for booking in self.bookings if booking.kind == kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is wrong, about whom, and what was seen."""

    kind: DifferenceKind
    gateway_id: str | None = None
    attempt_key: str | None = None
    subject_id: str | None = None
    number: int | None = None
    minor: int | None = None
    currency: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def dedupe_key(self) -> str:
        """The same trouble found again is the same incident."""
        return f"{self.kind}:{self.gateway_id or self.attempt_key or self.subject_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A movement's counterparts in signed minor units of its currency, and what is wrong, if anything is.

    Attributes:
        is_young: an attempt of ours that is concerned is still within its horizon.
    """

    attempts: int = 0
    ledger: int = 0
    difference: Difference | None = None
    is_young: bool = False


def judge(movement: Movement, ours: Sequence[Attempt]) -> Verdict:
    """One movement of the gateway against our attempts of the same payment (more of them do no harm)."""
    own = next((a for a in ours if a.state == "settled" and a.gateway_id == movement.gateway_id), None)
    asked = next((a for a in ours if a.reference == movement.reference), None)
    if movement.state == "settled":
        if own is not None:
            return _settled_as(movement, own)
        returns = [a for a in ours if a.purpose == "twin" and a.returns == movement.gateway_id]
        return _twin(movement, returns) if returns else _unclaimed(movement, asked)
    if own is not None:
        return Verdict(attempts=_signed(own), difference=_differs(movement, "state_differs", own))
    if movement.state == "pending" and (asked is None or asked.state not in _OPEN):
        # It may settle yet, and nobody would know.
        kind: DifferenceKind = "state_differs" if asked else _without_attempt(movement)
        return Verdict(difference=_differs(movement, kind, asked))
    return Verdict()


def _settled_as(movement: Movement, own: Attempt) -> Verdict:
    expected, booking = _MOVES[own.purpose]
    entries = own.booked(booking)
    ledger = sum(entry.net for entry in entries)
    kind: DifferenceKind | None = None
    if movement.kind != expected:
        kind = "state_differs"
    elif (movement.minor, movement.currency) != (own.minor, own.currency):
        kind = "amount_differs"
    elif [(entry.net, entry.currency) for entry in entries] != [(movement.signed, movement.currency)]:
        kind = "ledger_differs"
    difference = _differs(movement, kind, own, ledger=ledger) if kind else None
    return Verdict(attempts=_signed(own), ledger=ledger, difference=difference)


def _twin(movement: Movement, returns: Sequence[Attempt]) -> Verdict:
    """A second charge that was found before: booked once, whatever became of its return."""
    entries = [entry for attempt in returns for entry in attempt.booked("correction")]
    ledger = sum(entry.net for entry in entries)
    right = [(entry.net, entry.currency) for entry in entries] == [(movement.signed, movement.currency)]
    difference = None if right else _differs(movement, "ledger_differs", returns[0], ledger=ledger)
    return Verdict(attempts=movement.signed, ledger=ledger, difference=difference)


def _unclaimed(movement: Movement, asked: Attempt | None) -> Verdict:
    """Money moved and no settled attempt names it."""
    if asked is None:
        return Verdict(difference=_differs(movement, _without_attempt(movement), None))
    if asked.state != "settled":
        is_young = asked.state in _OPEN and asked.is_young
        return Verdict(difference=_differs(movement, "state_differs", asked), is_young=is_young)
    kind: DifferenceKind = "double_charge" if movement.kind == "charge" else "ledger_differs"
    return Verdict(difference=_differs(movement, kind, asked))


def is_news(movement: Movement, ours: Sequence[Attempt]) -> bool:
    """Whether it is a chargeback of a payment of ours that nobody has told us of: it is booked, not a difference."""
    if movement.kind != "chargeback" or movement.state != "settled":
        return False
    return any(a.purpose == "charge" and a.gateway_id == movement.charge_id for a in ours) and not any(
        a.purpose == "chargeback" and a.state == "settled" for a in ours
    )


def _without_attempt(movement: Movement) -> DifferenceKind:
    if movement.kind == "chargeback":
        return "chargeback_unmatched"  # of a charge that is no payment's own: a second one, a repayment's
    # A refund made by hand at the gateway: its book has it, our ledger has not.
    return "charge_without_attempt" if movement.kind == "charge" else "ledger_differs"


def missing(attempt: Attempt, *, gateway_id: str, found: Movement | None, ledger: int) -> Difference:
    """A booking whose movement the gateway's book does not show as settled; `ledger`: its signed minor units."""
    kind: DifferenceKind = "charge_missing_at_gateway" if ledger > 0 else "refund_missing_at_gateway"
    return _of(
        attempt,
        "state_differs" if found else kind,
        gateway_id=gateway_id,
        facts={"gateway": found.state if found else "nothing", "ledger_minor": ledger},
    )


def booked_unsettled(attempt: Attempt, *, ledger: int) -> Difference:
    """A ledger entry of an attempt that did not settle, or a settled attempt without one."""
    return _of(attempt, "ledger_differs", gateway_id=attempt.gateway_id, facts={"ledger_minor": ledger})


def stuck(attempt: Attempt, *, since: str) -> Difference:
    """An attempt without an outcome, long after it should have one."""
    return _of(attempt, "attempt_stuck", facts={"since": since})


def workflow_missing(object_id: str, *, status: str) -> Difference:
    """The books say that it runs; the engine has nothing that runs it."""
    return Difference(kind="workflow_missing", subject_id=object_id, facts={"status": status})


def _of(
    attempt: Attempt, kind: DifferenceKind, *, gateway_id: str | None = None, facts: dict[str, Any]
) -> Difference:
    return Difference(
        kind=kind,
        gateway_id=gateway_id,
        attempt_key=attempt.key,
        subject_id=attempt.object_id,
        number=attempt.number,
        minor=attempt.minor,
        currency=attempt.currency,
        facts={"reference": attempt.reference, "attempt": attempt.state, **facts},
    )


def _differs(
    movement: Movement, kind: DifferenceKind, attempt: Attempt | None, *, ledger: int | None = None
) -> Difference:
    facts: dict[str, Any] = {
        "reference": movement.reference,
        "gateway": f"{movement.kind} {movement.state}",
        "attempt": attempt.state if attempt else "nothing",
    }
    if attempt is not None and (attempt.minor, attempt.currency) != (movement.minor, movement.currency):
        facts["attempt_minor"], facts["attempt_currency"] = attempt.minor, attempt.currency
    if ledger is not None:
        facts["ledger_minor"] = ledger
    return Difference(
        kind=kind,
        gateway_id=movement.gateway_id,
        attempt_key=attempt.key if attempt else None,
        subject_id=attempt.object_id if attempt else None,
        number=attempt.number if attempt else None,
        minor=movement.minor,
        currency=movement.currency,
        facts=facts,
    )


def _signed(attempt: Attempt) -> int:
    return attempt.minor if _MOVES[attempt.purpose][0] == "charge" else -attempt.minor
