"""`python -m bench [--quick] [--strict]`: measure, print tables, and end with one line of JSON on standard output."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.measurements import FULL, QUICK, Plan, Results, bench
from bench.report import as_json, lines, print_report
from runtime.lifecycle import run_cli
from runtime.telemetry import configure_logging


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer pairs, smaller loads")
    parser.add_argument(
        "--strict", action="store_true", help="fail when a count misses its bar, or a ratio by a tenth"
    )
    chosen = parser.parse_args()
    configure_logging("WARNING", "text")
    results = run_cli(_measured(QUICK if chosen.quick else FULL))
    measured = lines(results)
    console = Console(width=None if sys.stdout.isatty() else 130)
    print_report(console, results, measured)
    print(as_json(results, measured))
    return int(chosen.strict and any(line.fails for line in measured))


async def _measured(plan: Plan) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting servers", total=plan.steps)
        async with bench(plan, lambda what: progress.update(task, advance=1, description=what)) as made:
            return await made.run()


if __name__ == "__main__":
    sys.exit(main())
