"""A worker process of the stampede: `python -m bench.rush_worker ARM COUNT_FILE [JSON]`.

`subscriptions` is `worker.serve` itself; the JSON may put other options of Temporal's `Worker` in place of its own,
so that yesterday's settings can be measured beside today's. `appointments` is a worker like it for the empty
workflows; how many were done is counted in the file, eight bytes that driver and worker share.
"""

from __future__ import annotations

import asyncio
import functools
import json
import mmap
import struct
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import temporalio.worker
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import PollerBehavior, PollerBehaviorAutoscaling, PollerBehaviorSimpleMaximum

import worker as production
from bench.timelapse import NOTED, NOTHING, NOTHING_BEFORE, Appointment
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry

APPOINTMENTS: Final = "appointments"
SUBSCRIPTIONS: Final = "subscriptions"
EIGHT_BYTES: Final = struct.Struct("<q")


def _worker(overrides: dict[str, Any], client: Client, **options: Any) -> temporalio.worker.Worker:
    return temporalio.worker.Worker(client, **{**options, **overrides})


def _workers_options(overrides: dict[str, Any]) -> dict[str, Any]:
    """JSON's numbers as the `Worker` wants them."""
    chosen = dict(overrides)
    for name in ("workflow_task_poller_behavior", "activity_task_poller_behavior"):
        if name in chosen:
            chosen[name] = _pollers(chosen[name])
    name = "sticky_queue_schedule_to_start_timeout"
    if name in chosen:
        chosen[name] = timedelta(seconds=chosen[name])
    return chosen


def _pollers(how: int | dict[str, int]) -> PollerBehavior:
    """A number of pollers, or `{"minimum": …, "maximum": …, "initial": …}` for as many as are of use."""
    return PollerBehaviorSimpleMaximum(how) if isinstance(how, int) else PollerBehaviorAutoscaling(**how)


async def _appointments(settings: Settings, stop: asyncio.Event, *, count_file: Path) -> None:
    assert settings.temporal_address is not None
    client = await Client.connect(settings.temporal_address)
    with count_file.open("r+b") as file, mmap.mmap(file.fileno(), EIGHT_BYTES.size) as shared:
        done = 0

        @activity.defn(name=NOTHING)
        async def nothing() -> None:
            nonlocal done
            done += 1
            EIGHT_BYTES.pack_into(shared, 0, done)

        @activity.defn(name=NOTHING_BEFORE)
        async def nothing_before(at_s: float) -> None:
            early_s = at_s - time.time()
            if early_s > 0:
                raise ApplicationError(
                    "not yet",
                    next_retry_delay=timedelta(seconds=early_s),
                    category=ApplicationErrorCategory.BENIGN,
                )
            await nothing()

        @activity.defn(name=NOTED)
        async def noted() -> None:
            pass

        async with vars(production)["Worker"](
            client,
            workflows=[Appointment],
            activities=[nothing, nothing_before, noted],
            workflow_runner=temporalio.worker.UnsandboxedWorkflowRunner(),
            **production.options_of(settings),
        ):
            mark_ready(settings.ready_file)
            await stop.wait()


def main() -> int:
    arm, count_file, *overrides = sys.argv[1:]
    chosen = json.loads(overrides[0]) if overrides else {}
    settings = Settings.load()
    start_telemetry(settings)
    # The one place where production's Worker is made; everything else of it stays as it is.
    vars(production)["Worker"] = functools.partial(_worker, _workers_options(chosen))
    serve = (
        production.serve
        if arm == SUBSCRIPTIONS
        else functools.partial(_appointments, count_file=Path(count_file))
    )
    return run_service(
        lambda stop: serve(settings, stop), name=arm, ready_file=settings.ready_file, fast_loop=True
    )


if __name__ == "__main__":
    sys.exit(main())
