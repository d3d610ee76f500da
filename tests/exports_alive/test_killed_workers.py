"""Workers killed at any point, and one after another: in the end one correct file or none, and nothing left over.

Most of a killed worker's time is the wait until it is missed, so several exports, each with workers and a storage of
its own, go through their deaths at the same time.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
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
DEATHS = {
    "five": ("turn.after", "file.half", "file.half", "file.before", "file.after"),
    "late": ("ready.before",),
    "ready": ("ready.after", "expired.before"),
    "gone": ("expired.after",),
}
"""What befalls each export, in this order. The first one's file is begun five times."""


@pytest.mark.timeout(240)
async def test_workers_that_are_killed_again_and_again_leave_one_correct_file(alive: Alive):
    async with asyncio.timeout(220), asyncio.TaskGroup() as together:
        for name, deaths in DEATHS.items():
            together.create_task(_one_correct_file(alive.beside(name), deaths))


def test_every_point_is_somebodys_death():
    assert {point for deaths in DEATHS.values() for point in deaths} == set(POINTS)
    assert len(DEATHS["five"]) == 5
    text = Path(__file__).with_name("fused_worker.py").read_text(encoding="utf-8")
    for point in ("turn.after", "file.half", "file.before", "file.after"):
        assert f'reach("{point}")' in text


async def _one_correct_file(alive: Alive, deaths: tuple[str, ...]) -> None:
    """From the request to the deletion over all these deaths."""
    fuses = alive.home / "fuses"
    fuses.mkdir()
    for number, point in enumerate(deaths):
        (fuses / f"{point}.{number}").touch()
    tenant = await alive.house.tenant(email="killed@example.com")
    expected = {(await alive.house.subscription(tenant)).subscription_id for _ in range(3)}
    wanted = SubscriptionFilter(customer_id=tenant.customer_id)
    by = {"password": PASSWORD, "actor": f"operator:{alive.home.name}"}
    async with await alive.client() as teiki:
        asked = asyncio.create_task(teiki.exports.request("subscriptions", wanted, **by))
        killed = await _work_until(alive, asyncio.create_task(_ready(asked)))
        export = await asked
        saved = await export.download(alive.home / "saved.xlsx")
        rows = alive.workbook(saved, PASSWORD)
        assert len(rows) == 3
        assert {row["定期課金ID"] for row in rows} == expected
        assert [Path(name).suffix for name in alive.files()] == [".xlsx"]
        killed += await _work_until(alive, asyncio.create_task(_expired(export)))
        assert killed == len(deaths), "somebody did not die"
    assert list(fuses.iterdir()) == []
    assert alive.files() == []
    assert [path for path in (alive.home / "tmp").rglob("*") if path.is_file()] == []
    assert await alive.house.rows("SELECT * FROM sealed_secrets WHERE export_id = %s", export.id) == []
    moves = "SELECT data->>'to' AS to FROM history WHERE subject_id = %s AND kind = 'status' ORDER BY seq"
    assert [row["to"] for row in await alive.house.rows(moves, export.id)] == [
        *("requested", "creating", "ready", "expired")
    ]


async def _work_until(alive: Alive, done: asyncio.Task[None]) -> int:
    """Workers, each started when the one before has died; how many were killed."""
    killed = 0
    while not done.done():
        async with alive.worker(WORKER, TEST_FUSES=str(alive.home / "fuses")) as worker:
            death = asyncio.create_task(worker.wait())
            await asyncio.wait({done, death}, return_when=asyncio.FIRST_COMPLETED)
            if not death.done():
                death.cancel()
            else:
                assert death.result() == -signal.SIGKILL
                killed += 1
    await done
    return killed


async def _ready(asked: asyncio.Task[Export]) -> None:
    assert (await (await asked).wait()).status is ExportStatus.READY


async def _expired(export: Export) -> None:
    """Canceled, which deletes the file. A caller whose patience is over first says the same again."""
    while (await export.show()).status is not ExportStatus.EXPIRED:
        with suppress(TeikiError):
            await export.cancel(request_id="cancel-1")


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
