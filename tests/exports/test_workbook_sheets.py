"""The workbook as a whole: its sheets, what frames them, and that equal rows make equal bytes (spec: exports.md)."""

from __future__ import annotations

import io
import secrets
import tracemalloc
import zipfile
from datetime import UTC, date, datetime
from itertools import repeat

import pytest

from domain.errors import ErrorCode, TeikiError
from exports import package
from exports.encryption import EncryptedSink
from exports.workbook import About, Column, ColumnKind, WorkbookWriter
from tests.exports.made import TEXT_ONLY, TOKYO, encrypted, opened, workbook

MIXED = [
    Column("id", "Subscription"),
    Column("name", "お名前"),
    Column("amount", "Amount", ColumnKind.MONEY),
    Column("at", "Created", ColumnKind.INSTANT),
    Column("ends", "Ends", ColumnKind.DATE),
    Column("count", "Payments", ColumnKind.INTEGER),
    Column("note", "Note", width=25),
]
AT = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)


def mixed(rows):
    for place in range(rows):
        yield (f"sub_{place:026d}", "会員 見本", (place, "JPY"), AT, date(2026, 1, 1), place, None)


def test_the_first_sheet_says_what_the_file_is():
    about = [("Filter", "=everything"), ("Requested by", "operator\x01"), ("Rows", "2")]
    book = opened(workbook(mixed(2), columns=MIXED, about=about))
    assert book.sheetnames == ["About", "Orders"]
    assert list(book["About"].iter_rows(values_only=True)) == [
        ("Filter", "=everything"),
        ("Requested by", "operator\ufffd"),
        ("Rows", "2"),
    ]


def test_lines_about_the_file_may_be_added_until_it_is_closed():
    file, lines = io.BytesIO(), [("Filter", "none")]
    writer = WorkbookWriter(file, columns=TEXT_ONLY, about=About(lines), sheet_title="Orders", zone=TOKYO)
    writer.write_rows([("a",), ("b",)])
    lines.append(("Rows", str(writer.rows_written)))
    writer.close()
    assert opened(file.getvalue())["About"]["B2"].value == "2"


def test_the_header_is_frozen_filterable_and_bold():
    sheet = opened(workbook(mixed(3), columns=MIXED))["Orders"]
    assert [cell.value for cell in sheet[1]] == [column.title for column in MIXED]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:G4"
    assert sheet.print_title_rows == "$1:$1"
    assert all(cell.font.bold for cell in sheet[1])


def test_columns_are_as_wide_as_what_they_show():
    sheet = opened(workbook(mixed(3), columns=MIXED))["Orders"]
    widths = {
        MIXED[ord(letter) - ord("A")].key: size.width for letter, size in sheet.column_dimensions.items()
    }
    assert widths["id"] >= 30
    assert 9 <= widths["name"] <= 14  # five signs, full-width all but one
    assert 19 <= widths["at"] <= 22
    assert widths["note"] == 25
    assert opened(workbook([("x" * 500,)]))["Orders"].column_dimensions["A"].width == 60


def test_an_export_without_rows_is_a_header_with_its_filter():
    sheet = opened(workbook([], columns=MIXED))["Orders"]
    assert (sheet.max_row, sheet.auto_filter.ref, sheet.freeze_panes) == (1, "A1:G1", "A2")


