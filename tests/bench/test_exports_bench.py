"""The benchmark of exports compares like with like (quality: the same cells), from Postgres and from memory."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from datetime import datetime

import openpyxl
import pytest
from rich.console import Console

from bench import exports as bench
from bench.export_arms import Memory, Postgres, run
from bench.export_rows import COLUMNS, mixed
from bench.export_shop import SHEET, shops

MIXED = "bench.export_rows:mixed"
ORDERS = 500


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[Postgres]:
    """A small shop, poured in as the benchmark pours its own."""
    async with shops() as poured:
        yield Postgres(await poured.filled(ORDERS, lambda _: None))


def rows_of(path, title):
    sheet = openpyxl.load_workbook(path)[title]
    return list(sheet.iter_rows(min_row=2, max_col=20, values_only=True))


def test_the_peer_writes_the_same_cells_from_memory(tmp_path):
    mine, peers = [
        rows_of(run(arm, Memory.named(MIXED, 500), tmp_path), SHEET.en) for arm in ("plain", "xlsxwriter")
    ]
    assert len(mine) == 500
    assert mine == peers


def test_the_peer_writes_the_same_cells_from_postgres(postgres, tmp_path):
    told = []
    source = Postgres(postgres.url, told.append)
    mine, peers = [rows_of(run(arm, source, tmp_path), SHEET.en) for arm in ("plain", "xlsxwriter")]
    assert len(mine) == ORDERS
    assert mine == peers
    assert {type(value) for row in mine for value in row} >= {str, int, datetime, type(None)}
    assert told[-1] == ORDERS


def test_the_sheet_has_twenty_columns():
    assert len(SHEET.columns) == len(COLUMNS) == 20


def test_the_rows_are_mixed():
    rows = list(mixed(1_000))
    kinds = {type(value) for row in rows for value in row}
    assert {str, int, bool, tuple, datetime, type(None)} <= kinds
    assert {row[8] for row in rows} == {"JPY", "USD", "BHD"}
    assert len({row[2] for row in rows}) == len(rows)


def test_an_arm_says_what_it_took(postgres):
    for source in (Memory.named(MIXED, 100), postgres):
        measured = bench.run_arm("encrypted", source)
        assert measured.peak_mib > 10
        assert measured.seconds > 0


def test_the_last_line_is_what_the_bar_is_about(capsys):
    results = {
        "rows": [bench.Measured(1.0, 1.0, 40.0, 0.0)],
        "plain": [bench.Measured(1.5, 1.5, 60.0, 1.0)],
        "encrypted": [bench.Measured(2.0, 2.0, 60.0, 1.0)],
        "xlsxwriter": [bench.Measured(11.0, 12.0, 50.0, 1.0)],
    }
    told = io.StringIO()
    bench.report(Console(file=told, width=120), 1_000_000, results)
    assert "≥ 5 × XlsxWriter met" in told.getvalue()
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "rows": 1_000_000,
        "seconds": 2.0,
        "xlsxwriter_seconds": 11.0,
        "ratio": 5.5,
        "ratio_cells": 5.0,
        "cpu_ratio": 6.0,
        "peak_mib": 60.0,
        "pairs": 1,
        "encrypted": True,
    }
