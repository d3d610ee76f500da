"""Exports: `python -m bench.exports --rows 1000000`, seconds and memory of the workbook, plain and encrypted.

Orders of a shop are poured into a Postgres of its own; then the export activity's own code reads 20 columns of them in
one snapshot and writes the file into a directory of exports. The peer is XlsxWriter in its mode of constant memory,
which writes the same cells of the same rows, read the same way; it can neither encrypt nor do without plaintext
temporary files. Reading alone is measured too. Each measurement is a process of its own, one after another, in turns
when there are several pairs; memory is that process's high-water mark. `--source` takes rows made in memory instead.

Progress and tables go to standard error; standard output has two lines of JSON per size, the encrypted one last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.export_arms import ARMS, Memory, Postgres, Source, run
from bench.export_shop import shops
from bench.report import place
from runtime.lifecycle import run_cli
from runtime.telemetry import configure_logging

SIZES: Final = (10_000, 100_000, 1_000_000)
SECONDS_MAX: Final = 60.0
RATIO_MIN: Final = 5.0
PEAK_MIB_MAX: Final = 400.0
_ADDRESS: Final = "BENCH_EXPORTS_DATABASE"


@dataclass(frozen=True)
class Measured:
    """One process's work."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    file_mib: float


Results = dict[str, list[Measured]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--pairs", type=int, default=1, help="how often each is measured, in turns")
    parser.add_argument("--source", help="module:function that makes so many rows, instead of Postgres")
    parser.add_argument("--arm", choices=ARMS, help="do one arm's work in this process and say what it took")
    chosen = parser.parse_args()
    configure_logging("WARNING", "text")
    if chosen.arm:
        (rows,) = chosen.rows
        told = Memory.named(chosen.source, rows) if chosen.source else Postgres(os.environ[_ADDRESS], _say)
        print(json.dumps(vars(run_arm(chosen.arm, told))))
        return 0
    run_cli(measure_all(chosen.rows, chosen.pairs, chosen.source))
    return 0


async def measure_all(sizes: Sequence[int], pairs: int, source: str | None) -> None:
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)
    console.print(place())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        if source is not None:
            for rows in sizes:
                results = await asyncio.to_thread(in_turns, rows, pairs, progress, {}, ["--source", source])
                report(console, rows, results)
            return
        async with shops() as poured:
            for rows in sizes:
                filling = progress.add_task(f"{rows:,} orders poured in", total=rows)
                url = await poured.filled(rows, partial(progress.advance, filling))
                progress.remove_task(filling)
                results = await asyncio.to_thread(in_turns, rows, pairs, progress, {_ADDRESS: url}, [])
                report(console, rows, results)


def _shown(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def in_turns(
    rows: int, pairs: int, progress: Progress, environment: dict[str, str], arguments: list[str]
) -> Results:
    """Every arm, as often as there are pairs."""
    results: Results = {arm: [] for arm in ARMS}
    for _ in range(pairs):
        for arm, measured in results.items():
            task = progress.add_task(f"{rows:,} rows: {arm}", total=rows)
            command = [sys.executable, "-m", "bench.exports", "--arm", arm, "--rows", str(rows), *arguments]
            measured.append(measure(command, environment, partial(_shown, progress, task)))
            progress.remove_task(task)
    return results


def measure(command: list[str], environment: dict[str, str], tell: Callable[[int], object]) -> Measured:
    """Run one arm in a process of its own; it says how far it is, line by line, and at last what it took."""
    line = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().isdigit():
                tell(int(line))
    if process.returncode:
        raise SystemExit(f"an arm failed with status {process.returncode}")
    return Measured(**json.loads(line))


def run_arm(arm: str, source: Source) -> Measured:
    """Do an arm's work here."""
    with tempfile.TemporaryDirectory() as directory:
        begun, used = time.perf_counter(), time.process_time()
        path = run(arm, source, Path(directory))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        size = path.stat().st_size if path else 0
    return Measured(round(seconds, 2), round(cpu, 2), round(_high_water(), 1), round(size / 2**20, 1))


def _say(done: int) -> None:
    print(done, flush=True)


def _high_water() -> float:
    """MiB; unlike `ru_maxrss` it begins anew with the program."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def report(console: Console, rows: int, results: Results) -> None:
    """A table for people, the bars when they count, and two lines of JSON."""
    table = Table(
        *("", "seconds", "CPU seconds", "rows per second", "peak MiB", "file MiB", "XlsxWriter takes"),
        title=f"{rows:,} rows × 20 columns, load {os.getloadavg()[0]:.1f}",
        title_justify="left",
    )
    for arm, measured in results.items():
        for one, other in zip(measured, results["xlsxwriter"], strict=True):
            rate = f"{rows / one.seconds:,.0f}" if one.seconds else ""
            times = f"{other.seconds / one.seconds:.1f} ×" if arm in ("plain", "encrypted") else ""
            numbers = (one.seconds, one.cpu_seconds, rate, one.peak_mib, one.file_mib, times)
            table.add_row(arm, *map(str, numbers))
    console.print(table)
    for arm in ("plain", "encrypted"):
        print(json.dumps(result_of(rows, results, arm)), flush=True)
    if rows >= SIZES[-1]:
        console.print(_bars(result_of(rows, results, "encrypted")))


def result_of(rows: int, results: Results, arm: str) -> dict[str, float]:
    """What a line of JSON says; a ratio is the median over the pairs.

    `ratio` is XlsxWriter's time over ours, reading in both; `ratio_cells` leaves the reading out of XlsxWriter's only.
    """
    mine, peers, reading = results[arm], results["xlsxwriter"], results["rows"]
    together = list(zip(mine, peers, reading, strict=True))
    return {
        "rows": rows,
        "seconds": median(one.seconds for one in mine),
        "xlsxwriter_seconds": median(one.seconds for one in peers),
        "ratio": round(median(b.seconds / a.seconds for a, b, _ in together), 1),
        "ratio_cells": round(median((b.seconds - c.seconds) / a.seconds for a, b, c in together), 1),
        "cpu_ratio": round(median(b.cpu_seconds / a.cpu_seconds for a, b, _ in together), 1),
        "peak_mib": max(one.peak_mib for one in mine),
        "pairs": len(mine),
        "encrypted": arm == "encrypted",
    }


def _bars(result: dict[str, float]) -> str:
    """Whether the bars of 1,000,000 rows are met, in words."""
    held = (
        (f"< {SECONDS_MAX:.0f} s", result["seconds"] < SECONDS_MAX),
        (f"≥ {RATIO_MIN:.0f} × XlsxWriter", result["ratio"] >= RATIO_MIN),
        (f"peak < {PEAK_MIB_MAX:.0f} MiB", result["peak_mib"] < PEAK_MIB_MAX),
    )
    return "Encrypted: " + ", ".join(f"{what} {'met' if is_met else 'MISSED'}" for what, is_met in held)


if __name__ == "__main__":
    sys.exit(main())
