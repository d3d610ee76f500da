"""The sheets of orders and permissions: the lists' filters, the lists' rows, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import Database
from db.reads.orders import OrderFilter, list_orders
from db.reads.permissions import PermissionFilter, list_permissions
from domain.exports import ExportStatus
from tests.activities.office import Office
from tests.db.house import House
from tests.db.order_crowd import pour


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> Office:
    await pour(db, 60, people=6, days=20)
    return Office(db, House(db), tmp_path / "exports")


async def test_orders_are_the_lists_and_so_are_permissions(office):
    for wanted in ({}, {"status": ["complete", "canceled"]}, {"has_notes": True}, {"text": "a"}):
        order = await office.creating(kind="orders", filter=wanted)
        rows = office.rows(await office.write(order))
        page = await list_orders(office.db, OrderFilter.model_validate(wanted), limit=200)
        assert page.next_cursor is None
        assert [row["Order no."] for row in rows] == [item.number for item in page.items]
        assert [row["E-mail"] or "" for row in rows] == [item.customer_email for item in page.items]
        assert [row["Options"] or "" for row in rows] == [", ".join(item.options) for item in page.items]
        await office.over(order, ExportStatus.FAILED)
    for wanted in ({}, {"status": ["active"]}):
        order = await office.creating(kind="permissions", filter=wanted)
        rows = office.rows(await office.write(order))
        page = await list_permissions(office.db, PermissionFilter.model_validate(wanted), limit=200)
        assert page.items
        assert [row["Permission"] for row in rows] == [item.id for item in page.items]
        assert all(row["Identification"] for row in rows), 'nothing collected is "-"'
        await office.over(order, ExportStatus.FAILED)
