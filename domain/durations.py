"""ISO 8601 durations, as far as billing needs them: `P10D`, `P2M`, `P1Y6M`, `P2W`, `PT48H`.

No library: the ones at hand bring months as floats or silently convert a month to 30 days, and that
difference is exactly what a billing calendar must keep.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from domain.errors import ErrorCode, TeikiError

_PATTERN: Final = re.compile(
    r"P(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,4})M)?(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)


class Duration(NamedTuple):
    """Calendar months, calendar days and exact seconds: three things that do not convert into each other."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    def plus(self, other: Duration) -> Duration:
        return Duration(self.months + other.months, self.days + other.days, self.seconds + other.seconds)


def parse_duration(text: str) -> Duration:
    """`"P1M10D"` → `Duration(months=1, days=10, seconds=0)`.

    Raises:
        TeikiError: `invalid_duration` for anything else than whole, unsigned parts, and for a zero length.
    """
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    parts = {name: int(value or 0) for name, value in match.groupdict().items()} if match else {}
    duration = Duration(
        months=parts.get("years", 0) * 12 + parts.get("months", 0),
        days=parts.get("weeks", 0) * 7 + parts.get("days", 0),
        seconds=parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0),
    )
    if duration == Duration():
        raise TeikiError(
            ErrorCode.INVALID_DURATION,
            "A duration is ISO 8601 with whole parts, like P10D, P2M or PT48H, and longer than nothing.",
            text=str(text),
        )
    return duration
