"""Real webhooks of the real sandbox: lost, late, twice, out of order and forged, they ask and never decide."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from activities.contracts.webhooks import HandOver
from gateways.sandbox.remote import SandboxRemote
from runtime.embedded.ports import free_ports
from starter import Money, SubscriptionSpec
from tests.web.conftest import SECRET, Site, serving, until
from tests.web.hooks import event, post, row_of, signed
from workflows.webhook_inbox import WebhookInbox

ANSWER_LOST = ({"fault": "drop_after", "times": 1}, {"fault": "lookup_lag:0.7", "times": 1})
"""The money moves, the answer is lost, and for a moment look-ups find nothing: unknown, asked again after 15 s."""
SOON = 8.0


@pytest.fixture
async def sandbox(site: Site) -> AsyncIterator[SandboxRemote]:
    """The sandbox, which sends its webhooks to the site."""
    async with SandboxRemote(site.settings.gateway_url) as control:
        await control.webhooks(f"{site.url}/webhooks/sandbox", SECRET, retry_seconds=[0.2] * 20)
        yield control
        await control.faults()
        await control.webhooks(None)


async def begin(site: Site, token: str = "tok_ok"):
    """A subscription whose first charge is under way."""
    customer = await site.teiki.customers.put(email="customer@example.com")
    return await site.teiki.subscriptions.create(
        SubscriptionSpec(
            customer_id=customer,
            product_id=await site.teiki.products.put(name="Coffee club"),
            payment_method_id=await site.teiki.payment_methods.add(customer_id=customer, token=token),
            amount=Money(minor=1000, currency="JPY"),
            period="monthly",
        )
    )


async def rows(site: Site, subscription) -> list[dict]:
    """What the inbox holds about a subscription, in the order of its arrival."""
    database = await site.teiki.database()
    async with database.transaction() as cursor:
        await cursor.execute(
            "SELECT * FROM webhook_inbox WHERE reference LIKE %s ORDER BY id", [subscription.id + "/%"]
        )
        return await cursor.fetchall()


async def handled(site: Site, subscription, count: int = 1) -> list[str]:
    """What became of the first webhooks about a subscription, once all are done with."""
    deadline = time.monotonic() + SOON
    while True:
        found = await rows(site, subscription)
        if len(found) >= count and all(row["handled_at"] for row in found):
            return [row["state"] for row in found]
        assert time.monotonic() < deadline, [(row["state"], row["last_error"]) for row in found]
        await asyncio.sleep(0.05)


def asks(detail) -> bool:
    return any(attempt.state == "unknown" for payment in detail.payments for attempt in payment.attempts)


async def test_a_webhook_tells_of_a_lost_answer_and_the_charge_is_found_at_once(site, sandbox):
    await sandbox.faults(*ANSWER_LOST, {"fault": "webhook_delay:1.5", "times": 1})
    subscription = await begin(site)
    await until(subscription, asks)
    began = time.monotonic()
    detail = await until(subscription, lambda detail: detail.status == "current", SOON)
    assert time.monotonic() - began < SOON < 15, "without the webhook it is asked for after 15 s"
    assert detail.payments[0].state == "settled"
    assert await handled(site, subscription) == ["told"]
    [charge] = [r for r in await sandbox.requests(f"{subscription.id}/1/1") if r["route"] == "charge"]
    assert charge["reference"] == f"{subscription.id}/1/1"


async def test_a_lost_webhook_is_not_missed(site, sandbox):
    await sandbox.faults(*ANSWER_LOST, {"fault": "webhook_lose", "times": 1})
    subscription = await begin(site)
    await until(subscription, asks)
    await asyncio.sleep(1)  # the sandbox's look-ups lag in real time
    await site.lab.environment.sleep(timedelta(seconds=20))
    await until(subscription, lambda detail: detail.status == "current")
    assert await rows(site, subscription) == []


@pytest.mark.parametrize(
    "fault", ["webhook_duplicate", "webhook_reorder", "webhook_delay:0.5"], ids=lambda name: name[8:13]
)
async def test_webhooks_that_come_twice_or_late_or_out_of_order_change_nothing(site, sandbox, fault):
    await sandbox.faults({"fault": fault, "times": 1})
    subscription = await begin(site)
    await until(subscription, lambda detail: detail.status == "current")
    other = await begin(site)
    # The charge's own answer came first: the books know, and nobody is woken.
    for one in (subscription, other):
        await work_off(site, one)
        assert await handled(site, one) == ["decided"]
    assert (await subscription.show()).status == "current"


async def work_off(site: Site, subscription, count: int = 1) -> None:
    """What the schedule does, as if every pause were over; the lab's server has no schedules."""
    deadline = time.monotonic() + SOON
    while len(await rows(site, subscription)) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    database = await site.teiki.database()
    async with database.transaction() as cursor:
        await cursor.execute("UPDATE webhook_inbox SET next_at = clock_timestamp() WHERE state = 'waiting'")
    await site.lab.client.execute_workflow(
        WebhookInbox.run,
        HandOver(),
        id=f"webhook-inbox/{uuid4()}",
        task_queue=site.lab.settings.task_queue,
    )


