"""The retry ladder: when a declined payment is tried again, and when that ends.

Attempts count the first charge too. The default spacing is the cycle's nominal length divided by the
attempts, rounded down (30 ÷ 4 → 7: days 0, 7, 14, 21). An attempt never reaches the next due instant
(spec: subscriptions.md §4).
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

from domain.billing_calendar import cycle_days_max, cycle_days_nominal
from domain.durations import Duration, parse_duration
from domain.errors import ErrorCode, TeikiError

DEFAULT_ATTEMPTS: Final = 4
ATTEMPTS_MAX: Final = 60
NEXT_DAY: Final = "next_day"
"""The seed's "will be attempted again on the following day", as a named preset."""
_DAY_SECONDS: Final = 86_400


class RetryPolicy(BaseModel):
    """How often and how far apart. Give `attempts`, `interval` (ISO duration or `next_day`) or `intervals`.

    `RetryPolicy()` is four attempts spaced by the cycle; the text `"next_day"` stands for that preset.

    Raises:
        TeikiError: `invalid_retry` for attempts outside 1…60, intervals in months, both kinds of interval,
            or a list that disagrees with `attempts`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int | None = None
    interval: str | None = None
    intervals: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_preset(cls, data: Any) -> Any:
        if data == NEXT_DAY:
            return {"interval": "P1D"}
        if isinstance(data, dict) and NEXT_DAY in (data.get("preset"), data.get("interval")):
            if data.get("preset") is not None and data.get("interval") not in (None, NEXT_DAY, "P1D"):
                raise _invalid("The preset next_day is an interval of P1D; the interval says another.")
            return {**{k: v for k, v in data.items() if k != "preset"}, "interval": "P1D"}
        return data

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> RetryPolicy:
        if self.attempts is not None and not 1 <= self.attempts <= ATTEMPTS_MAX:
            raise _invalid(
                f"Attempts are 1 to {ATTEMPTS_MAX}, the first charge included.", attempts=self.attempts
            )
        if self.interval is not None and self.intervals is not None:
            raise _invalid("Give one interval or a list of intervals, not both.")
        if self.intervals is not None and self.attempts not in (None, len(self.intervals) + 1):
            raise _invalid(
                "A list of intervals has one entry fewer than there are attempts.",
                attempts=self.attempts,
                intervals=len(self.intervals),
            )
        if self.intervals is not None and len(self.intervals) >= ATTEMPTS_MAX:
            raise _invalid(f"At most {ATTEMPTS_MAX - 1} intervals.", intervals=len(self.intervals))
        for text in self.intervals or (self.interval,):
            if text is not None and _parse(text).months:
                raise _invalid("A retry interval is days or hours; months have no one length.", interval=text)
        return self

    def ladder(self, period: str) -> tuple[Duration, ...]:
        """The offsets of all attempts from the first one; the first entry is zero."""
        if self.intervals is not None:
            steps = [_parse(text) for text in self.intervals]
        else:
            attempts = self.attempts or DEFAULT_ATTEMPTS
            step = (
                _parse(self.interval)
                if self.interval
                else Duration(days=cycle_days_nominal(period) // attempts)
            )
            # A cycle too short for the default spacing (daily: 1 ÷ 4 = 0 days) has no retry at all.
            steps = [step] * (attempts - 1) if step != Duration() else []
        rungs = [Duration()]
        for step in steps:
            rungs.append(rungs[-1].plus(step))
        return tuple(rungs)

    def require_fits(self, period: str) -> None:
        """Refuse intervals that can never fit the cycle: `retry_exceeds_cycle`."""
        if self.interval is None and self.intervals is None:
            return
        last = self.ladder(period)[-1]
        longest = cycle_days_max(period)
        if last.days * _DAY_SECONDS + last.seconds >= longest * _DAY_SECONDS:
            raise TeikiError(
                ErrorCode.RETRY_EXCEEDS_CYCLE,
                "The last retry would never come before the next due date.",
                last_retry_days=last.days + last.seconds / _DAY_SECONDS,
                longest_cycle_days=longest,
            )


def _parse(text: str) -> Duration:
    try:
        return parse_duration(text)
    except TeikiError as error:
        raise _invalid(
            "A retry interval is an ISO 8601 duration like P1D or PT48H.", interval=text
        ) from error


def _invalid(message: str, **facts: Any) -> TeikiError:
    return TeikiError(ErrorCode.INVALID_RETRY, message, **facts)
