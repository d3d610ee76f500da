"""Values become cells of SpreadsheetML, a column of a few dozen rows at a time.

Nothing that a customer typed becomes a formula, a broken file or another text: text is always of the string type and of
the text format; what Excel might read as a formula when somebody edits the cell carries Excel's own leading apostrophe
(`quotePrefix`), which leaves the value as it is. A value that does not fit its column's kind is written as text: one
odd row never costs the whole export (spec: exports.md).

A column's values are looked at together first. Nearly always nothing in them needs care, and then they stand in the
sheet as they are, between pieces of XML that are the same for all of them; that is what makes the writer fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from domain.errors import ErrorCode, TeikiError
from exports.styles import Style, Styles

CELL_MAX: Final = 32_767
"""UTF-16 units that a cell of Excel holds."""
CUT_MARK: Final = "… [cut]"
INTEGER_MAX: Final = 10**15 - 1
"""Excel keeps fifteen digits; a longer number is written as text, with all of them."""
EXCEL_DAY_0: Final = date(1899, 12, 30)
FIRST_DAY: Final = 61
"""1900-03-01. Excel believes in a 29 February 1900, so earlier days are written as text."""

_MINOR_MAX: Final = 10**15
_SHORT_TOGETHER: Final = CELL_MAX // 2
"""Each sign is at most two units: none of the texts in so many signs is too long for a cell."""
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES_A_SIGN: Final = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""Readers take `_x0041_` for an A, unless its first underscore is escaped itself."""
_FORMULA_SIGNS: Final = frozenset("=+-@'＝＋－＠")
"""The full-width ones too: Japanese Excel reads them as the others when somebody edits the cell."""
_BEGINS_LIKE_FORMULA: Final = re.compile(r"\|[=+\-@'＝＋－＠]")
_MAY_BE_FORMULA: Final = re.compile(r"\s*[=+\-@'＝＋－＠]|[\x00-\x1f\x7f]")
_zone_of: Final = attrgetter("tzinfo")

Pieces = list["str | Sequence[str]"]
"""XML of some rows, side by side: a text stands for itself in every row, a sequence has one text for each."""
Encoder = Callable[[Sequence[Any], Sequence[str]], Pieces]
"""(a column's values, their row numbers) → the cells; nothing stands for an empty cell."""


