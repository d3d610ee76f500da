"""Over everything real: progress, the third that waits, and a file that is past its time in every way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.reads.exports import ExportItem
from domain.errors import ErrorCode, TeikiError
from domain.exports import ExportStatus
from runtime.temporal import connect
from starter import SubscriptionFilter, Teiki
from starter.exports import Export
from tests.exports_alive.conftest import Alive

WORKER = "tests.exports_alive.fused_worker"


async def until(export: Export, holds: Callable[[ExportItem], bool]) -> ExportItem:
    async with asyncio.timeout(30):
        while not holds(item := await export.show()):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
    return item


def is_creating(item: ExportItem) -> bool:
    return item.status is ExportStatus.CREATING


async def wanted(alive: Alive) -> SubscriptionFilter:
    tenant = await alive.house.tenant()
    for _ in range(3):
        await alive.house.subscription(tenant)
    return SubscriptionFilter(customer_id=tenant.customer_id)


async def refusal(awaitable: Any) -> ErrorCode:
    with pytest.raises(TeikiError) as refused:
        await awaitable
    return refused.value.code


async def downloads(alive: Alive, export: Export) -> int:
    return len(await alive.house.rows("SELECT 1 FROM export_downloads WHERE export_id = %s", export.id))


async def test_two_are_written_with_progress_and_the_third_waits(alive: Alive):
    hold = alive.home / "hold"
    hold.touch()
    three = await wanted(alive)
    async with await alive.client() as teiki, alive.worker(WORKER, TEST_HOLD=str(hold)):
        first, second = [await teiki.exports.request("subscriptions", three) for _ in range(2)]
        for export in (first, second):
            await until(export, is_creating)
        third, fourth = [await teiki.exports.request("subscriptions", three) for _ in range(2)]
        somebody_elses = await teiki.exports.request("subscriptions", three, actor="operator:other")
        await until(somebody_elses, is_creating)
        item = await until(first, lambda one: one.total is not None)
        assert (item.status, item.total) == ("creating", 3)
        assert await refusal(first.download(alive.home / "early.xlsx")) == ErrorCode.EXPORT_NOT_READY
        assert {(await export.show()).status for export in (third, fourth)} == {ExportStatus.REQUESTED}
        listed = await teiki.exports.list()
        assert [one.id for one in listed.items[:4]] == [e.id for e in (fourth, third, second, first)]
        canceled = await third.cancel()
        assert (canceled.status, canceled.reason) == ("failed", "export_canceled")
        assert await refusal(third.wait()) == ErrorCode.EXPORT_CANCELED
        running = asyncio.ensure_future(second.cancel())
        hold.unlink()
        await running
        for export in (first, fourth, somebody_elses):
            assert (await export.wait()).rows == 3
    assert len(alive.files()) == 3


async def test_past_its_time_nobody_gets_it_although_the_file_is_still_there(served: Alive):
    async with await served.client() as teiki:
        export = await teiki.exports.request("subscriptions", await wanted(served))
        await export.wait()
        later = Teiki(
            await connect(served.settings),
            served.settings,
            clock=lambda: datetime.now(UTC) + timedelta(hours=4),
        )
        async with later:
            late = later.exports.get(export.id)
            assert await refusal(late.download(served.home / "late.xlsx")) == ErrorCode.EXPORT_EXPIRED
            assert (await late.show()).seconds_left(later.now()) == 0
        assert await downloads(served, export) == 0
        await export.download(served.home / "in-time.xlsx")
        assert await downloads(served, export) == 1


async def test_a_worker_that_starts_sweeps_what_is_past_its_life(alive: Alive):
    async with await alive.client() as teiki:
        async with alive.worker(WORKER):
            export = await teiki.exports.request("subscriptions", await wanted(alive))
            await export.wait()
        assert len(alive.files()) == 1
        await alive.house.rows(
            "UPDATE exports SET ready_at = ready_at - interval '5 h', expires_at = expires_at - interval '5 h'"
            " WHERE id = %s RETURNING 1",
            export.id,
        )
        async with alive.worker("worker"):
            item = await until(export, lambda one: one.status is ExportStatus.EXPIRED)
            assert item.reason == "time_over"
            async with asyncio.timeout(10):
                while alive.files():  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(0.05)
        assert await refusal(export.download(alive.home / "late.xlsx")) == ErrorCode.EXPORT_EXPIRED


async def test_a_file_that_somebody_removed_is_gone_and_not_an_error_of_ours(served: Alive):
    async with await served.client() as teiki:
        export = await teiki.exports.request("subscriptions", await wanted(served))
        await export.wait()
        for path in served.directory.iterdir():
            path.unlink()
        assert await refusal(export.download(served.home / "gone.xlsx")) == ErrorCode.EXPORT_EXPIRED
        assert [path for path in served.home.iterdir() if "gone" in path.name] == []


async def test_what_failed_says_what_to_do(served: Alive):
    async with await served.client() as teiki:
        export = await teiki.exports.request("subscriptions", await wanted(served))
        await export.wait()
        await served.house.rows(
            "UPDATE exports SET status = 'failed', reason = 'export_timed_out', ended_at = now() WHERE id = %s"
            " RETURNING 1",
            export.id,
        )
        with pytest.raises(TeikiError) as failed:
            await export.wait()
        assert failed.value.code is ErrorCode.EXPORT_TIMED_OUT
        assert "Narrow the filter" in failed.value.message


async def test_without_keys_no_password_is_taken_and_nothing_is_asked_for(alive: Alive):
    async with await alive.client(export_secret_keys=None) as teiki:
        code = await refusal(teiki.exports.request("subscriptions", password="x"))
        assert code == ErrorCode.SETTINGS_INVALID


async def test_a_download_is_streamed_to_whoever_passes_it_on(served: Alive):
    async with await served.client() as teiki:
        export = await teiki.exports.request("subscriptions", await wanted(served))
        await export.wait()
        content = b"".join([piece async for piece in export.stream(source="203.0.113.7")])
        await export.download(served.home / "same.xlsx", actor="operator:auditor")
        first, second = await export.downloads()
    assert content == (served.home / "same.xlsx").read_bytes()
    assert (first.actor, first.source) == ("service:sdk", "203.0.113.7")
    assert second.actor == "operator:auditor"
