"""A chargeback is heard of whatever becomes of its webhook, and once; the customer's access ends (customers.md §4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_bank import charge_back
from starter import Money, OrderSpec
from tests.web.conftest import SECRET, Site, until
from tests.web.hooks import event, post, signed


@pytest.fixture
async def sandbox(site: Site) -> AsyncIterator[SandboxRemote]:
    """The sandbox, which sends its webhooks to the site."""
    async with SandboxRemote(site.settings.gateway_url) as control:
        await control.webhooks(f"{site.url}/webhooks/sandbox", SECRET, retry_seconds=[0.2] * 20)
        yield control
        await control.faults()
        await control.webhooks(None)


async def paid(site: Site):
    subscription = await site.subscribe()
    await until(subscription, lambda detail: detail.payments[0].state == "settled")
    payment = f"{subscription.id}/1"
    return subscription, payment, (await site.teiki.payments.find(payment)).gateway_id


async def becomes(site: Site, payment: str, state: str, *, skip: timedelta = timedelta()) -> None:
    deadline = time.monotonic() + 20
    while (found := (await site.teiki.payments.find(payment)).state) != state:
        assert time.monotonic() < deadline, found
        if skip:
            await site.lab.environment.sleep(skip)
        await asyncio.sleep(0.05)


async def told(site: Site, subject: str) -> dict[str, int]:
    """Events, notices and bookings of chargebacks of an object."""
    database = await site.teiki.database()
    row = await database.fetch_one(
        "SELECT (SELECT count(*) FROM history WHERE subject_id = %(id)s AND kind = 'chargeback')::int AS events,"
        " (SELECT count(*) FROM outbox WHERE subject_id = %(id)s AND topic = 'payment.chargeback')::int AS notices,"
        " (SELECT count(*) FROM ledger l JOIN attempts a ON a.key = l.attempt_key"
        "  WHERE a.object_id = %(id)s AND l.kind = 'chargeback')::int AS bookings",
        {"id": subject},
    )
    return dict(row)


ONCE = {"events": 1, "notices": 1, "bookings": 1}


@pytest.mark.parametrize(
    "fault", ["webhook_duplicate", "webhook_reorder", "webhook_forge", "webhook_delay:0.5"]
)
async def test_doubled_late_forged_or_out_of_order_it_is_booked_once(site, sandbox, fault):
    subscription, payment, charge = await paid(site)
    await sandbox.faults({"fault": fault, "route": "webhook", "times": 1})
    await charge_back(site.settings.gateway_url, charge)
    await becomes(site, payment, "chargeback")
    suspended = await until(subscription, lambda detail: detail.status == "suspended")
    [operation] = [event for event in suspended.operations if event.data["do"] == "suspend"]
    assert (operation.actor, operation.comment) == ("system", "The payment was charged back.")
    assert suspended.reason == "chargeback"
    assert (await site.teiki.chargebacks.enter(payment, comment="also by letter")).outcome == "known"
    assert await told(site, subscription.id) == ONCE


async def test_a_lost_webhook_is_made_up_for_by_the_reconciliation(site, sandbox):
    subscription, payment, charge = await paid(site)
    await sandbox.faults({"fault": "webhook_lose", "route": "webhook", "times": 1})
    await charge_back(site.settings.gateway_url, charge)
    report = await site.teiki.reconciliation.run()
    assert report.chargebacks == 1
    assert report.agrees, "news, not a difference"
    await site.teiki.webhooks.work_off()
    assert subscription.id not in [difference.subject_id for difference in report.shown]
    await becomes(site, payment, "chargeback")
    await until(subscription, lambda detail: detail.status == "suspended")
    assert await told(site, subscription.id) == ONCE
    again = await site.teiki.reconciliation.run()
    assert (again.chargebacks, again.agrees) == (0, True)


async def test_a_notice_that_is_faster_than_the_book_is_asked_about_again(site, sandbox):
    subscription, payment, charge = await paid(site)
    await charge_back(site.settings.gateway_url, charge, lag_seconds=1.0)
    await becomes(site, payment, "chargeback", skip=timedelta(seconds=10))
    assert await told(site, subscription.id) == ONCE


async def test_a_signed_notice_without_a_chargeback_behind_it_changes_nothing(site, sandbox):
    subscription, payment, _ = await paid(site)
    body = event(f"{payment}/1/chargeback")
    assert (await post(site, body, signed(body)))[0] == 200
    for reference in (
        "sub_nobody/1/1/chargeback",
        "sub_x/y/chargeback",
        "chargeback",
        "ord_nobody/1/chargeback",
    ):
        body = event(reference)
        assert (await post(site, body, signed(body)))[0] == 200
    await site.lab.environment.sleep(timedelta(days=2))
    assert (await site.teiki.payments.find(payment)).state == "settled"
    assert await told(site, subscription.id) == {"events": 0, "notices": 0, "bookings": 0}
    assert (await subscription.show()).status == "current"


async def test_the_access_that_an_order_brought_is_revoked(site, sandbox):
    customer = await site.teiki.customers.put(email="customer@example.com")
    order = await site.teiki.orders.place(
        OrderSpec(
            customer_id=customer,
            product_id=await site.teiki.products.put(
                name="Live replay", price=Money(minor=3500, currency="JPY"), type="digital"
            ),
            pay="card",
            payment_method_id=await site.teiki.payment_methods.add(customer_id=customer, token="tok_ok"),
        )
    )
    shown = await order.show()
    assert shown.permission.status == "active"
    payment = f"{shown.number}/1"
    charge = (await site.teiki.payments.find(payment)).gateway_id
    await charge_back(site.settings.gateway_url, charge)
    await becomes(site, payment, "chargeback")
    deadline = time.monotonic() + 20
    while (shown := await order.show()).permission.status != "revoked":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert shown.permission.reason == "chargeback"
    assert {entry.category for entry in shown.payment_history} == {"payment_complete", "chargeback"}
    assert await told(site, order.id) == ONCE
