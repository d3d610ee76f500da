"""When payments fall due.

The n-th due instant is computed from the anchor, never from the one before it: `anchor + n * period` in
calendar arithmetic, then placed in the zone. An anchor on the 31st gives 31 Jan, 28 Feb, 31 Mar; it never
drifts to the 28th. What is kept across daylight saving is the local wall time (spec: subscriptions.md §2).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from domain.durations import Duration, parse_duration
from domain.errors import ErrorCode, TeikiError


class Period(StrEnum):
    """The named cycle lengths; any other is an ISO 8601 duration of whole days, weeks, months or years."""

    DAILY = "daily"
    WEEKLY = "weekly"
    BIWEEKLY = "biweekly"
    MONTHLY = "monthly"
    BIMONTHLY = "bimonthly"
    QUARTERLY = "quarterly"
    SEMIANNUALLY = "semiannually"
    ANNUALLY = "annually"


_NAMED: Final[dict[str, Duration]] = {
    Period.DAILY: Duration(days=1),
    Period.WEEKLY: Duration(days=7),
    Period.BIWEEKLY: Duration(days=14),
    Period.MONTHLY: Duration(months=1),
    Period.BIMONTHLY: Duration(months=2),
    Period.QUARTERLY: Duration(months=3),
    Period.SEMIANNUALLY: Duration(months=6),
    Period.ANNUALLY: Duration(months=12),
}
_PERIOD_YEARS_MAX: Final = 10


@lru_cache(maxsize=256)
def parse_period(text: str) -> Duration:
    """`"monthly"` or `"P1M"` → one calendar month.

    Raises:
        TeikiError: `invalid_period` when unknown, shorter than a day, with hours, or longer than ten years.
    """
    try:
        duration = _NAMED.get(text) or parse_duration(text)
    except TeikiError as error:
        raise TeikiError(
            ErrorCode.INVALID_PERIOD,
            "A period is one of " + ", ".join(Period) + " or a duration like P10D or P2M.",
            period=str(text),
        ) from error
    too_long = duration.months + duration.days / 31 > _PERIOD_YEARS_MAX * 12
    if duration.seconds or too_long:
        raise TeikiError(
            ErrorCode.INVALID_PERIOD, "A period is whole days or months, at most ten years.", period=text
        )
    return duration


# Files that lie beside the zones on some machines: this machine's own setting, and copies with leap seconds.
_NOT_IANA: Final = frozenset({"localtime", "posixrules", "Factory"})


def parse_zone(name: str) -> ZoneInfo:
    """An IANA zone by name; `invalid_zone` when there is none (offsets and most abbreviations are none)."""
    try:
        return _zone(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        # ZoneInfoNotFoundError is a KeyError; a path-like or empty name is a ValueError or an OSError.
        raise TeikiError(
            ErrorCode.INVALID_ZONE, "A zone is an IANA name, like Asia/Tokyo.", zone=str(name)
        ) from error


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    if not isinstance(name, str) or name in _NOT_IANA or name.startswith(("posix/", "right/")):
        raise KeyError(name)
    return ZoneInfo(name)


UTC: Final = ZoneInfo("UTC")


def place(local: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time as an instant (in UTC): one that a gap swallowed moves forward by the gap,
    one that exists twice means the first.
    """
    # fold=0 is the first of two, and in a gap keeps the offset from before it: forward by the gap.
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def add_months(day: date, months: int, *, end_of_month: bool = False) -> date:
    """Calendar months later, clamped to the month's end (31 Jan + 1 → 28 or 29 Feb)."""
    month_index = day.year * 12 + day.month - 1 + months
    year, month = divmod(month_index, 12)
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, last if end_of_month else min(day.day, last))


def is_last_of_month(day: date) -> bool:
    return day.day == monthrange(day.year, day.month)[1]


class BillingCalendar(NamedTuple):
    """The due instants of one subscription. Frozen; all instants are aware and in UTC.

    Attributes:
        anchor_on: local date of the first payment.
        charge_time: local wall time of every payment.
        zone: IANA name.
        period: as `parse_period` takes it.
        preserve_end_of_month: always the last day of the month.
    """

    anchor_on: date
    charge_time: time
    zone: str
    period: str
    preserve_end_of_month: bool = False

    def due_on(self, n: int) -> date:
        """The local date of the n-th payment, n = 0, 1, …"""
        step = parse_period(self.period)
        moved = add_months(self.anchor_on, n * step.months, end_of_month=self.preserve_end_of_month)
        return moved + timedelta(days=n * step.days)

    def due(self, n: int) -> datetime:
        """The instant of the n-th payment."""
        return place(datetime.combine(self.due_on(n), self.charge_time), parse_zone(self.zone))

    def first_at_or_after(self, instant: datetime, *, start: int = 0) -> int:
        """The smallest n >= start whose due instant is `instant` or later."""
        return self._first(lambda n: self.due(n) >= instant, self.local_date(instant), start)

    def first_on_or_after(self, day: date, *, start: int = 0) -> int:
        """The smallest n >= start whose local due date is `day` or later."""
        return self._first(lambda n: self.due_on(n) >= day, day, start)

    def local_date(self, instant: datetime) -> date:
        return instant.astimezone(parse_zone(self.zone)).date()

    def shift(self, instant: datetime, offset: Duration) -> datetime:
        """`offset` later: days by the local wall clock, seconds exactly."""
        zone = parse_zone(self.zone)
        local = instant.astimezone(zone).replace(tzinfo=None) + timedelta(days=offset.days)
        moved = place(local, zone) if offset.days else instant.astimezone(UTC)
        return moved + timedelta(seconds=offset.seconds)

    def _first(self, reached: object, near: date, start: int) -> int:
        """A guess from the average cycle length, mended step by step: at most a few steps in any calendar."""
        assert callable(reached)
        step = parse_period(self.period)
        cycle_days_max = step.months * 31 + step.days
        n = max(start, (near - self.anchor_on).days // cycle_days_max - 1)
        while not reached(n):
            behind_days = (near - self.due_on(n)).days
            n += max(1, behind_days // cycle_days_max)
        while n > start and reached(n - 1):
            n -= 1
        return n


@lru_cache(maxsize=256)
def cycle_days_max(period: str) -> int:
    """The longest a cycle of this period can be, in days: 31 for a month, 366 for a year."""
    step = parse_period(period)
    starts = (date(year, month, 1) for year in range(2096, 2108) for month in range(1, 13))
    longest = max((add_months(start, step.months) - start).days for start in starts)
    return longest + step.days


def cycle_days_nominal(period: str) -> int:
    """The length by which retries are spaced: a month counts 30 days whatever the month, a year 365
    (spec: subscriptions.md §4).
    """
    step = parse_period(period)
    years, months = divmod(step.months, 12)
    return years * 365 + months * 30 + step.days
