"""Exports: `python -m bench.exports --rows 1000000`, seconds and memory of the workbook, plain and encrypted.

The peer is XlsxWriter in its mode of constant memory, merely writing the same cells with its typed methods; it can
neither encrypt nor do without plaintext temporary files. Each measurement is a process of its own, one after another,
in turns when there are several pairs; memory is the process's own high-water mark. Making the rows is part of every
time, and stands beside them. A table goes to standard error; standard output is a line of JSON for the plain workbook,
and, last, one for the encrypted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import xlsxwriter
from rich.console import Console
from rich.table import Table

from bench.export_rows import COLUMNS
from domain.money import DECIMALS
from exports.encryption import EncryptedSink
from exports.workbook import About, WorkbookWriter

TOKYO: Final = ZoneInfo("Asia/Tokyo")
MIXED: Final = "bench.export_rows:mixed"

Source = Callable[[int], Iterable[Sequence[Any]]]


def only_rows(rows: Iterable[Sequence[Any]], _path: Path) -> None:
    """What the source itself costs."""
    for _ in rows:
        pass


def plain(rows: Iterable[Sequence[Any]], path: Path) -> None:
    with path.open("wb") as file:
        _write(rows, file)


def encrypted(rows: Iterable[Sequence[Any]], path: Path) -> None:
    with path.open("w+b") as file:
        sink = EncryptedSink(file, "a password of the benchmark")
        _write(rows, sink)
        sink.close()


def _write(rows: Iterable[Sequence[Any]], sink: Any) -> None:
    about = About([("Filter", "none")])
    writer = WorkbookWriter(sink, columns=COLUMNS, about=about, sheet_title="Subscriptions", zone=TOKYO)
    writer.write_rows(rows)
    writer.close()


def peer(rows: Iterable[Sequence[Any]], path: Path) -> None:
    """XlsxWriter, one sheet; beyond a sheet's rows it would refuse."""
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": path.parent})
    sheet = book.add_worksheet("Subscriptions")
    at = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    on = book.add_format({"num_format": "yyyy-mm-dd"})
    money = {
        code: book.add_format({"num_format": "#,##0.000"[: 6 + digits]}) for code, digits in DECIMALS.items()
    }
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row):
            match value:
                case None:
                    pass
                case str():
                    sheet.write_string(number, place, value)
                case bool():
                    sheet.write_boolean(number, place, value)
                case int():
                    sheet.write_number(number, place, value)
                case (minor, code):
                    sheet.write_number(number, place, minor / 10 ** DECIMALS[code], money[code])
                case datetime():
                    sheet.write_datetime(number, place, value.astimezone(TOKYO).replace(tzinfo=None), at)
                case date():
                    sheet.write_datetime(number, place, value, on)
    book.close()


ARMS: Final = {"rows": only_rows, "plain": plain, "encrypted": encrypted, "xlsxwriter": peer}


@dataclass(frozen=True)
class Measured:
    """One process's work."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    file_mib: float


def measure(arm: str, rows: int, source: str) -> Measured:
    """Run one arm in a process of its own."""
    command = [sys.executable, "-m", "bench.exports", "--arm", arm, "--rows", str(rows), "--source", source]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout))


def run_arm(arm: str, rows: int, source: Source) -> Measured:
    """Do an arm's work here."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "export.xlsx"
        begun, used = time.perf_counter(), time.process_time()
        ARMS[arm](source(rows), path)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        size = path.stat().st_size if path.exists() else 0
    return Measured(round(seconds, 2), round(cpu, 2), round(_high_water(), 1), round(size / 2**20, 1))


def _high_water() -> float:
    """MiB; unlike `ru_maxrss` it begins anew with the program."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def named(source: str) -> Source:
    module, _, function = source.partition(":")
    found: Source = getattr(importlib.import_module(module), function)
    return found


def as_json(rows: int, mine: Sequence[Measured], peers: Sequence[Measured], *, encrypted: bool) -> str:
    """One line; a ratio is the median over the pairs."""
    return json.dumps(
        {
            "rows": rows,
            "seconds": median(one.seconds for one in mine),
            "xlsxwriter_seconds": median(one.seconds for one in peers),
            "ratio": round(median(b.seconds / a.seconds for a, b in zip(mine, peers, strict=True)), 1),
            "cpu_ratio": round(
                median(b.cpu_seconds / a.cpu_seconds for a, b in zip(mine, peers, strict=True)), 1
            ),
            "peak_mib": max(one.peak_mib for one in mine),
            "pairs": len(mine),
            "encrypted": encrypted,
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=1, help="how often each is measured, in turns")
    parser.add_argument("--source", default=MIXED, help="module:function that makes so many rows")
    parser.add_argument("--arm", choices=ARMS, help="do one arm's work in this process and say what it took")
    chosen = parser.parse_args()
    if chosen.arm:
        print(json.dumps(vars(run_arm(chosen.arm, chosen.rows, named(chosen.source)))))
        return 0
    console = Console(stderr=True, highlight=False)
    table = Table(
        "", "seconds", "CPU seconds", "rows per second", "peak MiB", "file MiB", title=f"{chosen.rows:,} rows"
    )
    results: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
    for _ in range(chosen.pairs):
        for arm, measured in results.items():
            one = measure(arm, chosen.rows, chosen.source)
            measured.append(one)
            rate = f"{chosen.rows / one.seconds:,.0f}"
            table.add_row(
                arm, str(one.seconds), str(one.cpu_seconds), rate, str(one.peak_mib), str(one.file_mib)
            )
    console.print(table)
    for arm in ("plain", "encrypted"):
        print(as_json(chosen.rows, results[arm], results["xlsxwriter"], encrypted=arm == "encrypted"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
