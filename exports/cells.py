"""Values become cells of SpreadsheetML, a column of a few dozen rows at a time.

Nothing that a customer typed becomes a formula, a broken file or another text: text is always of the string type and of
the text format; what Excel might read as a formula when somebody edits the cell carries Excel's own leading apostrophe
(`quotePrefix`), which leaves the value as it is. A value that does not fit its column's kind is written as text: one
odd row never costs the whole export (spec: exports.md).

A column's texts are looked at together first. Nearly always nothing in them needs care, and then they are written as
they are; that look is what makes the writer fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from domain.errors import ErrorCode, TeikiError
from exports.styles import Style, Styles

CELL_MAX: Final = 32_767
"""UTF-16 units that a cell of Excel holds."""
CUT_MARK: Final = "… [cut]"
INTEGER_MAX: Final = 10**15 - 1
"""Excel keeps fifteen digits; a longer number is written as text, with all of them."""
EXCEL_DAY_0: Final = date(1899, 12, 30).toordinal()
FIRST_DAY: Final = 61
"""1900-03-01. Excel believes in a 29 February 1900, so earlier days are written as text."""

_MINOR_MAX: Final = 10**15
_SAFE_TOGETHER: Final = CELL_MAX // 2 - 2
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNDERSCORE_THAT_ESCAPES: Final = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_MAY_BE_FORMULA: Final = re.compile(r"[\x00-\x20\u3000\xa0]*[=+\-@'＝＋－＠]|[\x00-\x1f\x7f]")
_FIRST_NEEDS_CARE: Final = re.compile(r"\|[ =+\-@'＝＋－＠]")

Encoder = Callable[[Sequence[Any], Sequence[int]], list[str]]
"""(a column's values, their row numbers) → the cells' XML, "" for an empty cell."""


class Cells:
    """Makes the encoders of one workbook and counts what had to be cut."""

    def __init__(self, zone: ZoneInfo, styles: Styles) -> None:
        self._zone = zone
        self._styles = styles
        self.cut = 0

    def text(self, letters: str, style: int = Style.TEXT) -> Encoder:
        head, plain, tail = f'<c r="{letters}', f'" s="{style}" t="inlineStr"><is><t>', "</t></is></c>"

        def encode(values: Sequence[Any], numbers: Sequence[int]) -> list[str]:
            try:
                together = "|".join(values)
            except TypeError:
                values = [value if value is None or type(value) is str else str(value) for value in values]
                together = "|".join([value for value in values if value is not None])
            if _harmless(together):
                return [
                    f"{head}{number}{plain}{value}{tail}" if value is not None else ""
                    for number, value in zip(numbers, values, strict=True)
                ]
            return [
                self.careful_text(f"{letters}{number}", value, style) if value is not None else ""
                for number, value in zip(numbers, values, strict=True)
            ]

        return encode

    def careful_text(self, at: str, value: str, style: int = Style.TEXT) -> str:
        """The cell of any text whatsoever; `at` is its reference, as in `B7`."""
        if _harmless(value):
            return f'<c r="{at}" s="{style}" t="inlineStr"><is><t>{value}</t></is></c>'
        if style == Style.TEXT and _MAY_BE_FORMULA.match(value):
            style = Style.QUOTED_TEXT
        text = _FORBIDDEN.sub("\ufffd", self._fitting(value))
        text = _UNDERSCORE_THAT_ESCAPES.sub("_x005F_", text)
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
        return f'<c r="{at}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'

    def _fitting(self, text: str) -> str:
        if _units(text) <= CELL_MAX:
            return text
        self.cut += 1
        kept = text[: CELL_MAX - len(CUT_MARK)]
        while (over := _units(kept) + len(CUT_MARK) - CELL_MAX) > 0:
            kept = kept[: -((over + 1) // 2)]
        return kept + CUT_MARK

    def integer(self, letters: str) -> Encoder:
        def cell(number: int, value: Any) -> str:
            if isinstance(value, int) and abs(value) <= INTEGER_MAX:
                return f'<c r="{letters}{number}" s="{Style.INTEGER}"><v>{int(value)}</v></c>'
            return self.careful_text(f"{letters}{number}", str(value))

        return _each(cell)

    def boolean(self, letters: str) -> Encoder:
        def cell(number: int, value: Any) -> str:
            if isinstance(value, bool):
                return f'<c r="{letters}{number}" s="{Style.BOOLEAN}" t="b"><v>{int(value)}</v></c>'
            return self.careful_text(f"{letters}{number}", str(value))

        return _each(cell)

    def money(self, letters: str) -> Encoder:
        """Values are (minor units, ISO 4217 code). The number is exact to the last unit up to 10^15 of them."""
        money = self._styles.money

        def cell(number: int, value: Any) -> str:
            minor, currency = value if type(value) is tuple and len(value) == 2 else (value, None)
            style = money(currency)
            if style is None or type(minor) is not int or abs(minor) > _MINOR_MAX:
                return self.careful_text(f"{letters}{number}", f"{minor} minor units of {currency}")
            amount = minor if style.scale == 1 else minor / style.scale
            return f'<c r="{letters}{number}" s="{style.index}"><v>{amount}</v></c>'

        return _each(cell)

    def instant(self, letters: str) -> Encoder:
        """Values are aware datetimes; they are shown in the workbook's zone, to the second."""

        def cell(number: int, value: Any) -> str:
            if not isinstance(value, datetime):
                return self.careful_text(f"{letters}{number}", str(value))
            local = self._local(value)
            day = local.toordinal() - EXCEL_DAY_0
            if day < FIRST_DAY:
                return self.careful_text(f"{letters}{number}", value.isoformat())
            seconds = local.hour * 3600 + local.minute * 60 + local.second
            return f'<c r="{letters}{number}" s="{Style.INSTANT}"><v>{day + seconds / 86400:.10f}</v></c>'

        return _each(cell)

    def _local(self, instant: datetime) -> datetime:
        if instant.tzinfo is None:
            raise TeikiError(ErrorCode.INVALID_INSTANT, "An instant of an export needs its offset.")
        try:
            return instant.astimezone(self._zone)
        except OverflowError:  # the last hours of the year 9999
            return instant

    def date(self, letters: str) -> Encoder:
        def cell(number: int, value: Any) -> str:
            if isinstance(value, datetime):
                value = self._local(value).date()
            if not isinstance(value, date) or value.toordinal() - EXCEL_DAY_0 < FIRST_DAY:
                return self.careful_text(f"{letters}{number}", str(value))
            day = value.toordinal() - EXCEL_DAY_0
            return f'<c r="{letters}{number}" s="{Style.DATE}"><v>{day}</v></c>'

        return _each(cell)


def _each(cell: Callable[[int, Any], str]) -> Encoder:
    def encode(values: Sequence[Any], numbers: Sequence[int]) -> list[str]:
        return [
            cell(number, value) if value is not None else ""
            for number, value in zip(numbers, values, strict=True)
        ]

    return encode


def _harmless(texts: str) -> bool:
    """Whether texts joined by `|` can stand in a cell as they are: nothing to escape, replace, keep apart or cut.

    `isprintable` is False for control characters, lone surrogates and all white space but a space.
    """
    return (
        len(texts) <= _SAFE_TOGETHER
        and texts.isprintable()
        and "&" not in texts
        and "<" not in texts
        and ">" not in texts
        and "_x" not in texts
        and " |" not in (texts := f"|{texts}|")
        and _FIRST_NEEDS_CARE.search(texts) is None
    )


def _units(text: str) -> int:
    """The text's length as Excel counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def column_letters(index: int) -> str:
    """0 → A, 25 → Z, 26 → AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
