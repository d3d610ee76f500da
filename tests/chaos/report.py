"""What people see of a run, on standard error; standard output has the one line of JSON only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.chaos.verdict import Verdict


def speaker() -> Callable[[str], None]:
    """Progress, with the seconds since the beginning."""
    # What a torn connection makes the SDK say is what this run is for; tables and verdict tell what came of it.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    console, begun = Console(stderr=True, highlight=False), time.monotonic()
    return lambda sentence: console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {sentence}")


def show(verdict: Verdict) -> None:
    """Tables of what fired and what broke."""
    console, line = Console(stderr=True, highlight=False), verdict.line
    table = Table(
        "fault", "how often", title=f"seed {line['seed']}, {line['pairs']} pairs, {line['seconds']} s"
    )
    for name in ("kills", "server_kills", "database_restarts"):
        table.add_row(name, str(line[name]))
    for name, count in {
        **line["faults"],
        **{f"killed at {p}": n for p, n in line["fault_points"].items()},
    }.items():
        table.add_row(name, str(count))
    table.add_row("share of requests struck", f"{line['gateway_fault_share']:.0%}")
    console.print(table)
    audit = Table("invariant", "violations", "example")
    for name, count in line["violations"].items():
        example = verdict.examples.get(name) or [""]
        audit.add_row(name, str(count), str(example[0])[:150])
    console.print(audit)
    console.print(f"subscriptions: {line['statuses']}")
    console.print(f"orders and credits: {line['orders_and_credits']}")
    console.print(f"incidents: {line['incidents']}; {line['waiting_for_people']} attempts wait for a person")
    console.print(f"recovery {line['recovery_seconds']} s, all at rest after {line['convergence_seconds']} s")
    for complaint in verdict.complaints:
        console.print(f"✗ {complaint}", style="red", markup=False)
    if verdict.passed:
        console.print("✓ no violation, every wanted fault fired, everything came to rest", style="green")
