"""What merchants' services are told, and for how long it is tried (spec: customers.md §5).

A *notification* is one row of the outbox: what happened, once. An *endpoint* is where a merchant wants to hear of it; a
*delivery* is one notification to one endpoint. It is sent at least once, in the order of its object, and every sending
of it carries the same id and the same bytes: whoever receives it twice recognises it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.errors import ErrorCode, TeikiError

TOPICS: Final[Mapping[str, str]] = {
    "payment.settled": "a payment of a subscription or an order was paid",
    "payment.failed": "an attempt at a payment was declined, for good",
    "payment.refunded": "money of a payment went back to the customer",
    "payment.status": "the payment status of an order changed",
    "payment.chargeback": "the customer's bank took a payment back",
    "payment.repaid": "money came for a payment that had been charged back",
    "refund.failed": "money could not be given back",
    "repayment.opened": "a repayment link was made; its customer is to hear of it",
    "repayment.reminder": "an open repayment link is to be brought to mind",
    "repayment.failed": "the payment of a repayment link was declined",
    "repayment.expired": "a repayment link ran out",
    "repayment.canceled": "a repayment link was taken back",
    "subscription.status": "the status of a subscription changed",
    "subscription.operation": "somebody did something to a subscription",
    "order.status": "the status of an order changed",
    "order.operation": "somebody did something to an order",
    "order.points": "points of an order were earned, used or taken back",
    "order.custom_fields": "the answers of an order changed",
    "order.identification": "the identification of an order was given",
    "permission.status": "access to what was bought was given, used or taken",
    "deposit.status": "the status of a Konbini slip changed",
    "deposit.late_money": "a Konbini slip was paid twice or too late; the money goes back",
    "incident.opened": "something does not add up; people look into it",
    "incident.closed": "a person has looked into it",
}
"""Every topic, and when it is written."""

TRIED_FOR: Final = timedelta(days=3)
"""How long a delivery is tried, from the instant the notification was passed to the endpoint."""
TRIED_AT_LEAST_FOR: Final = timedelta(hours=1)
"""What had to wait behind an earlier event of its object is tried for so long, however late its turn came."""
_MINUTE, _HOUR = 60.0, 3_600.0
PAUSES_S: Final = (
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR),
)
"""Seconds after each failed try until the next; the last one repeats. The schedule of Standard Webhooks."""
JITTER: Final = 0.1
"""A pause is shorter by up to this part of itself, so that what failed together does not come again together."""

OLD_SECRET_SIGNS_FOR: Final = timedelta(hours=24)
"""After a rotation the secret before signs too, for as long as a receiver may need to learn the new one."""
ENDPOINTS_MAX: Final = 20
"""Endpoints that are not removed: each has sockets of its own, so that none waits for another."""
TOPICS_MAX: Final = 50
ANSWER_BYTES_MAX: Final = 64 * 1024
"""More of an answer is not read; the try has failed."""
ANSWER_CHARACTERS_KEPT: Final = 500

_TOPIC: Final = re.compile(r"[a-z_]{1,40}\.([a-z_]{1,40}|\*)", re.ASCII)
_ID: Final = re.compile(r"ntf_([1-9]\d{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent to an endpoint, once.

    Attributes:
        url: where to.
        notification_id: the same for every try.
        at: of this try; it is signed.
        body: the exact bytes, as text.
        secrets: `whsec_…`; each of them signs.
    """

    url: str
    notification_id: str
    at: datetime
    body: str
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a try.

    Attributes:
        status: the HTTP status; None: there was no answer.
        text: the first characters of the answer.
        error: why there is none, or why it does not count: a word of ours.
        took_ms: milliseconds.
    """

    status: int | None = None
    text: str = ""
    error: str = ""
    took_ms: int = 0

    @property
    def delivered(self) -> bool:
        """Only a 2xx that was read to its end is success; a redirect is none."""
        return not self.error and self.status is not None and 200 <= self.status < 300


def notification_id(event_id: int) -> str:
    """The name of an outbox row, as receivers see it in `webhook-id`."""
    return f"ntf_{event_id}"


def event_id_of(name: str) -> int:
    """The outbox row a notification's id names.

    Raises:
        TeikiError: `invalid_input`.
    """
    found = _ID.fullmatch(name)
    if found is None:
        raise TeikiError(ErrorCode.INVALID_INPUT, "A notification's id looks like ntf_4711.", value=name[:60])
    return int(found[1])


def body_of(topic: str, at: datetime, payload: Mapping[str, Any]) -> str:
    """The body of every sending of a notification: `{"type", "timestamp", "data"}`, the same bytes each time.

    Args:
        topic: the type.
        at: when it happened.
        payload: the data, as the outbox has it.
    """
    what, when, data = (
        json.dumps(part, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        for part in (topic, at.astimezone(UTC).isoformat(), payload)
    )
    return f'{{"type":{what},"timestamp":{when},"data":{data}}}'


def require_topics(topics: Sequence[str]) -> tuple[str, ...]:
    """The filter of an endpoint, in order and without repetitions; empty: everything.

    An entry is a topic or `<noun>.*`.

    Raises:
        TeikiError: `invalid_input`, naming what nothing is ever told under.
    """
    wanted = tuple(sorted(set(topics)))
    if len(wanted) > TOPICS_MAX:
        raise TeikiError(ErrorCode.INVALID_INPUT, f"An endpoint names at most {TOPICS_MAX} topics.")
    nouns = {topic.partition(".")[0] for topic in TOPICS}
    for topic in wanted:
        known = topic in TOPICS or (topic.endswith(".*") and topic.partition(".")[0] in nouns)
        if not _TOPIC.fullmatch(topic) or not known:
            raise TeikiError(ErrorCode.INVALID_INPUT, "There is no such topic.", topic=topic[:80])
    return wanted


def pause_s(tries: int) -> float:
    """Seconds until the next try after so many (1 or more), before jitter."""
    return PAUSES_S[min(tries, len(PAUSES_S)) - 1]
