"""What leaves the house: an answer, whole or broken on its way out, or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateways.sandbox.faults import AFTER_COMMIT, BEFORE_WORK, Fault, Strike
from gateways.sandbox.refusal import Refusal

RETRY_AFTER_SECONDS: Final = 1


@dataclass(slots=True)
class Answer:
    """`lost`: the connection breaks instead. `torn`: the body is cut in the middle."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    torn: bool = False


def before_work(fault: Fault) -> Answer:
    """The answer of a gateway that did nothing."""
    if fault.name == "drop_before":
        return Answer(503, {}, lost=True)
    if fault.name == "rate_limit_429":
        refusal = Refusal(429, "rate_limited", "Too many requests; nothing was done.")
        return Answer(429, refusal.body(), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    if fault.name == "in_flight_409":
        return Answer(
            409, Refusal(409, "request_in_flight", "A request with this key is being processed.").body()
        )
    return Answer(500, Refusal(500, "server_error", "Something went wrong.").body())


def broken(answer: Answer, strikes: Sequence[Strike]) -> Answer:
    """What leaves the house after the work is done."""
    for strike in strikes:
        name = strike.fault.name
        if name in BEFORE_WORK or name not in AFTER_COMMIT:
            continue
        if name == "drop_after":
            answer.lost = True
        elif name == "malformed":
            answer.torn = True
        elif name == "error_after":
            return Answer(500, Refusal(500, "server_error", "Something went wrong.").body())
        elif "amount" in answer.body:
            amount = answer.body["amount"]
            answer.body = {**answer.body, "amount": {**amount, "minor": amount["minor"] + 1}}
    return answer
