"""What an order number tells: the day in Japan on which the order was placed (`20260105-0000017`).

A check on the table holds it to that, so that what begins with `2026` is what was placed in that year.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from db.order_tables import NUMBER_DAY_CHARACTERS, NUMBER_ZONE
from domain.billing_calendar import UTC, parse_zone

_YEARS = range(2, 9999)  # their instants exist in every zone


def tells_only_a_day(beginning: str) -> bool:
    """Nothing but the beginning of a day, or a whole one (`2`, `202601`, `20260105`): its days say it all."""
    return len(beginning) <= NUMBER_DAY_CHARACTERS


def days_of(beginning: str) -> tuple[datetime, datetime] | None:
    """From when until when (exclusive) orders were placed whose numbers begin like this; None: none ever."""
    digits = beginning[:NUMBER_DAY_CHARACTERS]
    if not (digits.isascii() and digits.isdigit()):
        return None
    year, month, day = digits[:4], digits[4:6], digits[6:]
    first = max(int(year.ljust(4, "0")), _YEARS.start)
    last = min(int(year.ljust(4, "9")), _YEARS.stop - 1)
    if first > last:
        return None
    months = [number for number in range(1, 13) if f"{number:02}".startswith(month)]
    ends = (first, last) if len(digits) <= 4 else (first,)
    days = [
        found
        for a_year in ends
        for a_month in months
        for a_day in range(1, 32)
        if f"{a_day:02}".startswith(day) and (found := _date(a_year, a_month, a_day)) is not None
    ]
    return (_midnight(min(days)), _midnight(max(days) + timedelta(days=1))) if days else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # 30 February
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), parse_zone(NUMBER_ZONE)).astimezone(UTC)
