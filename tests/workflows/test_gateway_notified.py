"""A running subscription that hears that the payment company has news; and the inbox's own workflow."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from temporalio.worker import Worker

from activities.contracts.billing import Outcome
from activities.contracts.webhooks import HandedOver, HandOver
from domain.identifiers import charge_reference, refund_reference
from tests.workflows.fake_webhooks import FakeWebhooks
from workflows import messages
from workflows.subscription import Subscription
from workflows.webhook_inbox import WebhookInbox

UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800)
PENDING = Outcome(outcome="pending")
ATTENTION = Outcome(outcome="attention")
SETTLED = Outcome(outcome="settled")


def subscription_id(stage) -> str:
    return stage.handle.id.partition("/")[2]


def news(stage, reference: str | None = None) -> messages.GatewayNotice:
    reference = reference or charge_reference(subscription_id(stage), 1, 1)
    return messages.GatewayNotice(gateway_id="ch_1", reference=reference)


async def told(stage, reference: str | None = None) -> None:
    """The subscription hears of its first attempt, or of what is named."""
    await stage.handle.signal(Subscription.gateway_notified, news(stage, reference))
    await calm(stage)


async def calm(stage) -> None:
    """Whatever was sent to the workflow has been worked off (a query is answered after that)."""
    for _ in range(3):
        await stage.state()
        await stage.quiet()


async def now(stage) -> datetime:
    return await stage.environment.get_current_time() + stage.offset


@pytest.mark.parametrize("doubt", [UNKNOWN, PENDING, ATTENTION], ids=lambda doubt: doubt.outcome)
async def test_what_is_in_flight_under_the_reference_is_asked_about_at_once(stage, doubt):
    stage.billing.script = [doubt]
    await stage.open()
    await calm(stage)
    before = await now(stage)
    assert (await stage.state()).in_flight.next_at > before + timedelta(seconds=10)
    await told(stage)
    assert [charge.mode.value for charge in stage.billing.charges] == ["send", "ask"]
    assert stage.billing.charges[1].learned_at - before < timedelta(seconds=5)
    assert (await stage.state()).in_flight is None
    await told(stage)
    assert len(stage.billing.charges) == 2


@pytest.mark.parametrize(
    "other",
    [
        "{id}/1/2",
        "{id}/2/1",
        "{id}/1/refund",
        "{id}",
        "",
        "sub_other/1/1",
        "{id}/1/1/1",
        "{id}/１/1",
    ],
)
async def test_news_about_something_else_change_nothing(stage, other):
    stage.billing.script = [PENDING]
    await stage.open()
    await calm(stage)
    before = await stage.state()
    await told(stage, other.format(id=subscription_id(stage)) or "nothing")
    assert await stage.state() == before
    assert len(stage.billing.charges) == 1


async def test_news_about_what_never_left_the_house_change_nothing(stage):
    stage.billing.script = [Outcome(outcome="unsent")]
    await stage.open()
    await calm(stage)
    await told(stage)
    assert len(stage.billing.charges) == 1


async def test_news_that_come_while_a_request_is_under_way_are_looked_into_after_its_answer(stage):
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def gate():
        arrived.set()
        await answer.wait()

    stage.billing.script = [UNKNOWN]
    stage.billing.gate = gate
    await stage.open()
    await arrived.wait()
    await stage.handle.signal(Subscription.gateway_notified, news(stage))
    answer.set()
    await calm(stage)
    assert [charge.mode.value for charge in stage.billing.charges] == ["send", "ask"]
    assert (await stage.state()).charges == 1


async def test_news_about_a_refund_on_its_way_are_asked_about_at_once(stage):
    stage.billing.script = [UNKNOWN]
    stage.billing.refund_script = [UNKNOWN]
    await stage.open()
    await stage.do(Subscription.cancel, messages.Cancel(request_id="c-1", actor="operator:test"))
    await told(stage)  # it was charged after all
    assert len(stage.billing.refunds) == 1
    await told(stage, refund_reference(subscription_id(stage), 1))
    assert [refund.mode.value for refund in stage.billing.refunds] == ["send", "ask"]
    assert (await stage.handle.describe()).close_time is not None


async def test_a_flood_of_news_neither_charges_anything_nor_stops_the_cut_of_the_history(stage):
    await stage.open(cycles_per_run=1)
    # No question to the workflow here: this server never answers one that meets a cut.
    for day in range(1, 29, 3):
        await stage.until(f"2023-09-{day:02}T00:00:00+09:00")
        await stage.handle.signal(Subscription.gateway_notified, news(stage))
    await stage.until("2023-10-02T00:00:00+09:00")
    assert [number for number, _, _ in stage.billing.sent()] == [1, 2, 3]
    assert len(stage.billing.charges) == 3


@pytest.mark.parametrize("has_old", [True, False])
async def test_the_inbox_is_worked_off_and_old_rows_are_deleted_when_there_are_some(server, has_old):
    fake = FakeWebhooks(has_old=has_old)
    async with Worker(
        server.client, task_queue="inbox", workflows=[WebhookInbox], activities=fake.registered()
    ):
        done = await server.client.execute_workflow(
            WebhookInbox.run, HandOver(parked_too=True), id=f"inbox-{has_old}", task_queue="inbox"
        )
    assert done == HandedOver(handled=1, has_old=has_old)
    assert fake.asked == ["hand_over, parked too", *(["clear_out"] if has_old else [])]
