"""How wide a column must be so that what it shows can be read; from its title and its first values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from unicodedata import east_asian_width

from domain.money import DECIMALS

if TYPE_CHECKING:
    from exports.workbook import Column

NARROWEST: Final = 8.0
WIDEST: Final = 60.0
_FILTER_ARROW: Final = 4
_MARGIN: Final = 1.5


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[float]:
    """A width per column, in characters of the default font."""
    return [
        _fitting(column.title, [row[place] for row in rows]) if column.width is None else column.width
        for place, column in enumerate(columns)
    ]


def _fitting(title: str, values: Sequence[Any]) -> float:
    needed = max((_shown(value) for value in values), default=0)
    return min(max(needed + _MARGIN, _shown(title) + _FILTER_ARROW, NARROWEST), WIDEST)


def _shown(value: Any) -> int:
    """How many characters' room the value takes; a full-width character takes two."""
    if value is None:
        return 0
    if isinstance(value, datetime):
        return len("2026-01-01 00:00:00")
    if isinstance(value, date):
        return len("2026-01-01")
    if isinstance(value, tuple):  # an amount and its currency, with its separators
        digits, currency = (str(part) for part in (*value, "")[:2])
        return len(digits) + len(digits) // 3 + len(currency) + DECIMALS.get(currency, 0)
    text = str(value)[: int(WIDEST)]
    return len(text) if text.isascii() else sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
