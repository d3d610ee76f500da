"""The reconciliation on the real Temporal server: its order, its schedule, and who is missing in the engine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, ScheduleBackfill, ScheduleHandle, ScheduleOverlapPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.contracts.reconciliation import ReconciliationInput, Report
from activities.engine_census import EngineCensus
from runtime.embedded.temporal_servers import DevServer
from runtime.schedules import ensure_schedule
from runtime.settings import Settings
from tests.workflows.conftest import KEYS
from tests.workflows.fake_reconciliation import FakeReconciliation
from tests.workflows.fake_webhooks import FakeWebhooks
from worker import RECONCILIATION, WEBHOOK_INBOX, daily_reconciliation, webhook_inbox_worked_off
from workflows.reconciliation import Reconciliation
from workflows.webhook_inbox import WebhookInbox


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with DevServer() as server:
        yield await server.client(KEYS)


def worker_on(client: Client, queue: str, books: FakeReconciliation) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Reconciliation],
        activities=books.registered(),
    )


async def test_a_run_compares_counts_and_keeps_its_report(client):
    books, queue = FakeReconciliation(), f"queue-{uuid.uuid4()}"
    async with worker_on(client, queue, books):
        report = await client.execute_workflow(
            Reconciliation.run, ReconciliationInput(), id=f"reconciliation/{queue}", task_queue=queue
        )
    assert isinstance(report, Report)
    assert (report.movements, report.workflows) == (3, 2)
    assert books.asked == ["window", "compare", "missing_workflows", "store"]


async def test_the_daily_schedule_is_made_once_triggered_and_backfilled(client):
    books, queue = FakeReconciliation(), f"queue-{uuid.uuid4()}"
    schedule = daily_reconciliation(Settings.load(task_queue=queue))
    made = await asyncio.gather(*(ensure_schedule(client, RECONCILIATION, schedule) for _ in range(2)))
    assert sorted(made) == [False, True], "two workers start at once"
    handle = client.get_schedule_handle(RECONCILIATION)
    described = await handle.describe()
    assert described.schedule.policy.catchup_window == timedelta(days=7)
    assert described.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ONE
    following = described.info.next_action_times
    assert {(at.hour, at.minute) for at in following} == {(4, 30)}
    assert following[1] - following[0] == timedelta(days=1)
    async with worker_on(client, queue, books):
        await handle.trigger()
        assert len(await _runs(handle, 1)) == 1
        # A server that was away over two mornings.
        until = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=1)
        await handle.backfill(
            ScheduleBackfill(
                start_at=until - timedelta(days=2), end_at=until, overlap=ScheduleOverlapPolicy.BUFFER_ALL
            )
        )
        names = await _runs(handle, 3)
        for name in names:
            await asyncio.wait_for(client.get_workflow_handle(name).result(), 60)
    assert all(name.startswith("reconciliation/sandbox-") for name in names)
    assert books.asked.count("store") == 3
    await handle.delete()


async def _runs(handle: ScheduleHandle, wanted: int) -> set[str]:
    """The workflows that the schedule started, once there are so many."""
    names: set[str] = set()
    async with asyncio.timeout(60):
        while len(names) < wanted:
            info: Any = (await handle.describe()).info
            names |= {action.action.workflow_id for action in info.recent_actions}
            await asyncio.sleep(0.05)
    return names


async def test_the_inbox_is_worked_off_by_its_schedule(client):
    inbox, queue = FakeWebhooks(), f"queue-{uuid.uuid4()}"
    schedule = webhook_inbox_worked_off(Settings.load(task_queue=queue))
    assert await ensure_schedule(client, WEBHOOK_INBOX, schedule)
    handle = client.get_schedule_handle(WEBHOOK_INBOX)
    described = await handle.describe()
    assert described.schedule.policy.overlap == ScheduleOverlapPolicy.SKIP
    following = described.info.next_action_times
    assert following[1] - following[0] == timedelta(minutes=1)
    async with Worker(client, task_queue=queue, workflows=[WebhookInbox], activities=inbox.registered()):
        await handle.trigger()
        for name in await _runs(handle, 1):
            await asyncio.wait_for(client.get_workflow_handle(name).result(), 60)
    assert inbox.asked[:2] == ["hand_over", "clear_out"]
    await handle.delete()


async def test_a_server_without_schedules_is_no_hindrance(server: WorkflowEnvironment, caplog):
    with caplog.at_level(logging.WARNING, logger="runtime.schedules"):
        assert not await ensure_schedule(server.client, RECONCILIATION, daily_reconciliation(Settings.load()))
    assert "no schedules" in caplog.text


async def terminated(client: Client, workflow_id: str) -> None:
    """Terminate it in the engine, and wait until visibility lists it as running no longer."""
    await client.get_workflow_handle(workflow_id).terminate("in the Web UI")
    running = f"WorkflowId = '{workflow_id}' AND ExecutionStatus = 'Running'"
    async with asyncio.timeout(60):
        while (await client.count_workflows(running)).count:  # noqa: ASYNC110 - visibility wakes nobody
            await asyncio.sleep(0.05)


async def test_the_census_finds_who_was_terminated_and_who_never_was(client):
    queue = f"queue-{uuid.uuid4()}"
    names = [f"sub_{uuid.uuid4().hex}" for _ in range(3)]
    for name in names[:2]:  # nobody works on this queue: they stay
        await client.start_workflow("Subscription", id=f"subscription/{name}", task_queue=queue)
    census = EngineCensus(client)
    assert await census.not_running(names[:2]) == []
    await terminated(client, f"subscription/{names[1]}")
    assert await census.not_running(names) == names[1:]
    await client.get_workflow_handle(f"subscription/{names[0]}").terminate("the test is over")


async def test_the_census_knows_orders_and_slips_by_their_own_names(client):
    queue = f"queue-{uuid.uuid4()}"
    order, slip = f"ord_{uuid.uuid4().hex}", f"kon_{uuid.uuid4().hex}1"
    await client.start_workflow("Order", id=f"order/{order}", task_queue=queue)
    await client.start_workflow("KonbiniDeposit", id=f"konbini/{slip}", task_queue=queue)
    census = EngineCensus(client)
    assert await census.not_running([order, slip]) == []
    await terminated(client, f"konbini/{slip}")
    assert await census.not_running([order, slip]) == [slip]
    await client.get_workflow_handle(f"order/{order}").terminate("the test is over")


async def test_a_server_whose_visibility_cannot_be_asked_is_not_taken_for_an_empty_one(
    server: WorkflowEnvironment,
):
    assert await EngineCensus(server.client).not_running(["sub_1"]) is None