class Cells:
    """Makes the encoders of one workbook and counts what had to be cut."""

    def __init__(self, zone: ZoneInfo, styles: Styles) -> None:
        self._zone = zone
        self._styles = styles
        self.cut = 0

    def text(self, letters: str, style: int = Style.TEXT) -> Encoder:
        head, tail = f'<c r="{letters}', "</t></is></c>"
        plain, quoted = (f'" s="{at}" t="inlineStr"><is><t>' for at in (style, _quoted(style)))

        def encode(values: Sequence[Any], numbers: Sequence[str]) -> Pieces:
            try:
                together = "|".join(values)
            except TypeError:
                values = [value if value is None or type(value) is str else str(value) for value in values]
                together = "|".join([value for value in values if value is not None])
            if not _easy(together):
                return _each(
                    lambda at, value: self.careful_text(f"{letters}{at}", value, style), values, numbers
                )
            if "&" in together or "<" in together or ">" in together:
                values = [value and _escaped(value) for value in values]
            starts: str | Sequence[str] = plain
            if _BEGINS_LIKE_FORMULA.search(f"|{together}"):
                starts = [quoted if value and value[0] in _FORMULA_SIGNS else plain for value in values]
            if None in values:
                starts = [starts] * len(values) if isinstance(starts, str) else starts
                cells = zip(numbers, starts, values, strict=True)
                return [
                    [
                        "".join((head, at, start, value, tail)) if value is not None else ""
                        for at, start, value in cells
                    ]
                ]
            return [head, numbers, starts, values, tail]

        return encode

    def careful_text(self, at: str, value: str, style: int = Style.TEXT) -> str:
        """The cell of any text whatsoever; `at` is its reference, as in `B7`."""
        if _MAY_BE_FORMULA.match(value):
            style = _quoted(style)
        text = _FORBIDDEN.sub("\ufffd", self._fitting(value))
        text = _escaped(_ESCAPES_A_SIGN.sub("_x005F_", text)).replace("\r", "&#13;")
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
        head, plain, tail = f'<c r="{letters}', f'" s="{Style.INTEGER}"><v>', "</v></c>"

        def cell(number: str, value: Any) -> str:
            if isinstance(value, int) and abs(value) <= INTEGER_MAX:
                return f"{head}{number}{plain}{int(value)}{tail}"
            return self.careful_text(f"{letters}{number}", str(value))

        def encode(values: Sequence[Any], numbers: Sequence[str]) -> Pieces:
            if _all_integers(values, INTEGER_MAX):
                return [head, numbers, plain, list(map(str, values)), tail]
            return _each(cell, values, numbers)

        return encode

    def boolean(self, letters: str) -> Encoder:
        head, plain, tail = f'<c r="{letters}', f'" s="{Style.BOOLEAN}" t="b"><v>', "</v></c>"

        def cell(number: str, value: Any) -> str:
            if isinstance(value, bool):
                return f"{head}{number}{plain}{1 if value else 0}{tail}"
            return self.careful_text(f"{letters}{number}", str(value))

        return lambda values, numbers: _each(cell, values, numbers)

    def money(self, letters: str) -> Encoder:
        """Values are (minor units, ISO 4217 code). The number is exact to the last unit up to 10^15 of them."""
        styles, head, tail = self._styles, f'<c r="{letters}', "</v></c>"

        def cell(number: str, value: Any) -> str:
            minor, currency = value if type(value) is tuple and len(value) == 2 else (value, None)
            style = styles.money(currency)
            if style is None or not _all_integers((minor,), _MINOR_MAX):
                return self.careful_text(f"{letters}{number}", f"{minor} minor units of {currency}")
            return f'{head}{number}" s="{style.place}"><v>{minor / style.scale if style.scale > 1 else minor}{tail}'

        def encode(values: Sequence[Any], numbers: Sequence[str]) -> Pieces:
            try:
                minors, currencies = zip(*values, strict=True)
            except (TypeError, ValueError):  # an empty cell among them, or no amounts
                return _each(cell, values, numbers)
            found = {currency: styles.money(currency) for currency in set(currencies)}
            if None in found.values() or not _all_integers(minors, _MINOR_MAX):
                return _each(cell, values, numbers)
            scales = {currency: style.scale for currency, style in found.items() if style}
            starts = {currency: f'" s="{style.place}"><v>' for currency, style in found.items() if style}
            amounts = [
                f"{minor / scale if (scale := scales[currency]) > 1 else minor}"
                for minor, currency in zip(minors, currencies, strict=True)
            ]
            return [head, numbers, [starts[currency] for currency in currencies], amounts, tail]

        return encode

    def instant(self, letters: str) -> Encoder:
        """Values are aware datetimes; they are shown in the workbook's zone, to the second."""
        zone, times, head, tail = self._zone, _Times(), f'<c r="{letters}', "</v></c>"
        plain = f'" s="{Style.INSTANT}"><v>'
        # In one zone object a difference is that of the clocks on the wall, and such are the sheet's dates.
        day_0 = datetime.combine(EXCEL_DAY_0, time(), zone)

        def cell(number: str, value: Any) -> str:
            if not isinstance(value, datetime):
                return self.careful_text(f"{letters}{number}", str(value))
            local = self._local(value)
            since = local - day_0 if local else timedelta(0)
            if since.days < FIRST_DAY:
                return self.careful_text(f"{letters}{number}", value.isoformat())
            return f"{head}{number}{plain}{since.days}{times[since.seconds]}{tail}"

        def encode(values: Sequence[Any], numbers: Sequence[str]) -> Pieces:
            try:
                if None in set(map(_zone_of, values)):
                    return _each(cell, values, numbers)  # which refuses it
                spans = [value.astimezone(zone) - day_0 for value in values]
            except (AttributeError, OverflowError):
                return _each(cell, values, numbers)
            if min(spans).days < FIRST_DAY:
                return _each(cell, values, numbers)
            return [head, numbers, plain, [f"{since.days}{times[since.seconds]}" for since in spans], tail]

        return encode

    def _local(self, instant: datetime) -> datetime | None:
        """The instant in the workbook's zone; None in the last hours of the year 9999, where a zone may have none."""
        if instant.tzinfo is None:
            raise TeikiError(ErrorCode.INVALID_INSTANT, "An instant of an export needs its offset.")
        try:
            return instant.astimezone(self._zone)
        except OverflowError:
            return None

    def date(self, letters: str) -> Encoder:
        """Values are dates; an instant is the date that it has in the workbook's zone."""
        head, plain, tail = f'<c r="{letters}', f'" s="{Style.DATE}"><v>', "</v></c>"

        def cell(number: str, value: Any) -> str:
            if isinstance(value, datetime):
                value = self._local(value) or value
                value = value.date()
            day = (value - EXCEL_DAY_0).days if isinstance(value, date) else 0
            if day < FIRST_DAY:
                return self.careful_text(f"{letters}{number}", str(value))
            return f"{head}{number}{plain}{day}{tail}"

        return lambda values, numbers: _each(cell, values, numbers)


class _Times(dict[int, str]):
    """The second of the day → the fraction of a day that it is, as in `.5`; there are 86,400 at most."""

    def __missing__(self, second: int) -> str:
        self[second] = text = f"{second / 86400:.10f}"[1:]
        return text


def _each(cell: Callable[[str, Any], str], values: Sequence[Any], numbers: Sequence[str]) -> Pieces:
    return [[cell(at, value) if value is not None else "" for at, value in zip(numbers, values, strict=True)]]


def side_by_side(pieces: Pieces, rows: int) -> str:
    """The rows' XML: the first of each piece, the second of each, and so on."""
    columns: list[Iterable[str]] = []
    same = ""
    for piece in pieces:
        if isinstance(piece, str):
            same += piece
        else:
            columns += [repeat(same, rows), piece]
            same = ""
    columns.append(repeat(same, rows))
    return "".join(chain.from_iterable(zip(*columns, strict=True)))


def _all_integers(values: Sequence[Any], most: int) -> bool:
    return set(map(type, values)) == {int} and -most <= min(values) and max(values) <= most


def _easy(texts: str) -> bool:
    """Whether texts joined by `|` need escaping at most: nothing to replace, keep apart or cut.

    `isprintable` is False for control characters, lone surrogates and all white space but a space.
    """
    return (
        len(texts) <= _SHORT_TOGETHER
        and texts.isprintable()
        and not texts.startswith(" ")
        and not texts.endswith(" ")
        and "| " not in texts
        and " |" not in texts
        and _ESCAPES_A_SIGN.search(texts) is None
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(style: int) -> int:
    return Style.QUOTED_TEXT if style == Style.TEXT else style


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
