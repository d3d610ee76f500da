"""The rows of an export: those of the list, as they were when they were asked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Text, case, cast, func, select

from db.engine import Database
from db.reads.payments import PaymentFilter, list_payments
from db.reads.subscriptions import SubscriptionFilter, list_subscriptions
from db.snapshot import snapshot
from domain.exports import ExportStatus
from tests.activities.office import Office, now
from tests.db.house import House


@pytest.fixture
def office(db: Database, house: House, tmp_path: Path) -> Office:
    return Office(db, house, tmp_path / "exports")


async def test_the_rows_are_the_lists(office):
    tenant = await office.house.tenant(email="rows@example.com", name="行")
    paying = await office.house.subscription(tenant, metadata={"color": "red"})
    await office.house.settled(paying)
    failing = await office.house.subscription(tenant)
    await office.house.begin(failing)
    for wanted in (
        {},
        {"status": ["current", "unverified"]},
        {"customer_email": "ROWS@example.com"},
        {"metadata": {"color": "red"}},
        {"text": "rows@", "created_to": now().isoformat(), "has_unknown_payment": "false"},
        {"card_brand": "visa", "card_last_four": "4242", "cancel_scheduled": False},
    ):
        order = await office.creating(filter=wanted)
        written = await office.write(order)
        page = await list_subscriptions(office.db, SubscriptionFilter.model_validate(wanted), limit=200)
        assert page.next_cursor is None
        assert [row["Subscription"] for row in office.rows(written)] == [item.id for item in page.items]
        await office.over(order, ExportStatus.FAILED)


async def test_payments_are_the_lists_with_their_last_attempt(office):
    order = await office.house.subscription(await office.house.tenant(email="pay@example.com"))
    await office.house.settled(order, 1)
    await office.house.begin(order, 2)
    wanted = {"customer_email": "pay@example.com"}
    request = await office.creating(kind="payments", filter=wanted)
    rows = office.rows(await office.write(request))
    page = await list_payments(office.db, PaymentFilter.model_validate(wanted))
    assert [(row["Subscription or order"], row["Payment"]) for row in rows] == [
        (item.object_id, item.number) for item in page.items
    ]
    collecting, settled = rows
    assert (settled["State"], settled["Amount"], settled["Currency"]) == ("settled", 1000, "JPY")
    assert settled["Settled at"].isoformat() == "2026-02-01T07:00:01", "in Tokyo"
    assert (collecting["State"], collecting["Last attempt"], collecting["Attempts"]) == (
        "collecting",
        "sent",
        1,
    )
    assert [item.attempts for item in page.items] == [1, 1]


async def test_what_is_entered_after_the_request_is_not_in_the_file(office):
    tenant = await office.house.tenant()
    first = await office.house.subscription(tenant)
    await office.house.begin(first)
    for kind, column in (("subscriptions", "Subscription"), ("payments", "Subscription or order")):
        request = await office.creating(kind=kind, filter={"customer_id": tenant.customer_id})
        later = await office.house.subscription(tenant, at=now())
        await office.house.begin(later, at=now())
        rows = office.rows(await office.write(request))
        assert later.subscription_id not in {row[column] for row in rows}
        assert first.subscription_id in {row[column] for row in rows}


def test_a_reader_that_takes_no_more_ends_what_is_fetched_ahead(db: Database):
    many = select(func.generate_series(1, 3_000_000).label("n"))
    url = db.engine.url.render_as_string(hide_password=False)
    with snapshot(url, patience=timedelta(minutes=1)) as books:
        batches = books.batches(many, size=10)
        assert next(batches) == [(n,) for n in range(1, 11)]
        batches.close()
    series = func.generate_series(1, 20).table_valued("n").render_derived()
    asleep = case((series.c.n > 10, cast(func.pg_sleep(60), Text)))
    with snapshot(url, patience=timedelta(minutes=10)) as books:
        batches = books.batches(select(series.c.n, asleep.label("asleep")), size=10)
        assert next(batches) == [(n, None) for n in range(1, 11)]
        batches.close()  # while the next ten minutes are fetched ahead
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            books.count(many)


def test_what_goes_wrong_ahead_is_raised_to_the_reader(db: Database):
    breaks = select((1 / (1_500 - func.generate_series(1, 3_000))).label("n"))
    url = db.engine.url.render_as_string(hide_password=False)
    with (
        snapshot(url, patience=timedelta(minutes=1)) as books,
        pytest.raises(psycopg.errors.DivisionByZero),
    ):
        list(books.batches(breaks, size=1_000))
