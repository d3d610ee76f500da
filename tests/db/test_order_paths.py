"""A page of orders goes through indexes, whatever is asked, and a number's beginning tells the days to look at."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from db.engine import Database
from db.reads.cursor import encode_cursor
from db.reads.order_numbers import days_of, tells_only_a_day
from db.reads.orders import OrderFilter, list_orders
from domain.billing_calendar import UTC, parse_zone
from tests.db.order_crowd import START, pour

BIG = {"orders", "customers"}
LONG_AGO = datetime.fromisoformat("0003-01-01")
FAR_AHEAD = datetime.fromisoformat("9000-01-01")


@pytest.fixture(scope="module")
async def town(cluster, template):
    url = cluster.create(template=template)
    database = Database.connect(url, pool_size=2)
    await pour(database, 20_000, people=12_000, days=300)
    yield database
    await database.close()
    cluster.drop(url)


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"number": "20260110-0000171"},
        {"number": "202601"},
        {"created_from": START + timedelta(days=50), "created_to": START + timedelta(days=60)},
        {"product_type": ["ticket"]},
        {"product_id": "prd_1"},
        {"status": ["canceled"], "product_type": ["ticket"], "pay": ["konbini"], "has_notes": True},
        {"product_id": "prd_1", "status": ["canceled"]},
        {"customer_email": "azur7@example.com"},
        {"customer_id": "cus_000007", "status": ["canceled"]},
        {"has_notes": False},
        {"text": "nobody"},
        {"text": "bord12"},
        {"text": "live"},
        {"text": "a"},
        {"text": "a", "status": ["canceled"]},
        {"text": "a", "product_id": "prd_1"},
        {"text": "2026"},
        {"text": "b", "has_notes": True},
        {"text": "azur", "customer_email": "azur7@example.com"},
        {"number": "20260110-", "pay": ["card"]},
    ],
    ids=str,
)
async def test_no_page_of_orders_scans_a_big_table(town: Database, chosen):
    heard = []

    def hear(_, __, statement, parameters, *___):
        heard.append((statement, parameters))

    event.listen(town.engine.sync_engine, "before_cursor_execute", hear)
    try:
        cursor = encode_cursor(START + timedelta(days=290), "ord_0")
        await list_orders(town, OrderFilter.model_validate(chosen), cursor)
    finally:
        event.remove(town.engine.sync_engine, "before_cursor_execute", hear)
    async with town.reading() as connection:
        for statement, parameters in heard:
            if "set_config" in statement:
                await connection.exec_driver_sql(statement)
                continue
            explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            (plan,) = explained.scalar_one()
            scanned = {n["Relation Name"] for n in nodes(plan["Plan"]) if n["Node Type"] == "Seq Scan"}
            assert not scanned & BIG, (statement, plan)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def day(year, month, date):
    return datetime(year, month, date, tzinfo=parse_zone("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("beginning", "first", "end"),
    [
        ("2", day(2000, 1, 1), day(3000, 1, 1)),
        ("2026", day(2026, 1, 1), day(2027, 1, 1)),
        ("20261", day(2026, 10, 1), day(2027, 1, 1)),
        ("202602", day(2026, 2, 1), day(2026, 3, 1)),
        ("2026022", day(2026, 2, 20), day(2026, 3, 1)),
        ("20260105-00", day(2026, 1, 5), day(2026, 1, 6)),
    ],
)
def test_a_beginning_tells_its_days(beginning, first, end):
    assert days_of(beginning) == (first, end)


@pytest.mark.parametrize(
    "beginning", ["202613", "20260230", "0000", "20269", "n-17", "２０２６", "2026-", "%", "2026_"]
)
def test_a_day_that_does_not_exist_has_no_orders(beginning):
    assert days_of(beginning) is None


def test_only_the_beginning_of_a_day_is_told_by_its_days_alone():
    assert tells_only_a_day("20260105")
    assert not tells_only_a_day("20260105-")


@given(st.datetimes(LONG_AGO, FAR_AHEAD, timezones=st.just(UTC)), st.integers(1, 8))
def test_an_order_is_placed_within_the_days_that_its_number_tells(at, length):
    number = f"{at.astimezone(parse_zone('Asia/Tokyo')).date():%Y%m%d}".rjust(8, "0")
    days = days_of(number[:length])
    assert days is not None
    first, end = days
    assert first <= at < end
