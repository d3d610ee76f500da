"""The scale: a chaos run waits in seconds for what takes minutes in production.

Time between payments is lapsed (`timelapse.py`); the waiting for an open outcome is real time and only shorter, so
that the same code decides with the same inequalities. The in-flight horizon of ten minutes is four seconds here: a
minute of production is 0.4 seconds. What would become too short to mean anything on a busy machine is scaled less:

| what                                     | production      | here             |
|------------------------------------------|-----------------|------------------|
| in-flight horizon                        | 10 min          | 4 s              |
| the gateway client's time-out            | 30 s            | 1.5 s            |
| one run of a money activity              | 60 s            | 5 s              |
| one run of a recording activity          | 20 s            | 4 s              |
| an activity's retries                    | 1 s … 30 s      | 0.2 s … 2 s      |
| questions about an unknown outcome       | 15 s … 10 min   | 0.4 s … 4 s      |
| first question about a pending one, last | 30 s, 1 h       | 0.4 s, 2 s       |
| a pending charge is given up             | 24 h            | 6 s              |
| sending again what was not taken         | 15 s … 10 min   | 0.4 s … 2 s      |
| a verification that is not clear, again  | 1 min … 1 h     | 1 s … 3 s        |
| asking for what waits for a person       | 6 h             | 3 s              |
| the circuit stays open                   | 15 s … 60 s     | 0.5 s … 2 s      |
| a caller's patience                      | 30 s            | 8 s              |

Order is kept: time-out < activity, horizon < activity + time-out, pending life > horizon. A key lives 24 h as in
production: no run is as long. Temporal's own time-outs (10 s for a workflow task, 10 s for a sticky queue) are real.
"""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from typing import Any, Final

from temporalio.common import RetryPolicy

from domain import unresolved
from gateways.circuit import CircuitPolicy
from starter import engine
from workflows import options

HORIZON_S: Final = 4
"""Seconds; `TEIKI_INFLIGHT_HORIZON_SECONDS` of every chaos worker."""
CLIENT_TIMEOUT: Final = timedelta(seconds=1.5)
CIRCUIT: Final = CircuitPolicy(
    open_for=timedelta(seconds=0.5), open_for_most=timedelta(seconds=2), read_every=timedelta(seconds=0.2)
)
LONGEST_TIMEOUT_S: Final = 10.0
"""The longest time-out that can stand between healing and recovery: Temporal's workflow task time-out."""

_WAITING: Final[dict[str, timedelta]] = {
    "PENDING_LIFE": timedelta(seconds=6),
    "_UNKNOWN_FIRST": timedelta(seconds=0.4),
    "_UNKNOWN_MAX": timedelta(seconds=HORIZON_S),
    "_PENDING_FIRST": timedelta(seconds=0.4),
    "_PENDING_MAX": timedelta(seconds=2),
    "_UNSENT_FIRST": timedelta(seconds=0.4),
    "_UNSENT_MAX": timedelta(seconds=2),
    "_VERIFY_FIRST": timedelta(seconds=1),
    "_VERIFY_MAX": timedelta(seconds=3),
    "_ATTENTION_EVERY": timedelta(seconds=3),
}
_UNTIL_IT_WORKS: Final = RetryPolicy(
    initial_interval=timedelta(seconds=0.2), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=2)
)


def apply_to_worker() -> None:
    """Shorten this process's waiting. Before anything is built, and alike in every worker: replay must agree.

    The workflow sandbox must be off (as in production): it would import `workflows.options` afresh.
    """
    for name, value in _WAITING.items():
        _set(unresolved, name, value)
    for preset, seconds in ((options.MONEY, 5), (options.RECORD, 4)):
        preset["start_to_close_timeout"] = timedelta(seconds=seconds)
        preset["retry_policy"] = _UNTIL_IT_WORKS


def apply_to_caller() -> None:
    """Shorten a caller's patience with the engine."""
    _set(engine, "_PATIENCE_SECONDS", 8.0)


def _set(module: ModuleType, name: str, value: Any) -> None:
    if not hasattr(module, name):  # renamed: then the run would wait for hours and look stuck
        raise LookupError(
            f"{module.__name__}.{name} is not there any more; tests/chaos/scale.py must follow."
        )
    setattr(module, name, value)
