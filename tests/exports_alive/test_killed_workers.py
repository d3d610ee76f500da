"""A worker killed at any point: in the end one correct file or none, and nothing left over."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from domain.errors import TeikiError
from domain.exports import ExportStatus
from starter import SubscriptionFilter
from starter.exports import Export
from tests.exports_alive.conftest import Alive
from tests.exports_alive.fused_worker import POINTS

PASSWORD = "ひみつ spaces and 🎫"
WORKER = "tests.exports_alive.fused_worker"
MOST_S = 70


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.timeout(180)
async def test_a_worker_that_is_killed_leaves_one_correct_file(alive: Alive, point: str):
    tenant = await alive.house.tenant(email="killed@example.com")
    expected = {(await alive.house.subscription(tenant)).subscription_id for _ in range(3)}
    burnt = alive.home / "burnt"
    fuse = {"TEST_FUSE": point, "TEST_FUSE_BURNT": str(burnt)}
    async with await alive.client() as teiki, asyncio.timeout(MOST_S + 60):
        export = await _asked(alive, teiki, tenant.customer_id, fuse)
        if point.startswith("expired"):
            await _expired(alive, export, fuse)
        else:
            async with alive.worker(WORKER, **fuse):
                await export.wait()
                saved = await export.download(alive.home / "saved.xlsx")
                rows = alive.workbook(saved, PASSWORD)
                assert {row["定期課金ID"] for row in rows} == expected
                assert len(alive.files()) == 1
                await export.cancel()
        assert burnt.exists(), "nobody died"
        assert (await export.show()).status is ExportStatus.EXPIRED
    assert alive.files() == []
    assert [path for path in (alive.home / "tmp").rglob("*") if path.is_file()] == []
    assert await alive.house.rows("SELECT * FROM sealed_secrets WHERE export_id = %s", export.id) == []
    moves = "SELECT data->>'to' AS to FROM history WHERE subject_id = %s AND kind = 'status' ORDER BY seq"
    assert [row["to"] for row in await alive.house.rows(moves, export.id)] == [
        *("requested", "creating", "ready", "expired")
    ]


async def _asked(alive: Alive, teiki, customer_id: str, fuse: dict[str, str]) -> Export:
    """The export, asked for from a worker that dies if its point comes before the file is ready."""
    dies_here = not fuse["TEST_FUSE"].startswith("expired")
    async with alive.worker(WORKER, **fuse) as worker:
        export = await teiki.exports.request(
            "subscriptions", SubscriptionFilter(customer_id=customer_id), password=PASSWORD
        )
        if dies_here:
            assert await worker.wait() == -signal.SIGKILL
        else:
            await export.wait()
    return export


async def _expired(alive: Alive, export: Export, fuse: dict[str, str]) -> None:
    """Canceled at a worker that dies over it; the next one finishes."""
    async with alive.worker(WORKER, **fuse) as worker:
        canceling = asyncio.ensure_future(export.cancel(request_id="cancel-1"))
        assert await worker.wait() == -signal.SIGKILL
    async with alive.worker(WORKER, **fuse):
        try:
            await canceling
        except TeikiError:  # the caller's patience was over first; the command goes on
            await export.cancel(request_id="cancel-1")
        while (await export.show()).status is not ExportStatus.EXPIRED:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.2)


async def test_a_worker_that_is_stopped_in_the_middle_hands_over(alive: Alive):
    hold, tenant = alive.home / "hold", await alive.house.tenant()
    await alive.house.subscription(tenant)
    hold.touch()
    async with await alive.client() as teiki, asyncio.timeout(90):
        hurried = {"TEST_HOLD": str(hold), "TEIKI_GRACEFUL_SHUTDOWN_SECONDS": "0.5"}
        async with alive.worker(WORKER, **hurried) as worker:
            wanted = SubscriptionFilter(customer_id=tenant.customer_id)
            export = await teiki.exports.request("subscriptions", wanted)
            while (await export.show()).total is None:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.1)
            assert [Path(name).suffix for name in alive.files()] == [".part"]
            worker.send_signal(signal.SIGTERM)
            await asyncio.sleep(1.5)
            hold.unlink()
            assert await worker.wait() == 0
        assert alive.files() == []
        async with alive.worker(WORKER):
            assert (await export.wait()).rows == 1
    assert [Path(name).suffix for name in alive.files()] == [".xlsx"]


def test_the_points_are_those_of_the_worker():
    text = Path(__file__).with_name("fused_worker.py").read_text(encoding="utf-8")
    for point in ("turn.after", "file.half", "file.before", "file.after"):
        assert f'reach("{point}")' in text
