"""What the benchmark prints: tables for people, one line of JSON for everything else."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

from bench.books import default_cycles_per_run
from bench.host import EMPTY, EMPTY_CUT, EMPTY_ENCODED, SUBSCRIPTION, SUBSCRIPTION_SANDBOXED
from bench.measurements import PRODUCTION, Results

SLACK: Final = 1.1
"""A ratio may miss its bar by a tenth before the run fails: machines are noisy. Counts may not."""

_WORDS: Final = {
    EMPTY_CUT: "empty cycle, cut alike (the floor)",
    EMPTY: "empty cycle, never cut",
    EMPTY_ENCODED: "empty cycle, encoded and cut",
    SUBSCRIPTION: "Subscription",
    SUBSCRIPTION_SANDBOXED: "Subscription, workflow sandbox",
}


@dataclass(frozen=True)
class Line:
    """One bar of quality.md: what was measured, and what it should be."""

    key: str
    words: str
    value: float
    bar: float
    floor: str
    is_count: bool
    at_least: bool = False
    digits: int = 2

    @property
    def is_met(self) -> bool:
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    @property
    def fails(self) -> bool:
        """Whether a strict run ends with a failure."""
        if self.is_count:
            return not self.is_met
        return self.value < self.bar / SLACK if self.at_least else self.value > self.bar * SLACK


def lines(results: Results) -> list[Line]:
    counts = results.counts
    cut = results.cuts[default_cycles_per_run()]
    per: Callable[[str], float] = counts.per_renewal
    return [
        Line("events_per_renewal", "history events per renewal", per("events"), 12, "11.4", is_count=True),
        Line("bytes_per_renewal", "history bytes per renewal", per("bytes"), 1500, "1022", True, digits=0),
        Line("actions_per_renewal", "billable actions per renewal", per("actions"), 2.2, "2", is_count=True),
        Line(
            "ratio_vs_empty",
            "renewals/s ÷ empty timer + activity, cut alike",
            results.ratio(PRODUCTION),
            0.75,
            "0.90",
            is_count=False,
            at_least=True,
        ),
        Line("cold_over_warm", "cold ÷ warm renewal, CPU", cut.ratio, 2.5, "3.3 uncut", is_count=False),
        Line(
            "transactions_per_charge",
            "database transactions per charge",
            results.transactions_per_charge,
            2,
            "2",
            is_count=True,
        ),
        Line("simulate_year_s", "seconds of a simulated year", results.simulate_year_s, 1, "0.3", False),
    ]


def as_json(results: Results, measured: list[Line]) -> str:
    """The bars' values, and beside them the ratio to an empty cycle whose history is never cut."""
    values = {line.key: line.value for line in measured}
    values["ratio_vs_empty_never_cut"] = results.ratio(PRODUCTION, EMPTY)
    return json.dumps({key: round(value, 3) for key, value in values.items()})


def print_report(console: Console, results: Results, measured: list[Line]) -> None:
    console.print(place(), highlight=False)
    console.print(_bars(measured))
    console.print(_speeds(results))
    console.print(_cuts(results))
    skipping = results.counts_time_skipping
    console.print(
        f"Check on the time-skipping server, workflow untouched: {skipping.per_renewal('events'):.2f} events, "
        f"{skipping.per_renewal('actions'):.2f} actions per renewal (its events are smaller: "
        f"{skipping.per_renewal('bytes'):.0f} bytes). Actions of the counted subscription: "
        f"{results.actions_in_history} in its histories, {results.actions_by_server} by the server's metric."
    )


def _bars(measured: list[Line]) -> Table:
    table = Table()
    for column in ("what", "value", "bar", "floor", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    for line in measured:
        verdict = "[green]ok[/]" if line.is_met else "[red]missed[/]"
        bar = f"{'≥' if line.at_least else '≤'} {line.bar:g}"
        table.add_row(line.words, f"{line.value:.{line.digits}f}", bar, line.floor, verdict)
    return table


def _speeds(results: Results) -> Table:
    table = Table(title="Speed, medians of rounds; CPU in ms per renewal", title_justify="left")
    for column in ("arm", "rounds", "per s", "÷ empty", "by CPU", "worker", "server", "Postgres", "gateway"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for name, loads in sorted(results.loads.items()):
        cpu = [
            f"{statistics.median(load.ms(part) for load in loads):.1f}"
            for part in ("worker", "server", "postgres", "gateway")
        ]
        table.add_row(
            _WORDS[name] + (" (production)" if name == PRODUCTION else ""),
            str(len(loads)),
            f"{statistics.median(load.rate for load in loads):.1f}",
            f"{results.ratio(name):.2f}",
            f"{results.cpu_ratio(name):.2f}",
            *cpu,
        )
    return table


def _cuts(results: Results) -> Table:
    title = "Where to cut the history: a cold renewal replays its run at every task (CPU ms, worker + server)"
    table = Table(title=title, title_justify="left")
    columns = (
        "renewals per run",
        "pairs",
        "cold ÷ warm",
        "warm",
        "cold",
        "cold worker",
        "events",
        "bytes",
        "actions",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for cycles, cut in sorted(results.cuts.items()):
        counts = (
            [
                f"{cut.counts.per_renewal(what):.{digits}f}"
                for what, digits in (("events", 2), ("bytes", 0), ("actions", 2))
            ]
            if cut.counts.renewals
            else ["", "", ""]
        )
        table.add_row(
            f"{cycles}{' (production)' if cycles == default_cycles_per_run() else ''}",
            str(len(cut.cold)),
            f"{cut.ratio:.2f}",
            f"{statistics.median(each.engine_ms for each in cut.warm):.1f}",
            f"{statistics.median(each.engine_ms for each in cut.cold):.1f}",
            f"{statistics.median(each.ms('worker') for each in cut.cold):.1f}",
            *counts,
        )
    return table


def place() -> str:
    gib = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, {gib:.0f} GiB, load {load:.1f} · "
        f"Python {platform.python_version()} · commit {_commit()} · {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # not a checkout
