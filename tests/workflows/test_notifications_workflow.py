"""The watches on the real Temporal server: one after another without a gap, and never two at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, ScheduleBackfill, ScheduleOverlapPolicy
from temporalio.worker import Worker

from activities.contracts.notifications import DELIVER, Deliver, Delivered
from runtime.embedded.temporal_servers import DevServer
from runtime.schedules import ensure_schedule
from runtime.settings import Settings
from tests.workflows.conftest import KEYS
from tests.workflows.fake_notifications import FakeNotifications
from worker import NOTIFICATIONS, watches
from workflows.notifications import Notifications


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with DevServer() as server:
        yield await server.client(KEYS)


@dataclass
class Tower(FakeNotifications):
    """A watch that lasts until the next one is wanted, so that two could meet if the schedule let them."""

    on_watch: int = 0
    most_at_once: int = 0
    began: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    relief: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Deliver) -> Delivered:
        self.on_watch += 1
        self.most_at_once = max(self.most_at_once, self.on_watch)
        await self.began.put(order.for_s)
        await self.relief.get()
        self.on_watch -= 1
        return Delivered()


def worker_on(client: Client, queue: str, tower: FakeNotifications) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Notifications], activities=tower.registered())


async def test_a_watch_says_what_it_came_to(client):
    fake, queue = FakeNotifications(), f"queue-{uuid.uuid4()}"
    async with worker_on(client, queue, fake):
        done: Any = await client.execute_workflow(
            Notifications.run, Deliver(for_s=7), id=f"notifications/{queue}", task_queue=queue
        )
    assert (done, fake.watched_s) == (Delivered(passed_on=1, delivered=2), [7])


async def test_the_schedule_begins_at_once_and_the_next_watch_waits_behind_the_one_that_is_on(client):
    tower, queue = Tower(), f"queue-{uuid.uuid4()}"
    schedule = watches(Settings.load(task_queue=queue))
    assert schedule.policy.overlap is ScheduleOverlapPolicy.BUFFER_ONE
    assert await ensure_schedule(client, NOTIFICATIONS, schedule, at_once=True)
    handle = client.get_schedule_handle(NOTIFICATIONS)
    async with worker_on(client, queue, tower), asyncio.timeout(20):
        assert await tower.began.get() == 600
        # Two more minutes strike; one of them waits, and follows as soon as the first is over.
        now = datetime.now(UTC)
        await handle.backfill(
            ScheduleBackfill(
                start_at=now - timedelta(minutes=3), end_at=now, overlap=ScheduleOverlapPolicy.BUFFER_ONE
            )
        )
        await tower.relief.put(None)
        assert await tower.began.get() == 600
        await handle.pause()
        await tower.relief.put(None)
    assert tower.most_at_once == 1
    await handle.delete()
