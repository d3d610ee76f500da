"""Every kind of cell is read back exactly, and whatever a customer typed stays that text (spec: exports.md)."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import ErrorCode, TeikiError
from exports.cells import CELL_MAX, CUT_MARK, column_letters
from exports.workbook import Column, ColumnKind
from tests.exports.made import as_shown, cells_of, opened, texts_of, workbook

NOON = datetime(2026, 3, 31, 12, 0, 1, tzinfo=UTC)


def values_of(kind, values, **options):
    return [cell.value for cell in cells_of(kind, values, **options)]


@pytest.mark.parametrize("companion", ["plain", "+1", "a & b", " edge", "ctrl\x01"])
@pytest.mark.parametrize(
    "text",
    [
        "plain", "=1+1", '=HYPERLINK("x")', "+81-90", "-500", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'quoted",
        "＝1", " leading", "trailing ", "  ", "two\nlines", "windows\r\nlines", "tab\tinside", "<b>&amp;</b>", "]]>",
        "a|b", "a|=b", "| ", " |", "_x0041_", "_x0041_x0042_", "_x005F_", "x_x00", "__x0041__", "😀👨\u200d👩\u200d👧",
        "שלום עולם", "\u202eright", "お客　様", "0012", "1e5", "TRUE", "#REF!", "2026-01-01", "\x7f", "\x85",
        "\u2028", "\u3000",
    ],
)  # fmt: skip
def test_a_text_is_read_back_as_it_was(text, companion):
    # Texts of a column are looked at together, so each stands beside others that need another kind of care.
    assert texts_of([text, companion, None, text])[0::3] == [text, text]


@pytest.mark.parametrize("text", [" a", "a ", "a\nb", "\ta"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_white_space_that_readers_drop_is_marked_to_be_kept(text, place):
    texts = ["plain", "words in between"]
    texts.insert(place, text)
    with zipfile.ZipFile(io.BytesIO(workbook([(text,) for text in texts]))) as parts:
        sheet = parts.read("xl/worksheets/sheet2.xml").decode()
    cell = sheet[sheet.index(f'<c r="A{place + 2}"') :]
    assert f'<t xml:space="preserve">{text}</t>' in cell[: cell.index("</c>")]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=12) | st.none(), min_size=1, max_size=6))
def test_any_text_is_read_back_as_it_was_but_for_what_xml_forbids(texts):
    forbidden = {*map(chr, range(32)), *map(chr, range(0xD800, 0xE000)), "\ufffe", "\uffff"} - set("\t\n\r")
    expected = [text and "".join("\ufffd" if sign in forbidden else sign for sign in text) for text in texts]
    assert texts_of(texts) == expected


def test_an_empty_text_is_an_empty_text_and_none_an_empty_cell():
    empty, none = cells_of(ColumnKind.TEXT, ["", None])
    assert (empty.data_type, empty.value or "") == ("s", "")
    assert (none.data_type, none.value) == ("n", None)


@pytest.mark.parametrize(
    "text",
    [
        "=1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r1",
        "\n1",
        "\x00=1",
        "\x1b",
        " =1",
        "\u3000=1",
        "＝1",
        "＋",
        "－",
        "＠",
        "'=",
    ],
)
def test_what_may_become_a_formula_carries_excels_own_apostrophe(text):
    cells = cells_of(ColumnKind.TEXT, ["innocent", text, "a=1"])
    assert [(cell.data_type, cell.quotePrefix, cell.number_format) for cell in cells] == [
        ("s", False, "@"),
        ("s", True, "@"),
        ("s", False, "@"),
    ]


@pytest.mark.parametrize("sign", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_forbids_is_replaced(sign):
    assert texts_of([f"a{sign}b", "beside"]) == ["a\ufffdb", "beside"]


@pytest.mark.parametrize(
    "text", ["x" * 40_000, "😀" * 20_000, "x" + "😀" * 20_000, "山" * 32_768, "&" * 40_000]
)
def test_a_text_longer_than_a_cell_is_cut_visibly_and_counted(text):
    data = workbook([(text,), ("short",)])
    cut = opened(data)["Orders"]["A2"].value
    assert cut.endswith(CUT_MARK)
    assert text.startswith(cut.removesuffix(CUT_MARK))
    assert CELL_MAX - 1 <= len(cut.encode("utf-16-le")) // 2 <= CELL_MAX
    assert [row[1].value for row in opened(data)["About"].iter_rows()][-1] == "1"


@pytest.mark.parametrize("text", ["x" * CELL_MAX, "😀" * (CELL_MAX // 2), "_x0041_" * 4_681])
def test_a_text_that_just_fits_is_whole(text):
    data = workbook([(text,)])
    assert as_shown(opened(data)["Orders"]["A2"].value) == text
    assert opened(data)["About"].max_row == 1


@pytest.mark.parametrize(
    ("minor", "currency", "value", "number_format"),
    [
        (1000, "JPY", 1000, "#,##0"),
        (-1000, "JPY", -1000, "#,##0"),
        (1005, "USD", 10.05, "#,##0.00"),
        (1, "USD", 0.01, "#,##0.00"),
        (-1, "USD", -0.01, "#,##0.00"),
        (0, "EUR", 0, "#,##0.00"),
        (1005, "BHD", 1.005, "#,##0.000"),
        (1, "CLF", 0.0001, "#,##0.0000"),
        (10**15, "JPY", 10**15, "#,##0"),
        (999_999_999_999_999, "USD", 9_999_999_999_999.99, "#,##0.00"),
    ],
)
def test_an_amount_is_a_number_with_its_currencys_decimals(minor, currency, value, number_format):
    alone, with_empty = (
        cells_of(ColumnKind.MONEY, values)[0] for values in ([(minor, currency)], [(minor, currency), None])
    )
    for cell in (alone, with_empty):
        assert (cell.data_type, cell.value) == ("n", value)
        assert cell.number_format == f'{number_format}\\ "{currency}"'


def test_amounts_leave_the_currency_out_where_a_column_names_it():
    columns = [Column("currency", "Currency"), Column("amount", "Amount", ColumnKind.MONEY)]
    rows = [("JPY", 1000), ("USD", 1005), ("BHD", None), ("USD", (7, "JPY"))]
    sheet = opened(workbook(rows, columns=columns, currency_column="currency"))["Orders"]
    assert [(cell.value, cell.number_format) for cell in sheet["B"][1:]] == [
        (1000, "#,##0"),
        (10.05, "#,##0.00"),
        (None, "General"),
        (7, "#,##0"),
    ]


def test_instants_are_dates_in_the_workbooks_zone_to_the_second():
    new_york = ZoneInfo("America/New_York")
    instants = [
        NOON,
        NOON + timedelta(milliseconds=999),
        NOON.astimezone(timezone(timedelta(hours=-3))),
        None,
    ]
    assert values_of(ColumnKind.INSTANT, instants) == [*[datetime(2026, 3, 31, 21, 0, 1)] * 3, None]  # noqa: DTZ001
    assert values_of(ColumnKind.INSTANT, [NOON], zone=new_york) == [datetime(2026, 3, 31, 8, 0, 1)]  # noqa: DTZ001
    assert cells_of(ColumnKind.INSTANT, [NOON])[0].number_format == "yyyy-mm-dd hh:mm:ss"


def test_every_second_of_a_day_is_read_back_exactly():
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    seconds = [midnight + timedelta(seconds=second) for second in range(0, 86_400, 7)]
    read = values_of(ColumnKind.INSTANT, seconds, zone=ZoneInfo("UTC"))
    assert [value.replace(tzinfo=UTC) for value in read] == seconds


def test_an_hour_that_comes_twice_or_never_is_shown_as_the_clock_on_the_wall():
    berlin = ZoneInfo("Europe/Berlin")
    hours = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]
    assert [value.hour for value in values_of(ColumnKind.INSTANT, hours, zone=berlin)] == [2, 2, 3]
    assert [value.hour for value in values_of(ColumnKind.INSTANT, [*hours, None], zone=berlin)[:3]] == [
        2,
        2,
        3,
    ]


def test_dates_are_dates():
    cells = cells_of(
        ColumnKind.DATE, [date(2026, 2, 28), datetime(2026, 2, 28, 23, 0, tzinfo=UTC), date(1900, 3, 1)]
    )
    assert [cell.value.date() for cell in cells] == [date(2026, 2, 28), date(2026, 3, 1), date(1900, 3, 1)]
    assert cells[0].number_format == "yyyy-mm-dd"


def test_whole_numbers_and_yes_or_no_are_what_they_are():
    assert values_of(ColumnKind.INTEGER, [0, -7, 10**15 - 1, None]) == [0, -7, 10**15 - 1, None]
    assert values_of(ColumnKind.BOOLEAN, [True, False, None]) == [True, False, None]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (ColumnKind.INTEGER, 10**15, "1000000000000000"),
        (ColumnKind.INTEGER, Decimal("NaN"), "NaN"),
        (ColumnKind.INTEGER, "=1", "=1"),
        (ColumnKind.BOOLEAN, "yes", "yes"),
        (ColumnKind.MONEY, (5, "XXX"), "5 minor units of XXX"),
        (ColumnKind.MONEY, (1.5, "JPY"), "1.5 minor units of JPY"),
        (ColumnKind.MONEY, (10**15 + 1, "JPY"), "1000000000000001 minor units of JPY"),
        (ColumnKind.MONEY, 7, "7 minor units of None"),
        (ColumnKind.INSTANT, "soon", "soon"),
        (ColumnKind.INSTANT, datetime(1899, 1, 1, tzinfo=UTC), "1899-01-01T00:00:00+00:00"),
        (ColumnKind.INSTANT, datetime(9999, 12, 31, 23, 0, tzinfo=UTC), "9999-12-31T23:00:00+00:00"),
        (ColumnKind.DATE, date(1900, 2, 28), "1900-02-28"),
        (ColumnKind.DATE, "tomorrow", "tomorrow"),
        (ColumnKind.TEXT, 42, "42"),
    ],
)
def test_what_does_not_fit_its_column_is_written_as_text_and_costs_no_other_row(kind, value, text):
    good = {
        ColumnKind.TEXT: "a", ColumnKind.INTEGER: 1, ColumnKind.MONEY: (1, "JPY"), ColumnKind.INSTANT: NOON,
        ColumnKind.DATE: NOON.date(), ColumnKind.BOOLEAN: True,
    }[kind]  # fmt: skip
    odd, beside = cells_of(kind, [value, good])
    assert (odd.data_type, odd.value) == ("s", text)
    assert beside.data_type == cells_of(kind, [good])[0].data_type


@pytest.mark.parametrize("kind", [ColumnKind.INSTANT, ColumnKind.DATE])
def test_an_instant_without_offset_is_refused(kind):
    with pytest.raises(TeikiError) as refused:
        workbook([(NOON.replace(tzinfo=None),)], columns=[Column("at", "At", kind)])
    assert refused.value.code is ErrorCode.INVALID_INSTANT


def test_columns_are_lettered_as_in_excel():
    assert [column_letters(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
    ]
