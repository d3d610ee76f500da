"""A server that asks for short histories: order and slip are cut in the middle of their lives and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.money import Money
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG, DevServer
from tests.workflows.conftest import KEYS
from tests.workflows.order_stage import OrderStage, by, playing
from workflows import order_messages as messages
from workflows.order import Order

SHORT = {"limit.historyCount.suggestContinueAsNew": "60"}
NOTICES = 30


@pytest.fixture
async def stage() -> AsyncIterator[OrderStage]:
    async with DevServer(dynamic_config={**DYNAMIC_CONFIG, **SHORT}) as server:
        client = await server.client(KEYS)
        async with playing(WorkflowEnvironment.from_client(client), KEYS) as stage:
            yield stage


async def run_ids(stage: OrderStage) -> tuple[str, str]:
    return (await stage.handle.describe()).run_id, (await stage.deposit().describe()).run_id


async def test_a_slip_and_an_order_whose_histories_are_cut_go_on_where_they_were(stage):
    await stage.place()
    first = await run_ids(stage)
    for number in range(NOTICES):
        stage.slip().preliminary = number % 2 == 0
        await stage.notify()
    await stage.comes_to_show("in_process", "payment_pending", "revoked")
    cut = await run_ids(stage)
    assert cut[0] != first[0]
    assert cut[1] != first[1]
    await stage.pay()
    await stage.comes_to_show("complete", "payment_completed", "active")
    assert len({written.event_key for written in stage.orders.written}) == len(stage.orders.written)
    cancel = messages.CancelOrder(
        refund_amount=Money(minor=1000, currency="JPY"), **by("c-1", "customer:cus_1")
    )
    answers = await asyncio.gather(
        *(stage.handle.execute_update(Order.cancel_order, cancel) for _ in range(2))
    )
    assert {answer.order.status for answer in answers} == {"canceled"}
    async with asyncio.timeout(60):
        while not stage.till.refunds:
            await stage.quiet()
    assert [refund.number for refund in stage.till.refunds] == [1]
