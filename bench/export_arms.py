"""What the benchmark of exports compares: the workbook, plain and encrypted, and XlsxWriter with the same cells.

Each arm takes where it writes and whence its rows come: an address of a filled Postgres, where Teiki's part is the
very code of the export activity (`activities.export_writing`), or a function that makes rows in memory.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from activities.export_writing import Writing
from bench.export_rows import COLUMNS
from bench.export_shop import SHEET, at_end
from db.reads.sheets import CURRENCY
from db.snapshot import snapshot
from domain.money import DECIMALS
from exports.encryption import EncryptedSink
from exports.storage import DirectoryStorage, new_name
from exports.workbook import About, WorkbookWriter

ARMS: Final = ("rows", "plain", "encrypted", "xlsxwriter")
_SECRET: Final = "a password of the benchmark"  # noqa: S105 - of nothing but the benchmark
TOKYO: Final = ZoneInfo("Asia/Tokyo")
_PATIENCE: Final = timedelta(minutes=30)
_TELL_S: Final = 0.5

Rows = Iterable[Sequence[Any]]
Tell = Callable[[int], object]
"""Told how many rows are done."""


class Source(Protocol):
    """Whence the rows come, and what Teiki does with them."""

    def rows(self) -> Iterator[Sequence[Any]]:
        """Every row; amounts are (minor units, currency)."""
        ...

    def write(self, directory: Path, password: str | None) -> Path:
        """Teiki's workbook of them."""
        ...


def run(arm: str, source: Source, directory: Path) -> Path | None:
    """Do one arm's work; answers its file, if it makes one."""
    match arm:
        case "rows":  # what the source itself costs
            for _ in source.rows():
                pass
            return None
        case "xlsxwriter":
            return peer(source.rows(), directory / "peer.xlsx")
        case _:
            return source.write(directory, _SECRET if arm == "encrypted" else None)


@dataclass(frozen=True)
class Postgres:
    """A filled database: one snapshot, a server-side cursor, the sheet of `bench.export_shop`."""

    url: str
    tell: Tell = lambda _: None

    def rows(self) -> Iterator[Sequence[Any]]:
        keys = [column.key for column in SHEET.columns]
        money = [place for place, column in enumerate(SHEET.columns) if column.shows == "money"]
        currency, done = keys.index(CURRENCY), 0
        with snapshot(self.url, patience=_PATIENCE) as books:
            for batch in books.batches(SHEET.query(SHEET.filter_type(), at_end())):
                for row in batch:
                    values = list(row)
                    for place in money:
                        values[place] = (row[place], row[currency])
                    yield values
                done += len(batch)
                self.tell(done)

    def write(self, directory: Path, password: str | None) -> Path:
        writing = Writing(
            database=self.url,
            sheet=SHEET,
            wanted=SHEET.filter_type(),
            requester="operator:bench",
            requested_at=at_end(),
            language="en",
            zone=TOKYO.key,
            password=password,
        )
        name = new_name()
        with _told(lambda: self.tell(writing.progress().rows)):
            writing.run(DirectoryStorage(directory), name)
        return directory / f"{name}.xlsx"


@dataclass(frozen=True)
class Memory:
    """A function that makes so many rows, in the order of `bench.export_rows.COLUMNS`."""

    make: Callable[[int], Rows]
    count: int

    @classmethod
    def named(cls, source: str, count: int) -> Memory:
        module, _, function = source.partition(":")
        return cls(getattr(importlib.import_module(module), function), count)

    def rows(self) -> Iterator[Sequence[Any]]:
        yield from self.make(self.count)

    def write(self, directory: Path, password: str | None) -> Path:
        path = directory / "export.xlsx"
        with path.open("w+b") as file:
            if password is None:
                self._write(file)
            else:
                sink = EncryptedSink(file, password)
                self._write(sink)
                sink.close()
        return path

    def _write(self, sink: Any) -> None:
        about = About([("Filter", "none")])
        writer = WorkbookWriter(sink, columns=COLUMNS, about=about, sheet_title=SHEET.en, zone=TOKYO)
        writer.write_rows(self.make(self.count))
        writer.close()


def peer(rows: Rows, path: Path) -> Path:
    """XlsxWriter in its mode of constant memory, one sheet; beyond a sheet's rows it would refuse."""
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": path.parent})
    sheet = book.add_worksheet(SHEET.en)
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
                    sheet.write_datetime(number, place, _wall(value), at)
                case date():
                    sheet.write_datetime(number, place, value, on)
    book.close()
    return path


def _wall(instant: datetime) -> datetime:
    """The clock on the wall, to the second, as the sheet shows it."""
    return instant.astimezone(TOKYO).replace(tzinfo=None, microsecond=0)


@contextmanager
def _told(tell: Callable[[], object]) -> Iterator[None]:
    """Call it every half second meanwhile."""
    over = threading.Event()

    def keep_telling() -> None:
        while not over.wait(_TELL_S):
            tell()

    thread = threading.Thread(target=keep_telling, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
