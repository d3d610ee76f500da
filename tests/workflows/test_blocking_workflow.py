"""`Blocking` on the time-skipping server: the block, then page after page; and a subscription that hears of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from activities.contracts.blocking import BlocksChanged
from activities.contracts.records import RecordResult
from runtime.temporal import teiki_plugin
from tests.workflows.conftest import KEYS, START, Stage
from tests.workflows.fake_blocking import FakeBlocking
from workflows import messages
from workflows.blocking import Blocking, BlockingAnswer, BlockingInput
from workflows.subscription import Subscription


@dataclass
class Desk:
    environment: WorkflowEnvironment
    blocking: FakeBlocking = field(default_factory=FakeBlocking)
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4()}")

    async def carry_out(self, do: str, *details: str, **more: Any) -> BlockingAnswer:
        order = BlockingInput.model_validate(
            {
                "customer_id": "cus_1",
                "do": do,
                "details": details,
                "request_id": "r-1",
                "actor": "operator:desk",
                "at": START,
                **more,
            }
        )
        handle = await self.environment.client.start_workflow(
            Blocking.run, order, id=f"blocking/{uuid.uuid4()}", task_queue=self.queue
        )
        answer = await handle.result()
        history = await handle.fetch_history()
        await Replayer(workflows=[Blocking], plugins=[teiki_plugin(KEYS)]).replay_workflow(history)
        return answer


@pytest.fixture
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    desk = Desk(server)
    async with Worker(
        server.client, task_queue=desk.queue, workflows=[Blocking], activities=desk.blocking.registered()
    ):
        yield desk


async def test_everything_concerned_is_told_page_after_page_and_counted(desk: Desk):
    desk.blocking.pages = [("kon_1", "sub_1"), ("sub_2", "sub_3"), ("sub_4",)]
    answer = await desk.carry_out("block_all", comment="chargeback")
    assert (answer.subscriptions, answer.slips, answer.card_links, answer.left) == (4, 1, 1, 0)
    assert [order.after for order in desk.blocking.asked] == ["", "sub_1", "sub_3"]
    assert [order.done for order in desk.blocking.told] == [0, 2, 4]
    assert {order.run_id for order in desk.blocking.told} == {desk.blocking.changes[0].run_id}


@pytest.mark.parametrize(
    ("do", "outcome"), [("block", "recorded"), ("block_all", "refused"), ("unblock_all", "duplicate")]
)
async def test_a_single_block_a_refusal_and_a_repetition_tell_nobody(desk: Desk, do: str, outcome: str):
    desk.blocking.answer = BlocksChanged(outcome=outcome, code="customer_not_found")
    desk.blocking.pages = [("sub_1",)]
    answer = await desk.carry_out(do, *(["pm_1"] if do == "block" else []))
    assert (answer.outcome, desk.blocking.asked, desk.blocking.told) == (outcome, [], [])


async def test_a_history_that_was_cut_goes_on_where_it_was(desk: Desk):
    desk.blocking.pages = [("sub_8", "sub_9")]
    so_far = BlockingAnswer(outcome="recorded", customer_id="cus_1", do="block_all", subscriptions=7)
    answer = await desk.carry_out("block_all", so_far=so_far.model_dump(), run_id="first", after="sub_7")
    assert answer.subscriptions == 9
    assert desk.blocking.changes == []
    assert (desk.blocking.asked[0].after, desk.blocking.told[0].run_id) == ("sub_7", "first")


def by(request_id: str) -> dict[str, str]:
    return {"request_id": request_id, "actor": "operator:desk"}


async def test_a_subscription_that_is_blocked_charges_nothing_and_goes_on_as_it_was(stage: Stage):
    await stage.open()
    await stage.until("2023-08-15T12:00:00+09:00")
    before = await stage.state()
    blocked = await stage.do(Subscription.block, messages.Block(**by("b-1")))
    assert (blocked.subscription.status.value, blocked.subscription.reason) == ("suspended", "blocked")
    again = await stage.do(Subscription.block, messages.Block(**by("b-1")))
    assert again == blocked
    assert await stage.refusal(Subscription.block, messages.Block(**by("b-2"))) == "invalid_status"
    await stage.until("2023-10-05T12:00:00+09:00")
    assert len(stage.billing.charges) == 1
    await stage.do(Subscription.unblock, messages.Unblock(**by("u-1")))
    assert await stage.refusal(Subscription.unblock, messages.Unblock(**by("u-2"))) == "invalid_status"
    after = await stage.state()
    assert (after.status, after.reason, after.held) == (before.status, before.reason, None)
    (record,) = [order for order in stage.records.written if order.operation == "unblock_all"]
    assert [(part.first, part.last, part.reason) for part in record.skipped] == [(2, 3, "blocked")]
    await stage.until("2023-11-01T12:00:00+09:00")
    assert [charge.number for charge in stage.billing.charges] == [1, 4]


async def test_a_block_that_was_taken_back_meanwhile_is_refused_and_nothing_is_remembered(stage: Stage):
    await stage.open()
    stage.records.next_result = RecordResult(outcome="refused", code="not_blocked", message="No more.")
    assert await stage.refusal(Subscription.block, messages.Block(**by("b-1"))) == "not_blocked"
    assert (await stage.state()).status.value == "current"


async def test_what_a_block_remembers_survives_the_cut_of_history(stage: Stage):
    stage.billing.script = []
    await stage.open(cycles_per_run=1)
    await stage.until("2023-08-01T08:00:00+09:00")
    await stage.do(Subscription.block, messages.Block(**by("b-1")))
    await stage.until("2023-10-05T12:00:00+09:00")
    state = await stage.state()
    assert state.held is not None
    assert state.held.status.value == "current"
