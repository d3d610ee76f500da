"""What the sandbox's answers mean, in the port's words.

Whatever cannot be read, or is about something else than was asked, is `Unknown`; money is never guessed.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

from domain.declines import DeclineCode
from domain.errors import TeikiError
from domain.money import Money
from gateways.port import (
    ChargeOutcome,
    Declined,
    GatewayCharge,
    GatewayUnavailable,
    KonbiniSlip,
    Pending,
    Unavailable,
    Unknown,
)

_IN_DOUBT: Final = frozenset({"request_in_flight", "idempotency_conflict"})
"""Refusals that say that this key has a history: what it came to must be looked up, not guessed."""
_DECLINES: Final[dict[str, DeclineCode]] = {code.value: code for code in DeclineCode}
_REFUSALS: Final[dict[str, DeclineCode]] = {
    "partial_refund_not_supported": DeclineCode.PARTIAL_REFUND_NOT_SUPPORTED,
    "refund_not_supported": DeclineCode.REFUND_NOT_SUPPORTED,
    "konbini_amount_out_of_range": DeclineCode.SLIP_REFUSED,
    "store_not_supported": DeclineCode.SLIP_REFUSED,
    "currency_not_supported": DeclineCode.SLIP_REFUSED,
    "invalid_customer": DeclineCode.SLIP_REFUSED,
    "invalid_deadline": DeclineCode.SLIP_REFUSED,
}
"""Requests refused for a reason that has a name of its own."""


def refused(status: int, retry_after: str | None, raw: bytes) -> ChargeOutcome:
    """What an answer other than 200 means for a request that was to change something."""
    error = (json_object(raw) or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if status == 429:
        seconds = int(retry_after) if retry_after is not None and retry_after.isdecimal() else None
        return Unavailable(
            hint="rate limited", retry_after=None if seconds is None else timedelta(seconds=seconds)
        )
    if status >= 500 or not isinstance(code, str) or code in _IN_DOUBT:
        hint = f"http {status}" + (f" {code}" if isinstance(code, str) else "")
        return Unknown(hint=hint, outage=status >= 500)
    # The request itself was refused (not found, more than is left, …): a definite no, and no money moved.
    return Declined(code=_REFUSALS.get(code, DeclineCode.PROCESSING_ERROR), gateway_code=code)


def accepted(
    raw: bytes, expected: tuple[str | None, Money | None, str | None], *, check_failed: bool
) -> ChargeOutcome:
    """A 200, read against what was asked: `expected` is reference, amount and charge id, None for any."""
    answer = json_object(raw)
    record = None if answer is None else _record(answer)
    if answer is None or record is None:
        return Unknown(hint="unreadable answer")
    reference, amount, charge_id = expected
    matches = (
        (reference is None or record.reference == reference)
        and (amount is None or record.amount == amount)
        and (charge_id is None or record.gateway_id == charge_id)
    )
    if not matches:
        return Unknown(hint="the answer is about another reference, amount or charge")
    outcome = record.outcome()
    more: dict[str, Any] = {"idempotency_check_failed": True} if check_failed else {}
    if isinstance(outcome, Declined):
        more["gateway_code"] = str(answer.get("decline") or "")
    elif isinstance(outcome, Pending):
        more["slip"] = slip_of(answer)
    return outcome.model_copy(update=more)


def json_object(raw: bytes) -> dict[str, Any] | None:
    """The object in a body; None when there is none."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _record(answer: dict[str, Any]) -> GatewayCharge | None:
    """The gateway's record in our words; None when it cannot be read. An unknown decline is a plain one."""
    word = answer.get("decline")
    try:
        return GatewayCharge(
            gateway_id=answer["id"],
            kind=answer["kind"],
            reference=answer["reference"],
            amount=Money.model_validate(answer["amount"]),
            state=answer["state"],
            decline=None if word is None else _DECLINES.get(word, DeclineCode.CARD_DECLINED),
            refunded_minor=answer["refunded_minor"],
            created_at=datetime.fromisoformat(answer["created_at"]),
            deposit=answer.get("deposit"),
            fee_minor=answer.get("fee_minor", 0),
            installments=answer.get("installments"),
            charge_id=answer.get("charge_id"),
        )
    except (KeyError, TypeError, ValueError, TeikiError):
        return None


def slip_of(answer: dict[str, Any]) -> KonbiniSlip | None:
    """The slip in a charge's record; None when it cannot be read."""
    printed = answer.get("slip")
    if not isinstance(printed, dict):
        return None
    try:
        return KonbiniSlip(gateway_id=answer["id"], amount=Money.model_validate(answer["amount"]), **printed)
    except (KeyError, TypeError, ValueError, TeikiError):
        return None


def readable(answer: Any) -> GatewayCharge:
    """A record.

    Raises:
        GatewayUnavailable: it cannot be read.
    """
    record = _record(answer) if isinstance(answer, dict) else None
    if record is None:
        raise GatewayUnavailable("The gateway's record cannot be read.")
    return record


def records(answer: dict[str, Any] | None) -> list[GatewayCharge]:
    """The records of a list.

    Raises:
        GatewayUnavailable: it cannot be read; it must not look empty.
    """
    items = (answer or {}).get("items")
    if not isinstance(items, list):
        raise GatewayUnavailable("The gateway's list cannot be read.")
    return [readable(item) for item in items]
