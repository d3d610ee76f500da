"""The clock a subscription lives by: the engine's, shifted when a scenario is played.

The shift is carried in the workflow's input and state, so the same code lives in 2023, 2026 or 2040. In production it
is zero (architecture: decision 9).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple


class ScenarioClock(NamedTuple):
    """`offset`: how far the scenario's time is ahead of the engine's (negative: behind)."""

    offset: timedelta = timedelta()

    @classmethod
    def starting(cls, scenario_start: datetime | None, engine_now: datetime) -> ScenarioClock:
        """A clock that shows `scenario_start` at the engine's `engine_now`; None: the engine's own time."""
        return cls() if scenario_start is None else cls(scenario_start - engine_now)

    def now(self, engine_now: datetime) -> datetime:
        """The scenario's instant while the engine's clock shows `engine_now`."""
        return engine_now + self.offset

    def engine_time(self, instant: datetime) -> datetime:
        """What the engine's clock shows at a scenario's instant."""
        return instant - self.offset