@pytest.mark.parametrize(("rows", "sheets"), [(1, 1), (9, 1), (10, 2), (18, 2), (19, 3)])
def test_more_rows_than_a_sheet_holds_go_to_further_sheets(rows, sheets):
    book = opened(workbook(mixed(rows), columns=MIXED, rows_per_sheet=10))
    assert book.sheetnames == ["About", "Orders", "Orders (2)", "Orders (3)"][: sheets + 1]
    read = []
    for sheet in book.worksheets[1:]:
        assert [cell.value for cell in sheet[1]] == [column.title for column in MIXED]
        assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", f"A1:G{sheet.max_row}")
        assert sheet.column_dimensions["A"].width >= 30
        assert sheet.max_row <= 10
        read += [row[5] for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert read == list(range(rows))


def test_the_split_falls_where_it_must_when_batches_and_sheets_end_apart():
    rows = [(f"row {place}",) for place in range(12_345)]
    book = opened(workbook(rows, rows_per_sheet=5_001))
    assert [sheet.max_row for sheet in book.worksheets[1:]] == [5_001, 5_001, 2_346]
    assert [
        row for sheet in book.worksheets[1:] for row in sheet.iter_rows(min_row=2, values_only=True)
    ] == rows


def test_a_sheet_of_very_long_texts_ends_before_its_part_is_too_large_for_the_package():
    rows = [(f"{place} {'long' * 500}",) for place in range(6_000)]
    book = opened(workbook(rows, bytes_per_sheet=10_000_000))
    assert len(book.worksheets) == 3
    assert [
        row for sheet in book.worksheets[1:] for row in sheet.iter_rows(min_row=2, values_only=True)
    ] == rows


def test_rows_may_come_in_pieces_of_any_size():
    whole = workbook(mixed(700), columns=MIXED)
    file = io.BytesIO()
    writer = WorkbookWriter(
        file, columns=MIXED, about=About([("Filter", "none")]), sheet_title="Orders", zone=TOKYO
    )
    rows = mixed(700)
    for size in (500, 1, 0, 199):
        writer.write_rows([next(rows) for _ in range(size)])
    writer.close()
    read, expected = (list(opened(data)["Orders"].values) for data in (file.getvalue(), whole))
    assert read == expected


def test_the_same_rows_make_the_same_bytes():
    assert workbook(mixed(500), columns=MIXED) == workbook(mixed(500), columns=MIXED)


@pytest.mark.parametrize("row", [("too", "few"), tuple(range(8))])
def test_a_row_that_does_not_fit_the_columns_is_refused(row):
    with pytest.raises(ValueError, match="needs 7 cells"):
        workbook([row], columns=MIXED)


@pytest.mark.parametrize("title", ["", "[]", "'", "About", "a\x00b"])
def test_a_sheet_needs_a_title_of_its_own(title):
    with pytest.raises(ValueError, match=r"title|called"):
        workbook([], sheet_title=title)


def test_titles_are_made_as_excel_allows_them():
    book = opened(
        workbook([("a",)] * 3, sheet_title="Orders: Q1/Q2 <all> & nobody's own long title", rows_per_sheet=3)
    )
    first, second = book.sheetnames[1:]
    assert (first, second) == ("Orders  Q1 Q2 <all> & nobody's ", "Orders  Q1 Q2 <all> & nobod (2)")
    assert [book[title].print_title_rows for title in (first, second)] == ["$1:$1"] * 2


def test_the_zip_is_sound_and_is_known_as_a_workbook_by_its_first_parts():
    data = workbook(mixed(500), columns=MIXED)
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert parts.testzip() is None
        names = parts.namelist()
        assert {info.date_time for info in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names[0] == "_rels/.rels"
    assert names[-1] == "[Content_Types].xml"
    assert sorted(names) == sorted(set(names))


class OnlyWrites:
    """A sink that cannot seek, tell or be read: a socket, for what the writer knows."""

    def __init__(self):
        self.pieces = []

    def write(self, data):
        self.pieces.append(bytes(data))
        return len(data)


def test_the_writer_only_ever_writes():
    sink = OnlyWrites()
    writer = WorkbookWriter(
        sink, columns=MIXED, about=About([("Filter", "none")]), sheet_title="Orders", zone=TOKYO
    )
    writer.write_rows(mixed(500))
    assert sum(map(len, sink.pieces)) > 0
    writer.close()
    assert b"".join(sink.pieces) == workbook(mixed(500), columns=MIXED)


def test_a_workbook_that_excel_could_not_open_for_its_size_is_refused():
    sink = OnlyWrites()
    made = package.Package(sink, at_most=1_000)
    made.open("part.xml")
    made.write(secrets.token_bytes(10_000))
    with pytest.raises(TeikiError) as refused:
        made.close()
    assert refused.value.code is ErrorCode.EXPORT_TOO_LARGE
    assert sum(map(len, sink.pieces)) <= 1_000


class Counts:
    """Keeps nothing but the number of bytes."""

    def __init__(self):
        self.size = 0

    def write(self, data):
        self.size += len(data)
        return len(data)

    def readable(self):
        return True

    seekable = readable

    def seek(self, _at):
        return 0

    def read(self, size):
        return bytes(size)


def bytes_held(rows, *, password):
    """The most bytes that Python objects took while so many rows were written."""
    tracemalloc.start()
    try:
        target = Counts()
        sink = EncryptedSink(target, "password") if password else target
        writer = WorkbookWriter(sink, columns=MIXED, about=About([]), sheet_title="Orders", zone=TOKYO)
        row = next(mixed(1))
        writer.write_rows(repeat(row, rows))
        writer.close()
        if password:
            sink.close()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("password", [False, True])
def test_memory_does_not_grow_with_the_rows(password):
    bytes_held(100, password=password)  # what is made once and kept
    few, many = (bytes_held(rows, password=password) for rows in (5_000, 25_000))
    assert many < few + 100_000
    assert many < 10 * 2**20


def test_encrypted_files_differ_though_their_content_does_not():
    data = workbook(mixed(10), columns=MIXED)
    assert encrypted(data, "password") != encrypted(data, "password")
