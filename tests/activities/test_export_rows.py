"""The rows of an export: those of the list, as they were when they were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import Database
from db.reads.payments import PaymentFilter, list_payments
from db.reads.subscriptions import SubscriptionFilter, list_subscriptions
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
