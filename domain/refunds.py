"""Money on its way back to the customer (spec: charging.md §2.5, subscriptions.md §3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, model_validator

from domain.errors import ErrorCode, TeikiError
from domain.unresolved import InFlight


class RefundDue(BaseModel):
    """Money that goes back by itself: a payment that settled after the end, or a second charge for one payment.

    Attributes:
        returns: the gateway's id of the second charge (a twin); None: the payment's own charge.
        attempt: rises only after a definite refusal that a person answered with "again".
        flight: where its request stands; it keeps the same key until it is settled or refused.
    """

    number: int
    amount_minor: int
    sent_at: datetime
    flight: InFlight
    returns: str | None = None
    attempt: int = 1

    @model_validator(mode="before")
    @classmethod
    def _as_written_before_flights(cls, given: Any) -> Any:
        """A run that began on older code kept the flight's fields here."""
        if not isinstance(given, dict) or "flight" in given:
            return given
        resent_at = given.get("resent_at")
        flight = {
            "state": "unknown" if resent_at else "unsent",
            "sent_at": given["sent_at"],
            "resent_at": resent_at or given["sent_at"],
            "next_at": given["next_at"],
            "asks": given.get("asks", 0),
            "horizon_s": given.get("horizon_s", 600),
        }
        return {**given, "flight": flight}


def without(
    refunds: tuple[RefundDue, ...], refund: RefundDue, now: datetime, *, again: bool = False
) -> tuple[RefundDue, ...]:
    """It is done with; or a person wants it asked for again, as a new attempt with a key of its own."""
    others = tuple(other for other in refunds if other is not refund)
    next_try = refund.model_copy(
        update={"attempt": refund.attempt + 1, "flight": InFlight.unsent(now), "sent_at": now}
    )
    return (*others, next_try) if again else others


def waiting_for_a_person(
    flight: InFlight | None, refunds: tuple[RefundDue, ...], *, number: int, returns: str | None, what: str
) -> RefundDue | None:
    """Of something that has one charge: the return meant; None: the charge itself.

    Args:
        flight: of the charge.
        refunds: second charges on their way back.
        number: the payment's, as the person named it.
        returns: the gateway id of a second charge, for its return; None: the charge.
        what: it is, for people.

    Raises:
        TeikiError: `nothing_to_settle` when it does not wait for a person.
    """
    if returns is None and flight is not None and flight.state == "attention":
        return None
    for refund in refunds:
        if refund.returns == returns and refund.flight.state == "attention":
            return refund
    raise TeikiError(
        ErrorCode.NOTHING_TO_SETTLE,
        f"Nothing of this {what} waits for a person; while the gateway is still asked, wait.",
        number=number,
    )
