"""The parts of a workbook besides its rows: the list of sheets, relations, content types, what frames a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import quoteattr

from exports.cells import Cells, column_letters
from exports.styles import Style

_DECLARED: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPES: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_TITLE_MAX: Final = 31
_NOT_IN_A_TITLE: Final = str.maketrans(dict.fromkeys("[]:*?/\\", " "))

PACKAGE_RELATIONS: Final = (
    f'{_DECLARED}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)


@dataclass
class Sheet:
    """A sheet of rows; `rows` counts the header and is known when the sheet ends."""

    title: str
    columns: int
    rows: int = 0

    @property
    def filtered(self) -> str:
        """The range that the filter covers."""
        return f"A1:{column_letters(self.columns - 1)}{self.rows}"


def sheet_title(title: str) -> str:
    """The title without what Excel forbids in one, at most 31 characters."""
    cleaned = title.translate(_NOT_IN_A_TITLE).strip(" '")[:_TITLE_MAX]
    if not cleaned or not cleaned.isprintable():
        raise ValueError(f"{title!r} cannot be the title of a sheet")
    return cleaned


class SheetTitles:
    """`Orders`, `Orders (2)`, …: as Excel allows them, and none of them twice."""

    def __init__(self, title: str, *, taken: str) -> None:
        self._title = sheet_title(title)
        self._count = 0
        if self._title.casefold() == taken.casefold():
            raise ValueError(f"two sheets cannot both be called {taken!r}")

    def next(self) -> str:
        self._count += 1
        suffix = f" ({self._count})" if self._count > 1 else ""
        return self._title[: _TITLE_MAX - len(suffix)] + suffix


def sheet_start(widths: Sequence[float]) -> str:
    """Everything before a sheet's first row: the frozen header and the widths."""
    columns = "".join(
        f'<col min="{place}" max="{place}" width="{width:g}" customWidth="1"/>'
        for place, width in enumerate(widths, start=1)
    )
    return (
        f'{_DECLARED}<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" '
        'state="frozen"/><selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData>'
    )


def sheet_end(sheet: Sheet) -> str:
    """Everything after the last row: the filter, how it prints, and no green corners on digits that are text."""
    return (
        f'</sheetData><autoFilter ref="{sheet.filtered}"/>'
        '<pageMargins left="0.4" right="0.4" top="0.5" bottom="0.5" header="0.3" footer="0.3"/>'
        '<pageSetup paperSize="9" orientation="landscape" fitToHeight="0"/>'
        f'<ignoredErrors><ignoredError sqref="{sheet.filtered}" numberStoredAsText="1"/></ignoredErrors></worksheet>'
    )


def about_sheet(lines: Sequence[tuple[str, str]], cells: Cells) -> str:
    """What the file is, in two columns; labels and values are text whatever they look like."""
    rows = "".join(
        f'<row r="{at}">{cells.careful_text(f"A{at}", label, Style.ABOUT_LABEL)}'
        f"{cells.careful_text(f'B{at}', value, Style.ABOUT_TEXT)}</row>"
        for at, (label, value) in enumerate(lines, start=1)
    )
    return (
        f'{_DECLARED}<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        '<sheetViews><sheetView showGridLines="0" tabSelected="1" '
        'workbookViewId="0"/></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>'
        '<col min="1" max="1" width="32" customWidth="1"/><col min="2" max="2" width="80" customWidth="1"/></cols>'
        f'<sheetData>{rows}</sheetData><pageSetup paperSize="9" fitToHeight="0"/></worksheet>'
    )


def workbook(about_title: str, sheets: Sequence[Sheet]) -> str:
    """The list of sheets, and the names by which Excel knows their filters and the header row to repeat in print."""
    titles = [about_title, *(sheet.title for sheet in sheets)]
    listed = "".join(
        f'<sheet name={quoteattr(title)} sheetId="{at}" r:id="rId{at}"/>'
        for at, title in enumerate(titles, start=1)
    )
    filters, headers = [], []
    for at, sheet in enumerate(sheets, start=1):
        quoted = "'" + sheet.title.replace("'", "''").replace("&", "&amp;").replace("<", "&lt;") + "'"
        last = column_letters(sheet.columns - 1)
        filters.append(
            f'<definedName name="_xlnm._FilterDatabase" localSheetId="{at}" hidden="1">'
            f"{quoted}!$A$1:${last}${sheet.rows}</definedName>"
        )
        headers.append(
            f'<definedName name="_xlnm.Print_Titles" localSheetId="{at}">{quoted}!$1:$1</definedName>'
        )
    return (
        f'{_DECLARED}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><bookViews><workbookView activeTab="0"/>'
        f"</bookViews><sheets>{listed}</sheets><definedNames>{''.join(filters + headers)}</definedNames></workbook>"
    )


def workbook_relations(sheets: int) -> str:
    related = "".join(
        f'<Relationship Id="rId{at}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, sheets + 1)
    )
    return (
        f'{_DECLARED}<Relationships xmlns="{_PACKAGE}/relationships">{related}'
        f'<Relationship Id="rId{sheets + 1}" Type="{_RELATIONS}/styles" Target="styles.xml"/></Relationships>'
    )


def content_types(sheets: int) -> str:
    listed = "".join(
        f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{_TYPES}.worksheet+xml"/>'
        for at in range(1, sheets + 1)
    )
    return (
        f'{_DECLARED}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>{listed}'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/></Types>'
    )
