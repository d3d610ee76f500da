"""The benchmark of exports compares like with like (quality: the same cells)."""

from __future__ import annotations

import json
from datetime import datetime

import openpyxl
import pytest

from bench import exports as bench
from bench.export_rows import COLUMNS, mixed


@pytest.fixture
def sheets(tmp_path):
    """The rows as each writer left them; a text that is empty is a cell that is."""
    read = {}
    for arm in ("plain", "xlsxwriter"):
        path = tmp_path / f"{arm}.xlsx"
        bench.ARMS[arm](mixed(500), path)
        sheet = openpyxl.load_workbook(path)["Subscriptions"]
        read[arm] = list(sheet.iter_rows(min_row=2, max_col=len(COLUMNS), values_only=True))
    return read


def test_the_peer_writes_the_same_cells(sheets):
    assert len(sheets["plain"]) == 500
    assert sheets["plain"] == sheets["xlsxwriter"]


def test_the_rows_are_mixed():
    rows = list(mixed(1_000))
    kinds = {type(value) for row in rows for value in row}
    assert {str, int, bool, tuple, datetime, type(None)} <= kinds
    assert {row[8] for row in rows} == {"JPY", "USD", "BHD"}
    assert len({row[2] for row in rows}) == len(rows)


def test_an_arm_says_what_it_took():
    measured = bench.run_arm("encrypted", 100, bench.named(bench.MIXED))
    assert measured.peak_mib > 10
    assert measured.seconds > 0


def test_the_last_line_is_what_the_bar_is_about():
    mine, peer = bench.Measured(2.0, 2.0, 60.0, 1.0), bench.Measured(11.0, 12.0, 50.0, 1.0)
    assert json.loads(bench.as_json(1_000_000, [mine], [peer], encrypted=True)) == {
        "rows": 1_000_000,
        "seconds": 2.0,
        "xlsxwriter_seconds": 11.0,
        "ratio": 5.5,
        "cpu_ratio": 6.0,
        "peak_mib": 60.0,
        "pairs": 1,
        "encrypted": True,
    }
