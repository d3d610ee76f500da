"""The words people read: instants, a subscription's status and why, what happens next, what a rule says.

One set of sentences for the command line, the explanations and whoever else shows a subscription. Pure: everything is
said from the read model (spec: subscriptions.md §§3–6, 9).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from db.reads.circuits import CircuitItem
from db.reads.subscription import SubscriptionDetail
from domain.billing_calendar import cycle_days_nominal, parse_period, parse_zone
from domain.durations import Duration
from domain.retry import DEFAULT_ATTEMPTS, RetryPolicy
from domain.subscription import Status
from domain.terms import Terms

_STATUSES: Final = {
    Status.UNVERIFIED: "The first payment has not been made yet",
    Status.CURRENT: "It is paid and running",
    Status.UNCONFIRMED: "Nothing has been paid yet and the first payment is tried again",
    Status.UNPAID: "A payment is outstanding",
    Status.SUSPENDED: "Nothing is charged until it is resumed",
    Status.CANCELED: "It was canceled for good",
    Status.COMPLETED: "All agreed charges were made",
}

_REASONS: Final = {
    "created": "it was created",
    "first_payment_succeeded": "the first payment succeeded",
    "first_payment_failed": "the first payment failed",
    "payment_failed": "a payment was declined and a retry is planned",
    "retry_succeeded": "a retry succeeded",
    "caught_up": "the missed payments were caught up",
    "attempts_exhausted": "no attempt of the retry policy was left",
    "needs_new_card": "the card can never be charged again: a new one is needed",
    "blocked": "the customer or the card is blocked here",
    "suspended_by_operator": "it was suspended by hand",
    "chargeback": "the customer's bank took a payment back",
    "resumed": "it was resumed",
    "unblocked": "the customer or the card was unblocked",
    "canceled_now": "it was canceled at once",
    "period_ended": "its scheduled cancellation came",
    "canceled_in_the_engine": "somebody canceled it in Temporal itself",
    "all_charges_made": "the last agreed charge succeeded",
}

_PERIODS: Final = {
    "daily": "every day",
    "weekly": "every week",
    "biweekly": "every two weeks",
    "monthly": "every month",
    "bimonthly": "every two months",
    "quarterly": "every three months",
    "semiannually": "every half year",
    "annually": "every year",
}

_NEXT: Final = {
    "payment": "The next payment is charged on {at}.",
    "retry": "The failed payment is tried again on {at}.",
    "ask": "An attempt's outcome is not known yet: the gateway is asked on {at}.",
    "ask:unsent": "The gateway did not take an attempt, so surely nothing was charged; it is sent again on {at}.",
    "ask:pending": "The gateway is still working on an attempt; it is asked on {at}.",
    "attention": "An attempt's outcome could not be found out: a person must settle it; the gateway is asked on {at}.",
    "refund": "Money is going back (a payment that arrived after the end, or a double charge); "
    "the gateway is asked on {at}.",
    "cancel": "On {at} it is canceled, and that day's payment is not charged.",
}


def local(instant: datetime, zone: str) -> str:
    """`2023-10-01 07:00 Asia/Tokyo`; to the second, since timers fire some milliseconds after their instant."""
    there = (instant + timedelta(milliseconds=500)).astimezone(parse_zone(zone))
    return there.strftime("%Y-%m-%d %H:%M" + (":%S" if there.second else "")) + f" {zone}"


def local_and_utc(instant: datetime, zone: str) -> str:
    """The same, and in UTC for those who read logs."""
    rounded = (instant + timedelta(milliseconds=500)).astimezone(UTC)
    return f"{local(instant, zone)} ({rounded:%Y-%m-%d %H:%M:%S} UTC)"


def status_sentence(status: Status, reason: str) -> str:
    """The status and why, as one sentence."""
    return f"{_STATUSES[status]}: {reason_words(reason)}."


def reason_words(reason: str) -> str:
    return _REASONS.get(reason, reason.replace("_", " "))


def next_sentence(detail: SubscriptionDetail) -> str:
    """What the subscription does next by itself, and when."""
    if detail.next_kind is None or detail.next_at is None:
        if detail.status is Status.SUSPENDED:
            waits = "an unblock of the customer's details" if detail.reason == "blocked" else "a resume"
            return f"Nothing happens by itself: it waits for {waits}."
        return "Nothing happens any more."
    states = {attempt.state for payment in detail.payments for attempt in payment.attempts}
    kinds = [f"{detail.next_kind}:{state}" for state in ("unsent", "pending") if state in states]
    words = next((_NEXT[kind] for kind in kinds if kind in _NEXT), _NEXT[detail.next_kind])
    sentence = words.format(at=local_and_utc(detail.next_at, detail.zone))
    if detail.cancel_at is not None and detail.next_kind != "cancel":
        sentence += f" It is scheduled for cancellation on {local_and_utc(detail.cancel_at, detail.zone)}."
    return sentence


def period_words(period: str) -> str:
    """`every month`, `every 10 days`."""
    if period in _PERIODS:
        return _PERIODS[period]
    step = parse_period(period)
    parts = [(step.months, "month"), (step.days, "day")]
    return "every " + " and ".join(_count(number, unit) for number, unit in parts if number)


def calendar_words(terms: Terms) -> str:
    """`every month from 2023-08-01 at 07:00`."""
    anchor = f"{period_words(terms.period)} from {terms.anchor_on.isoformat()} at {terms.charge_time:%H:%M}"
    return anchor + (", always on the last day of the month" if terms.preserve_end_of_month else "")


def due_words(terms: Terms, due_at: datetime) -> str:
    """Why a due instant differs from what the anchor alone would say; nothing when it does not."""
    there = due_at.astimezone(parse_zone(terms.zone))
    step = parse_period(terms.period)
    words = ""
    if not step.days and not terms.preserve_end_of_month and there.day != terms.anchor_on.day:
        words += f" (that month has no day {terms.anchor_on.day}: its last day)"
    if there.time().replace(microsecond=0) != terms.charge_time.replace(microsecond=0):
        words += f" (daylight saving skips {terms.charge_time:%H:%M} on that day: later by the gap)"
    return words


def retry_words(retry: RetryPolicy, period: str) -> str:
    """`4 attempts in all, 7 days apart`; what the policy comes to for this period."""
    ladder = retry.ladder(period)
    attempts = retry.attempts or DEFAULT_ATTEMPTS
    if len(ladder) == 1:
        short = attempts > 1 and retry.interval is None and retry.intervals is None
        why = (
            f", since {cycle_days_nominal(period)} ÷ {attempts} leaves no whole day between" if short else ""
        )
        return f"a single attempt{why}"
    gaps = [_gap(ladder[i], ladder[i + 1]) for i in range(len(ladder) - 1)]
    spacing = f"{gaps[0]} apart" if len(set(gaps)) == 1 else "after " + ", ".join(gaps)
    return f"{len(ladder)} attempts in all, {spacing}"


def _gap(earlier: Duration, later: Duration) -> str:
    hours, seconds = divmod(later.seconds - earlier.seconds, 3600)
    parts = [(later.days - earlier.days, "day"), (hours, "hour"), (seconds, "second")]
    return " ".join(_count(number, unit) for number, unit in parts if number)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def circuit_sentence(circuit: CircuitItem) -> str:
    """How it stands with the payment company; instants in UTC, which is no subscription's zone."""
    saw = f" (last seen: {circuit.last_hint})" if circuit.last_hint else ""
    if circuit.since is None:
        return "It is called normally; no outage has been recorded."
    since = circuit.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if circuit.state == "closed":
        return f"It is called normally; the last outage ended on {since}{saw}."
    left = math.ceil(circuit.next_probe_in_s or 0)
    probe = f"one call is let through in {left} s" if left else "the next call is let through"
    return f"It has failed since {since}, {circuit.failures} times in a row{saw}; {probe}."


def circuit_advice(circuit: CircuitItem) -> str:
    """What to do about it."""
    if circuit.state == "closed":
        return "Nothing to do."
    return (
        "Charges wait and use up no attempt; they follow by themselves when it answers again. Look at the payment "
        "company's status page and at TEIKI_GATEWAY_URL; do not charge by hand."
    )
