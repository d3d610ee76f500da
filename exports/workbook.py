"""A workbook that is written while its rows come: memory stays flat however many there are.

The first sheet, "About", says what the file is; the rows follow on one sheet or, when they are more than a sheet holds,
on several (spec: exports.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo

ROWS_PER_SHEET: Final = 1_048_576
"""What Excel's sheet holds, the header row included."""


class ColumnKind(StrEnum):
    """What a column's cells are."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    INSTANT = "instant"
    DATE = "date"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Column:
    """A column: its key, its title in the header row, and a width in characters if it should not be fitted."""

    key: str
    title: str
    kind: ColumnKind = ColumnKind.TEXT
    width: float | None = None


@dataclass(frozen=True)
class About:
    """The lines of the first sheet: filter, requester, time, number of rows. Read when the workbook is closed."""

    lines: Sequence[tuple[str, str]]


class WorkbookWriter:
    """Writes rows into `sink`, which needs `write` only; closing the writer leaves the sink open."""

    def __init__(
        self,
        sink: BinaryIO,
        *,
        columns: Sequence[Column],
        about: About,
        sheet_title: str,
        zone: ZoneInfo,
        about_title: str = "About",
        currency_column: str | None = None,
        rows_per_sheet: int = ROWS_PER_SHEET,
    ) -> None:
        raise NotImplementedError

    def write_rows(self, rows: Iterable[Sequence[object]]) -> None:
        """Add rows, as many cells in each as there are columns; None is an empty cell."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish the workbook. Without it the file cannot be opened."""
        raise NotImplementedError
