"""`teiki export` and `teiki payment` against a laboratory: asked for, written, taken, and nobody else's."""

from __future__ import annotations

import io

import openpyxl
import pytest

from tests.cli.conftest import Ran


@pytest.fixture
async def subscribed(teiki_in_lab) -> str:
    """Somebody who pays; the subscription's id."""
    customer = (await teiki_in_lab("customer", "put", "--email", "=cmd@example.com", "--json")).document["id"]
    product = (await teiki_in_lab("product", "put", "--name", "ライブ配信", "--json")).document["id"]
    terms = ("--period", "monthly", "--amount", "1000", "--currency", "JPY", "--token", "tok_ok")
    who = ("--customer", customer, "--product", product)
    made = await teiki_in_lab("subscription", "create", *who, *terms, "--json")
    assert made.status == 0, made.err
    return made.document["id"]


def sheets(content: bytes) -> list[list[tuple]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows(values_only=True)) for sheet in book]


async def test_what_is_asked_for_is_written_and_saved(teiki_in_lab, subscribed, tmp_path):
    ran: Ran = await teiki_in_lab(
        *("export", "request", "subscriptions", "--language", "en"),
        *("--filter", "status=current", "--output", str(tmp_path), "--json"),
    )
    assert ran.status == 0, ran.err
    assert ran.document["status"] == "ready"
    assert ran.document["encrypted"] is False
    file = tmp_path / ran.document["file"].rpartition("/")[2]
    assert file.stat().st_mode & 0o777 == 0o600
    about, rows = sheets(file.read_bytes())
    assert rows[0][0] == "Subscription"
    assert subscribed in {row[0] for row in rows[1:]}
    assert len(rows) - 1 == ran.document["rows"]
    assert ("Requested by", "operator:desk-1") in {row[:2] for row in about}
