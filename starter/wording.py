"""The words people read: instants, a subscription's status and why, what happens next, what a rule says.

One set of sentences for the command line, the explanations and whoever else shows a subscription. Pure: everything is
said from the read model (spec: subscriptions.md §§3–6, 9).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from db.reads.subscription import SubscriptionDetail
from domain.billing_calendar import cycle_days_nominal, parse_zone
from domain.durations import Duration
from domain.retry import DEFAULT_ATTEMPTS, RetryPolicy
from domain.subscription import Status
from domain.terms import Terms

_STATUSES: Final = {
    Status.UNVERIFIED: "The first payment has not been made yet",
    Status.CURRENT: "It is paid and running",
    Status.UNCONFIRMED: "The first payment failed and is tried again",
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
    "resumed": "it was resumed",
    "canceled_now": "it was canceled at once",
    "period_ended": "its scheduled cancellation came",
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
    "payment": "The next payment is charged",
    "retry": "The failed payment is tried again",
    "ask": "The gateway is asked about an attempt whose outcome is not known",
    "attention": "An attempt's outcome could not be found out: a person must settle it; the gateway is asked again",
    "refund": "A payment that arrived after the end is returned",
    "cancel": "It is canceled, and that day's payment is not charged",
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
            return "Nothing happens by itself: it waits for a resume, a new card does not start it again."
        return "Nothing happens any more."
    sentence = f"{_NEXT[detail.next_kind]} on {local_and_utc(detail.next_at, detail.zone)}."
    if detail.cancel_at is not None and detail.next_kind != "cancel":
        sentence += f" It is scheduled for cancellation on {local_and_utc(detail.cancel_at, detail.zone)}."
    return sentence


def period_words(period: str) -> str:
    return _PERIODS.get(period, f"every {period}")


def calendar_words(terms: Terms) -> str:
    """`every month from 2023-08-01 at 07:00`."""
    anchor = f"{period_words(terms.period)} from {terms.anchor_on.isoformat()} at {terms.charge_time:%H:%M}"
    return anchor + (", always on the last day of the month" if terms.preserve_end_of_month else "")


def retry_words(retry: RetryPolicy, period: str) -> str:
    """`4 attempts in all, 7 days apart`; what the policy comes to for this period."""
    ladder = retry.ladder(period)
    if len(ladder) == 1:
        if retry.attempts in (None, 1) and retry.intervals is None:
            wanted = retry.attempts or DEFAULT_ATTEMPTS
            short = wanted > 1 and retry.interval is None
            days = cycle_days_nominal(period)
            return (
                f"a single attempt ({days} ÷ {wanted} leaves no whole day)" if short else "a single attempt"
            )
        return "a single attempt"
    gaps = [_gap(ladder[i], ladder[i + 1]) for i in range(len(ladder) - 1)]
    spacing = f"{gaps[0]} apart" if len(set(gaps)) == 1 else "after " + ", ".join(gaps)
    return f"{len(ladder)} attempts in all, {spacing}"


def _gap(earlier: Duration, later: Duration) -> str:
    days, seconds = later.days - earlier.days, later.seconds - earlier.seconds
    hours, rest = divmod(seconds, 3600)
    parts = [f"{days} day{'' if days == 1 else 's'}"] if days else []
    parts += [f"{hours} hour{'' if hours == 1 else 's'}"] if hours else []
    parts += [f"{rest} seconds"] if rest else []
    return " ".join(parts)
