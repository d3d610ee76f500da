"""What the payment company tells by itself, and who is to hear of it (spec: charging.md §4, customers.md §6).

A notice is a hint: it carries names, never a result, and the workflow that hears of it asks the gateway itself. The
workflow is found by the reference, which is ours and begins with the object's id. To let another kind of object hear,
add its prefix to `WORKFLOW_OF`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from domain.errors import TeikiError
from domain.identifiers import (
    charge_reference,
    chargeback_workflow_id,
    credit_of_reference,
    credit_workflow_id,
    deposit_workflow_id,
    refund_reference,
    repayment_of,
    repayment_workflow_id,
    require_id,
)
from domain.subscription import State
from domain.unresolved import InFlight

WORKFLOW_OF: Final = {"sub": "subscription", "ord": "order"}
"""Prefix of an object's id → what its workflow's id begins with."""

TRIES_MAX: Final = 10
"""After so many failed tries to hand a notice over it is parked for people: about five hours."""
_PAUSE_FIRST: Final = timedelta(minutes=1)
_PAUSE_MAX: Final = timedelta(hours=1)

_ASKED_ABOUT: Final = ("unknown", "pending", "attention")
_DECIDED: Final = ("settled", "declined", "abandoned")


class GatewayNotice(BaseModel):
    """The argument of the signal `gateway_notified`: names only, to be looked up at the gateway.

    Attributes:
        gateway_id: of the charge or refund there.
        reference: ours, as the gateway stores it.
    """

    model_config = ConfigDict(frozen=True)

    gateway_id: str
    reference: str


def workflow_concerned(reference: str, *, deposit_id: str | None = None) -> str | None:
    """The id of the workflow that a reference (`<object id>/…`) belongs to; None: of nobody that we know.

    Args:
        reference: ours, as the gateway stores it.
        deposit_id: the slip that was asked for under the reference's payment number, if it was one. What happens to the
            slip, and to late money on it, concerns the slip's own workflow; the payment's refund is the order's, and a
            credit has a workflow of its own.
    """
    object_id, *rest = reference.split("/")
    prefix = object_id.partition("_")[0]
    if deposit_id is not None and rest[1:2] not in (["refund"], ["credit"]):
        return deposit_workflow_id(deposit_id)
    if prefix not in WORKFLOW_OF:
        return None
    try:
        return _concerned(reference, require_id(object_id, prefix), rest)
    except TeikiError:
        return None


def _concerned(reference: str, object_id: str, rest: list[str]) -> str | None:
    """Of an object's reference: who looks after what it names."""
    if rest[-1:] == ["chargeback"]:
        return chargeback_workflow_id(object_id, int(rest[0])) if is_number(rest[0]) else None
    if (credit_id := credit_of_reference(reference)) is not None:
        return credit_workflow_id(require_id(credit_id, "crd"))
    if (repayment_id := repayment_of(reference)) is not None:
        return repayment_workflow_id(require_id(repayment_id, "rep"))
    return f"{WORKFLOW_OF[object_id.partition('_')[0]]}/{object_id}"


def payment_told_of(workflow_id: str) -> tuple[str, int] | None:
    """The payment that a workflow of chargebacks is about; None for every other workflow.

    Others run already when they are told something; this one is started by being told.
    """
    kind, _, rest = workflow_id.partition("/")
    object_id, _, number = rest.partition("/")
    return (object_id, int(number)) if kind == "chargeback" and is_number(number) else None


def is_number(text: str) -> bool:
    """Whether a part of a reference is a payment's number."""
    return text.isascii() and text.isdecimal() and len(text) < 10


def is_decided(attempt_state: str | None) -> bool:
    """Whether the books know the attempt's outcome, so that its workflow need not be woken.

    Nearly every charge is answered at once and told of as well: a wake-up for each would cost a renewal half as much
    again.
    """
    return attempt_state in _DECIDED


def is_being_asked(attempt_state: str | None) -> bool:
    """Whether the request is on its way at this moment: whoever sent it hears the answer first."""
    return attempt_state == "sent"


def pause_after(tries: int) -> timedelta:
    """How long to wait after so many tries (1 or more) to hand a notice over."""
    return min(_PAUSE_FIRST * (1 << min(tries - 1, TRIES_MAX)), _PAUSE_MAX)


def hurry(state: State, reference: str, now: datetime) -> bool:
    """Let the next question about what is in flight under this reference be due now.

    Returns:
        False, and nothing changes, when nothing is in flight under it, or its question is due anyway.
    """
    flight = _in_flight(state, reference)
    if flight is None or flight.state not in _ASKED_ABOUT or flight.next_at <= now:
        return False
    flight.next_at = now
    return True


def _in_flight(state: State, reference: str) -> InFlight | None:
    if state.open is not None and state.in_flight is not None:
        number, attempt = state.open.number, state.open.attempts + 1
        if charge_reference(state.id, number, attempt) == reference:
            return state.in_flight
    for due in state.refunds:
        if refund_reference(state.id, due.number, twin=due.returns, attempt=due.attempt) == reference:
            return due.flight
    return None
