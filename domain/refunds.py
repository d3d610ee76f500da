"""Money on its way back to the customer (spec: charging.md §2.5, subscriptions.md §3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, model_validator

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
