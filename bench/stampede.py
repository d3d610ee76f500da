"""The 1st of the month: `python -m bench.stampede --due 10000`.

N real `Subscription` workflows wait for a payment that is due at one instant; production workers sit in front of them.
At that instant the clock starts; it stops when the books show nothing overdue any more. Meanwhile an operator works
through the SDK. `before` is without precedence for a subscription that somebody waits for, and with a worker that takes
a hundred workflow tasks at once, has few workflows in memory and lets a task wait for it ten seconds only, on a server
that is not set for crowds; `after` has the settings that docs/operations.md advises for such a crowd.

Two floors, both of empty workflows (a timer, an activity that does nothing). The one that the ratio is made with is the
same crowd due at one instant: it has the same backlog and the same cold caches, and only our work is missing. The
other is the steady rate of `python -m bench`, a few warm workflows going round, taken between the arms: the machine's
speed drifts within half an hour.

Each arm has servers of its own, so that all begin alike. Progress goes to standard error, a table to standard output,
and its last line is JSON.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.arms import Arm as SteadyArm
from bench.arms import Load
from bench.books import Books, default_cycles_per_run
from bench.host import EMPTY_CUT
from bench.report import place
from bench.rush import Arm, Drain, Say, empty, subscriptions
from bench.stage import stage
from db.engine import Database
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG, FAST_TIMERS
from runtime.lifecycle import run_cli
from runtime.settings import Settings
from runtime.telemetry import configure_logging

YESTERDAY: Final[dict[str, Any]] = {
    "max_concurrent_workflow_tasks": 100,
    "max_cached_workflows": 1000,
    "sticky_queue_schedule_to_start_timeout": 10,
}
"""The worker's options before it was measured here; the keys are explained in `bench.rush_worker`."""

FLOOR: Final = "empty"
TURNSTILE: Final = "turnstile"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stampede", description=__doc__)
    parser.add_argument("--due", type=int, default=10_000, help="subscriptions due at one instant")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument(
        "--turnstile", action="store_true", help="also the empty crowd that waits as activities: a design"
    )
    chosen = parser.parse_args()
    configure_logging("WARNING", "text")
    console = Console(stderr=True, highlight=False)
    arms = ("before", "after", *((TURNSTILE,) if chosen.turnstile else ()))
    steady, drains = run_cli(measured(chosen.due, chosen.workers, console.print, arms=arms))
    print_report(Console(width=None if sys.stdout.isatty() else 130), drains, steady, workers=chosen.workers)
    print(as_json(drains, steady))
    return int(not all(drain.charged_once for drain in drains.values()))


async def measured(
    due: int, workers: int, say: Say, *, arms: tuple[str, ...] = ("before", "after")
) -> tuple[float, dict[str, Drain]]:
    """The empty engine's steady rate per second, and the floor's and these arms' stampedes.

    The steady rate is the median of those taken before, between and after them: a minute alone is a poor floor.
    """
    drains: dict[str, Drain] = {}
    rates = [await _steady(say)]
    for name in (FLOOR, *arms):
        tell = functools.partial(_say_for, name, say)
        yesterday = name == "before"
        arm = Arm(
            due,
            workers,
            tell,
            overrides=YESTERDAY if yesterday else {},
            variables={} if yesterday else advised(due, workers),
            dynamic_config=FAST_TIMERS if yesterday else DYNAMIC_CONFIG,
            precedence=not yesterday,
        )
        if name in (FLOOR, TURNSTILE):
            drains[name] = await empty(arm, at_the_turnstile=name == TURNSTILE)
        else:
            drains[name] = await subscriptions(arm)
        rates.append(await _steady(say))
    return statistics.median(rates), drains


def advised(due: int, workers: int) -> dict[str, str]:
    """Settings for such a crowd, as docs/operations.md advises; the usual ones while they are enough."""
    usual = {name: field.default for name, field in Settings.model_fields.items()}
    return {
        "TEIKI_MAX_CACHED_WORKFLOWS": str(max(usual["max_cached_workflows"], due * 3 // (2 * workers))),
        "TEIKI_STICKY_SECONDS": str(max(usual["sticky_seconds"], due // 70)),
    }


def _say_for(name: str, say: Say, what: str) -> None:
    say(f"{name}: {what}")


async def _steady(say: Say) -> float:
    async with stage() as servers:
        database, gateway = (
            Database.connect(servers.settings.database),
            SandboxGateway(servers.settings.gateway_url),
        )
        books = Books(database, gateway)  # an empty arm never opens them
        arm = await SteadyArm.started(EMPTY_CUT, servers)
        try:
            await arm.run(Load(4, 2, default_cycles_per_run()), books)  # first calls are dearer
            rate = (await arm.run(Load(40, 12, default_cycles_per_run()), books)).rate
            say(f"steady: {rate:.0f} empty cycles per second")
            return rate
        finally:
            await arm.close()
            await gateway.close()
            await database.close()


def as_json(drains: dict[str, Drain], steady: float) -> str:
    """One line; the figures of the top level are those of today's settings."""
    floor = drains[FLOOR]
    told = {name: drain.told(floor) for name, drain in drains.items()}
    headline = told["after"]
    return json.dumps(
        {
            "due": floor.due,
            "drain_seconds": headline["drain_seconds"],
            "empty_rate": round(floor.rate, 1),
            "drain_ratio": headline["drain_ratio"],
            "empty_rate_steady": round(steady, 1),
            "drain_ratio_steady": round(drains["after"].seconds * steady / floor.due, 3),
            "updates": headline["updates"],
            "updates_p95_s": headline["updates_p95_s"],
            "charged_once": headline["charged_once"],
            **told,
        }
    )


def print_report(console: Console, drains: dict[str, Drain], steady: float, *, workers: int) -> None:
    floor = drains[FLOOR]
    console.print(place(), highlight=False)
    table = Table(title=f"{floor.due} due at one instant, {workers} worker processes", title_justify="left")
    columns = ("arm", "seconds", "per s", "÷ empty", "events", "operations", "p50", "p95", "max", "once")
    for column in (*columns, "CPU ms: worker", "server", "Postgres", "gateway"):
        table.add_column(column, justify="left" if column in ("arm", "once") else "right")
    for name, drain in drains.items():
        cpu = (drain.cpu.worker, drain.cpu.server, drain.cpu.postgres, drain.cpu.gateway)
        table.add_row(
            name,
            f"{drain.seconds:.1f}",
            f"{drain.rate:.0f}",
            f"{drain.seconds / floor.seconds:.2f}",
            f"{drain.events:.1f}",
            str(len(drain.latencies_s)),
            *(f"{drain.latency(share):.2f}" for share in (0.5, 0.95, 1.0)),
            "yes" if drain.charged_once else "[red]NO[/]",
            *(f"{1000 * seconds / drain.due:.1f}" for seconds in cpu),
        )
    console.print(table)
    console.print(f"Steady rate of the empty engine, warm and without a crowd: {steady:.0f} per second.")


if __name__ == "__main__":
    sys.exit(main())
