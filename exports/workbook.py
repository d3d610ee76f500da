"""A workbook that is written while its rows come: memory stays flat however many there are.

The first sheet, "About", says what the file is; the rows follow on one sheet or, when they are more than a sheet holds,
on several. Each has its header row frozen and filterable, and columns as wide as the first rows need
(spec: exports.md). The sink is only ever written to, so it may be a file, a socket or an `EncryptedSink`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from exports import parts
from exports.cells import CELL_MAX, Cells, Encoder, Pieces, column_letters, side_by_side
from exports.package import Package, Sink
from exports.styles import Style, Styles
from exports.widths import fitted

ROWS_PER_SHEET: Final = 1_048_576
"""What Excel's sheet holds, the header row included."""
BYTES_PER_SHEET: Final = 2**31
"""A sheet ends here even if it has room for more rows: its part of the package must stay below four gigabytes."""
CELLS_AT_ONCE: Final = 2_560
CELLS_LOOKED_AT: Final = 2 * CELLS_AT_ONCE
"""How many cells decide about the widths."""


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
    """Writes rows into `sink`, which needs `write` only; closing the writer leaves the sink open.

    Args:
        zone: where instants are shown.
        currency_column: the key of a text column that holds each row's currency. Amounts may then be bare minor units,
            and their number format leaves the currency out. Without it an amount is (minor units, currency) and shows
            its currency.
        rows_per_sheet: at most what Excel holds; the header row counts.
        bytes_per_sheet: where a sheet of very long texts ends early, before compression.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        columns: Sequence[Column],
        about: About,
        sheet_title: str,
        zone: ZoneInfo,
        about_title: str = "About",
        currency_column: str | None = None,
        rows_per_sheet: int = ROWS_PER_SHEET,
        bytes_per_sheet: int = BYTES_PER_SHEET,
    ) -> None:
        if not columns:
            raise ValueError("a workbook needs a column")
        self.rows_written = 0
        self._columns = columns
        self._about, self._about_title = about, parts.sheet_title(about_title)
        self._titles = parts.SheetTitles(sheet_title, taken=self._about_title)
        self._styles = Styles(names_currency=currency_column is None)
        self._cells = Cells(zone, self._styles)
        self._encoders = [self._encoder(column, place) for place, column in enumerate(columns)]
        keys = [column.key for column in columns]
        self._currency_place = None if currency_column is None else keys.index(currency_column)
        self._rows_per_sheet, self._bytes_per_sheet = rows_per_sheet, bytes_per_sheet
        self._widths: Sequence[float] = ()
        self._sheets: list[parts.Sheet] = []
        self._next_row = 0
        self._package = Package(sink)
        self._package.part("_rels/.rels", parts.PACKAGE_RELATIONS)

    @property
    def cells_cut(self) -> int:
        """How many texts were longer than a cell and end with a mark. The About sheet says so."""
        return self._cells.cut

    def write_rows(self, rows: Iterable[Sequence[object]]) -> None:
        """Add rows, as many cells in each as there are columns; None is an empty cell.

        Raises:
            ValueError: a row is shorter or longer than the columns.
            TeikiError: `invalid_instant` for a datetime without offset; `export_too_large`.
        """
        coming = iter(rows)
        while batch := list(islice(coming, self._rows_at_once())):
            if set(map(len, batch)) != {len(self._columns)}:
                raise ValueError(f"a row needs {len(self._columns)} cells, one for each column")
            if not self._sheets:
                self._widths = fitted(self._columns, batch)
                self._open_sheet()
            while batch:
                room = self._rows_per_sheet + 1 - self._next_row
                if room <= 0 or self._package.part_size > self._bytes_per_sheet:
                    self._end_sheet()
                    self._open_sheet()
                    continue
                now = min(room, self._rows_at_once())
                self._write_batch(batch[:now])
                batch = batch[now:]

    def close(self) -> None:
        """Finish the workbook; once. Without it the file cannot be opened, and so a half-written one never is."""
        if not self._sheets:
            self._widths = fitted(self._columns, [])
            self._open_sheet()
        self._end_sheet()
        lines = list(self._about.lines)
        if self._cells.cut:
            lines.append((f"Cells cut at {CELL_MAX:,} characters", f"{self._cells.cut:,}"))
        self._package.part("xl/worksheets/sheet1.xml", parts.about_sheet(lines, self._cells))
        self._package.part("xl/styles.xml", self._styles.xml())
        self._package.part("xl/workbook.xml", parts.workbook(self._about_title, self._sheets))
        self._package.part("xl/_rels/workbook.xml.rels", parts.workbook_relations(len(self._sheets) + 1))
        self._package.part("[Content_Types].xml", parts.content_types(len(self._sheets) + 1))
        self._package.close()

    def _rows_at_once(self) -> int:
        cells = CELLS_AT_ONCE if self._sheets else CELLS_LOOKED_AT
        return max(1, cells // len(self._columns))

    def _encoder(self, column: Column, place: int) -> Encoder:
        encoder: Encoder = getattr(self._cells, column.kind.value)(column_letters(place))
        return encoder

    def _write_batch(self, batch: Sequence[Sequence[Any]]) -> None:
        numbers = [str(number) for number in range(self._next_row, self._next_row + len(batch))]
        columns: list[Sequence[Any]] = list(zip(*batch, strict=True))
        if self._currency_place is not None:
            columns = self._with_currencies(columns, columns[self._currency_place])
        pieces: Pieces = ['<row r="', numbers, '">']
        for encode, values in zip(self._encoders, columns, strict=True):
            pieces += encode(values, numbers)
        pieces.append("</row>")
        self._package.write(side_by_side(pieces, len(batch)).encode())
        self._next_row += len(batch)
        self.rows_written += len(batch)

    def _with_currencies(
        self, columns: Sequence[Sequence[Any]], currencies: Sequence[Any]
    ) -> list[Sequence[Any]]:
        """Bare minor units become (minor units, the row's currency)."""
        return [
            [
                (value, currency) if isinstance(value, int) else value
                for value, currency in zip(values, currencies, strict=True)
            ]
            if column.kind is ColumnKind.MONEY
            else values
            for column, values in zip(self._columns, columns, strict=True)
        ]

    def _open_sheet(self) -> None:
        title = self._titles.next()
        self._package.open(f"xl/worksheets/sheet{len(self._sheets) + 2}.xml")
        self._package.write(parts.sheet_start(self._widths).encode())
        self._sheets.append(parts.Sheet(title, len(self._columns)))
        header = "".join(
            self._cells.careful_text(f"{column_letters(place)}1", column.title, Style.HEADER)
            for place, column in enumerate(self._columns)
        )
        self._package.write(f'<row r="1" ht="20" customHeight="1">{header}</row>'.encode())
        self._next_row = 2

    def _end_sheet(self) -> None:
        self._sheets[-1].rows = self._next_row - 1
        self._package.write(parts.sheet_end(self._sheets[-1]).encode())