async def test_a_forged_webhook_is_refused_and_nothing_is_believed(site, sandbox, caplog):
    caplog.set_level(logging.WARNING, logger="web.webhooks")
    await sandbox.faults({"fault": "webhook_forge", "times": 1})
    given_up = (await sandbox.webhooks_sent()).get("given_up", 0)
    subscription = await begin(site, "tok_insufficient_funds")
    await until(subscription, lambda detail: detail.status == "unconfirmed")
    deadline = time.monotonic() + SOON
    while (await sandbox.webhooks_sent()).get("given_up", 0) == given_up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert [row["kind"] for row in await rows(site, subscription)] == ["charge.declined"]
    assert "signature" in {getattr(record, "why", "") for record in caplog.records}
    assert (await subscription.show()).status == "unconfirmed"


async def test_a_signed_lie_is_not_believed_either(site, sandbox):
    """Whoever has the secret can make us ask, and no more."""
    subscription = await begin(site, "tok_pending")
    await until(
        subscription, lambda detail: any(a.state == "pending" for p in detail.payments for a in p.attempts)
    )
    body = event(f"{subscription.id}/1/1", state="settled", amount={"minor": 1000, "currency": "JPY"})
    assert (await post(site, body, signed(body)))[0] == 200
    assert "told" in await handled(site, subscription)
    await asyncio.sleep(0.5)
    detail = await subscription.show()
    assert detail.status == "unverified"
    assert detail.payments[0].state == "collecting"
    await subscription.cancel()


async def test_what_a_killed_web_service_had_stored_is_handed_over_by_the_schedules_workflow(site, sandbox):
    await sandbox.webhooks(None)
    await sandbox.faults(*ANSWER_LOST)
    subscription = await begin(site)
    await until(subscription, asks)
    await asyncio.sleep(1)
    # What a process leaves that is killed between storing and handing over:
    stored = await site.teiki.webhooks.store(
        gateway="sandbox",
        event_id=f"evt_{uuid4().hex}",
        kind="charge.settled",
        reference=f"{subscription.id}/1/1",
        gateway_id="ch_1",
        body=b"{}",
    )
    assert stored is not None
    await work_off(site, subscription)
    await until(subscription, lambda detail: detail.status == "current", SOON)
    assert await handled(site, subscription) == ["told"]


async def test_a_webhook_that_nobody_waits_for_is_done_with(site):
    for reference, state in (("ord_nobody/1/1", "nobody_waits"), ("somebody else's", "unaddressed")):
        body = event(reference)
        headers = signed(body)
        assert (await post(site, body, headers))[0] == 200
        deadline = time.monotonic() + SOON
        while (found := await row_of(site, headers["webhook-id"]))["state"] == "waiting":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert (found["state"], found["attempts"]) == (state, 1)


async def test_a_database_that_comes_back_gets_what_the_sandbox_sends_again(lab):
    nowhere = f"postgresql+psycopg://u:p@127.0.0.1:{free_ports(1)[0]}/none"
    async with SandboxRemote(lab.settings.gateway_url) as control, serving(lab) as well:
        async with serving(lab, database_url=nowhere) as ill:
            await control.webhooks(f"{ill.url}/webhooks/sandbox", SECRET, retry_seconds=[0.1] * 50)
            subscription = await begin(well)
            await until(subscription, lambda detail: detail.status == "current")
            deadline = time.monotonic() + SOON
            while not (await control.webhooks_sent()).get("waiting"):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert await rows(well, subscription) == []
        await control.webhooks(f"{well.url}/webhooks/sandbox", SECRET, retry_seconds=[0.1] * 50)
        assert await handled(well, subscription) == ["decided"]
        await control.webhooks(None)
