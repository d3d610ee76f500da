"""How activities are called: named presets, so that no timeout is an inline number.

Infrastructure retries are endless with a ceiling on the interval: a database that is down for an hour delays a
subscription by that hour and never ends it. Business retries are workflow timers, not retry policies.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy


class Patience(TypedDict):
    """How long one run of an activity may take, and how it is repeated."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


_UNTIL_IT_WORKS: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)

MONEY: Final = Patience(start_to_close_timeout=timedelta(seconds=60), retry_policy=_UNTIL_IT_WORKS)
"""Longer than the gateway client's own time-out: an attempt is not given to a second worker while a first one
may still be waiting for the gateway."""

RECORD: Final = Patience(start_to_close_timeout=timedelta(seconds=20), retry_policy=_UNTIL_IT_WORKS)
