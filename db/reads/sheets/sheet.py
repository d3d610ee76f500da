"""What a sheet of one kind shows: its filter, its columns, and the statement that reads its rows.

The same filter and the same words as the list of that kind. A money column takes two of the statement's columns, the
minor units and their currency, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select

Shows = Literal["text", "integer", "money", "instant", "date", "boolean"]
Row = Sequence[Any]


@dataclass(frozen=True)
class SheetColumn:
    """One column: its key, its title in both languages, what it shows, and where that comes from."""

    key: str
    ja: str
    en: str
    of: ColumnElement[Any]
    shows: Shows = "text"
    currency: ColumnElement[Any] | None = None
    width: float | None = None

    def title(self, language: str) -> str:
        return self.ja if language == "ja" else self.en


@dataclass(frozen=True)
class Sheet:
    """A kind of export.

    Attributes:
        kind: its name in the SDK, on the command line and in the books.
        filter_type: the list's filter; frozen, and it refuses what it does not know.
        rows: the statement for a filter, as it stood at an instant, newest first, given the columns to select.
    """

    kind: str
    ja: str
    en: str
    filter_type: type[BaseModel]
    columns: tuple[SheetColumn, ...]
    rows: Callable[[Any, datetime, Sequence[ColumnElement[Any]]], Select[Any]]

    def title(self, language: str) -> str:
        return self.ja if language == "ja" else self.en

    def query(self, wanted: BaseModel, requested_at: datetime) -> Select[Any]:
        """The statement of all rows that there were at `requested_at` and match."""
        selected: list[ColumnElement[Any]] = []
        for column in self.columns:
            selected.append(column.of.label(column.key))
            if column.currency is not None:
                selected.append(column.currency.label(f"{column.key}_currency"))
        return self.rows(wanted, requested_at, selected)

    def cells(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The statement's rows as the sheet's: an amount and its currency are one cell, or none."""
        places: list[int] = []
        place = 0
        for column in self.columns:
            places.append(place if column.currency is None else ~place)
            place += 1 if column.currency is None else 2
        for row in rows:
            yield [
                row[place] if place >= 0 else None if row[~place] is None else (row[~place], row[~place + 1])
                for place in places
            ]
