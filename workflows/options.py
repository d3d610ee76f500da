"""How activities are called: named presets, so that no timeout is an inline number.

Infrastructure retries are endless with a ceiling on the interval: a database that is down for an hour delays a
subscription by that hour and never ends it. Business retries are workflow timers, not retry policies.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NotRequired, TypedDict

from temporalio.common import Priority, RetryPolicy


class Patience(TypedDict):
    """How long one run of an activity may take, how it is repeated, and before whom it goes."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    priority: NotRequired[Priority]


_UNTIL_IT_WORKS: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)

MONEY: Final = Patience(start_to_close_timeout=timedelta(seconds=60), retry_policy=_UNTIL_IT_WORKS)
"""Longer than the gateway client's own time-out: as a rule an attempt is not given to a second worker while a first
one still waits for the gateway. Where that happens all the same, the second run only asks."""

RECORD: Final = Patience(
    start_to_close_timeout=timedelta(seconds=20),
    retry_policy=_UNTIL_IT_WORKS,
    priority=Priority(priority_key=1),
)
"""Before all charges, whose priority is the usual one (3) and costs no byte of history: somebody waits for the answer
to a command, also when a rate limit has a long queue of charges in front of it."""


class LongPatience(Patience):
    """For work that says at each step that it lives, and goes on elsewhere from that step."""

    heartbeat_timeout: timedelta


LONG: Final = LongPatience(
    start_to_close_timeout=timedelta(hours=12),
    heartbeat_timeout=timedelta(minutes=2),
    retry_policy=_UNTIL_IT_WORKS,
)
"""The first reconciliation of a big book takes an hour; a worker that dies meanwhile is missed within two minutes."""

FILE: Final = LongPatience(
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=15)
    ),
)
"""Writing an export's file. All tries together have ten minutes, which the caller adds; a worker that dies meanwhile is
missed within ten seconds."""

WATCH: Final = LongPatience(
    start_to_close_timeout=timedelta(hours=12),
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=_UNTIL_IT_WORKS,
)
"""Telling merchants what happened: a worker that dies meanwhile is missed within a quarter of a minute, because others
wait for what it would have told."""
