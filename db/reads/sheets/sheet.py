"""What a sheet of one kind shows: its filter, its columns, and the statement that reads its rows.

The same filter and the same words as the list of that kind. A statement's rows are the sheet's rows as they are: money
is minor units, whose currency stands in the column `CURRENCY`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select

CURRENCY: Final = "currency"
"""The key of the column that every sheet with money has."""

Shows = Literal["text", "integer", "money", "instant", "date", "boolean"]


@dataclass(frozen=True)
class SheetColumn:
    """One column: its key, its title in both languages, what it shows, and where that comes from."""

    key: str
    ja: str
    en: str
    of: ColumnElement[Any]
    shows: Shows = "text"
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
        return self.rows(wanted, requested_at, [column.of.label(column.key) for column in self.columns])

    @property
    def has_money(self) -> bool:
        return any(column.shows == "money" for column in self.columns)
