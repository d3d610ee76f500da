"""The styles of a workbook: a few fixed ones, and one number format per currency that occurs."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

from domain.money import DECIMALS


class Style(IntEnum):
    """Indices into `cellXfs`."""

    NONE = 0
    HEADER = 1
    TEXT = 2
    QUOTED_TEXT = 3
    INTEGER = 4
    DATE = 5
    INSTANT = 6
    BOOLEAN = 7
    ABOUT_LABEL = 8
    ABOUT_TEXT = 9


class MoneyStyle(NamedTuple):
    """What divides the minor units (100 for USD), and the style's place among the cells' styles."""

    scale: int
    place: int


_GENERAL, _WHOLE, _AS_TEXT, _DATE, _INSTANT, _YES_NO, _FIRST_MONEY = 0, 1, 49, 164, 165, 166, 167
_TRUE_FALSE: Final = "&quot;TRUE&quot;;&quot;TRUE&quot;;&quot;FALSE&quot;"
"""For LibreOffice, which shows some booleans as 1 and 0 otherwise."""

_FIXED: Final = {
    Style.NONE: f'<xf numFmtId="{_GENERAL}" fontId="0" fillId="0" borderId="0" xfId="0"/>',
    Style.HEADER: (
        f'<xf numFmtId="{_AS_TEXT}" fontId="1" fillId="2" borderId="1" xfId="0" applyNumberFormat="1" '
        'applyFont="1" applyFill="1" applyBorder="1" applyAlignment="1"><alignment vertical="center"/></xf>'
    ),
    Style.TEXT: f'<xf numFmtId="{_AS_TEXT}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>',
    Style.QUOTED_TEXT: (
        f'<xf numFmtId="{_AS_TEXT}" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" '
        'applyNumberFormat="1"/>'
    ),
    Style.INTEGER: f'<xf numFmtId="{_WHOLE}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>',
    Style.DATE: f'<xf numFmtId="{_DATE}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>',
    Style.INSTANT: f'<xf numFmtId="{_INSTANT}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>',
    Style.BOOLEAN: (
        f'<xf numFmtId="{_YES_NO}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" '
        'applyAlignment="1"><alignment horizontal="center"/></xf>'
    ),
    Style.ABOUT_LABEL: (
        f'<xf numFmtId="{_AS_TEXT}" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" '
        'applyFont="1" applyAlignment="1"><alignment vertical="top"/></xf>'
    ),
    Style.ABOUT_TEXT: (
        f'<xf numFmtId="{_AS_TEXT}" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" '
        'applyNumberFormat="1" applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf>'
    ),
}


class Styles:
    """Collects the currencies' formats while cells are written; `xml` is written last.

    With `names_currency` an amount shows its currency (`1,000 JPY`), otherwise a column beside it does.
    """

    def __init__(self, *, names_currency: bool) -> None:
        self._names_currency = names_currency
        self._money: dict[Any, MoneyStyle] = {}

    def money(self, currency: Any) -> MoneyStyle | None:
        """The currency's style; None for what is no currency."""
        style = self._money.get(currency)
        if style is None and currency in DECIMALS:
            style = MoneyStyle(10 ** DECIMALS[currency], len(_FIXED) + len(self._money))
            self._money[currency] = style
        return style

    def xml(self) -> str:
        formats = {_DATE: "yyyy-mm-dd", _INSTANT: "yyyy-mm-dd hh:mm:ss", _YES_NO: _TRUE_FALSE}
        cells = list(_FIXED.values())
        for place, currency in enumerate(self._money):
            formats[_FIRST_MONEY + place] = self._money_format(currency)
            cells.append(
                f'<xf numFmtId="{_FIRST_MONEY + place}" fontId="0" fillId="0" borderId="0" xfId="0" '
                'applyNumberFormat="1"/>'
            )
        written = "".join(f'<numFmt numFmtId="{at}" formatCode="{code}"/>' for at, code in formats.items())
        return (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            f'<numFmts count="{len(formats)}">{written}</numFmts>'
            '<fonts count="2"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>'
            '<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts>'
            '<fills count="3"><fill><patternFill patternType="none"/></fill>'
            '<fill><patternFill patternType="gray125"/></fill>'
            '<fill><patternFill patternType="solid"><fgColor rgb="FFE7EDF3"/></patternFill></fill></fills>'
            '<borders count="2"><border><left/><right/><top/><bottom/><diagonal/></border>'
            '<border><left/><right/><top/><bottom style="thin"><color rgb="FF8A99A8"/></bottom><diagonal/></border>'
            '</borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
            f'<cellXfs count="{len(cells)}">{"".join(cells)}</cellXfs>'
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
        )

    def _money_format(self, currency: str) -> str:
        decimals = DECIMALS[currency]
        number = "#,##0" + ("." + "0" * decimals if decimals else "")
        return f"{number}\\ &quot;{currency}&quot;" if self._names_currency else number
