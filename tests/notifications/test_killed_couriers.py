"""Couriers killed at every point, merchants that fail at random: everything arrives, nothing is invented, in order.

A real Temporal server, a real Postgres, workers that are processes, two merchants over real sockets. What is left of
leases and pauses when somebody died is cut short, as if time had passed; a test has no three days.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from activities.contracts.notifications import Deliver
from db.engine import Database
from runtime.codec import KeyRing, new_key
from runtime.embedded.processes import tail
from runtime.embedded.temporal_servers import DevServer
from tests.notifications.conftest import KEYS, SECRET, working
from tests.notifications.fused_courier import POINTS
from tests.notifications.merchant import Fault, Merchant, merchant
from workflows.notifications import Notifications

COURIER = "tests.notifications.fused_courier"
OBJECTS = 12
EVENTS = 240
RANDOM_DEATHS = 2
SEED = 7


class NeverMind(Exception):  # noqa: N818 - somebody changed their mind
    """Rolls a transaction back."""


def moods(seed: int) -> Any:
    """A merchant's faults, one after another; the same for the same seed."""
    dice = random.Random(seed)

    def mood() -> Fault | None:
        thrown = dice.random()
        if thrown < 0.2:
            return 500
        if thrown < 0.3:
            return "hang up"
        return dice.uniform(0.01, 0.3) if thrown < 0.5 else None

    return mood


async def write(db: Database, dice: random.Random) -> None:
    """Events of several objects, each object's in order; some are taken back before they are committed."""
    for number in range(EVENTS):
        for is_true in (False, True) if dice.random() < 0.2 else (True,):
            with suppress(NeverMind):
                async with db.transaction() as cursor:
                    await cursor.execute(
                        "INSERT INTO outbox (topic, subject_id, payload) VALUES (%s, %s, %s::jsonb)",
                        [
                            "payment.settled",
                            f"sub_{number % OBJECTS}",
                            json.dumps({"n": number, "true": is_true}),
                        ],
                    )
                    if not is_true:
                        raise NeverMind
        await asyncio.sleep(0.02)


async def time_passes(db: Database) -> None:
    async with db.transaction() as cursor:
        await cursor.execute("UPDATE deliveries SET next_at = clock_timestamp() WHERE state = 'waiting'")


@pytest.mark.timeout(240)
async def test_couriers_killed_anywhere_lose_nothing_invent_nothing_and_keep_the_order(db, counter, tmp_path):
    codec_keys, dice, queue = new_key("k1"), random.Random(SEED), f"queue-{uuid4().hex[:8]}"
    fuses = tmp_path / "fuses"
    fuses.mkdir()
    async with (
        DevServer() as server,
        merchant(secret=SECRET, fault=moods(SEED)) as one,
        merchant(secret=SECRET, fault=moods(SEED + 1)) as two,
    ):
        variables = {
            "TEIKI_DATABASE_URL": db.engine.url.render_as_string(hide_password=False),
            "TEIKI_CODEC_KEYS": codec_keys,
            "TEIKI_ENDPOINT_SECRET_KEYS": KEYS,
            "TEIKI_TASK_QUEUE": queue,
            "TEIKI_STATE_DIR": str(tmp_path),
            "TEIKI_STICKY_SECONDS": "5",  # of who was killed
            "TEMPORAL_ADDRESS": server.address,
            "TEST_FUSES": str(fuses),
        }
        client = await server.client(KeyRing.parse(codec_keys))
        for shop in (one, two):
            await counter.endpoint(shop.url)
        writing = asyncio.create_task(write(db, dice))
        for number, point in enumerate((*POINTS, *[""] * RANDOM_DEATHS)):
            # A watch for each courier: the one before is missed only after its heartbeat, and then comes back too.
            await client.start_workflow(
                Notifications.run, Deliver(), id=f"notifications-{number}", task_queue=queue
            )
            async with working(COURIER, tmp_path, variables) as process, asyncio.timeout(60):
                await asyncio.sleep(dice.uniform(0.2, 1.0))
                if point:
                    (fuses / f"{point}.{number}").touch()
                else:
                    process.send_signal(signal.SIGKILL)
                while process.returncode is None:
                    await time_passes(db)
                    await asyncio.sleep(0.1)
                assert process.returncode == -signal.SIGKILL, tail(tmp_path / "worker.log")
            await time_passes(db)
        await writing
        assert list(fuses.iterdir()) == []
        await client.start_workflow(Notifications.run, Deliver(), id="notifications-last", task_queue=queue)
        async with working(COURIER, tmp_path, variables), asyncio.timeout(90):
            for shop in (one, two):
                while len({seen["id"] for seen in shop.taken}) < EVENTS:
                    await time_passes(db)
                    await asyncio.sleep(0.2)
    for shop in (one, two):
        _everything_in_order(shop)


def _everything_in_order(shop: Merchant) -> None:
    first: dict[str, dict[str, Any]] = {}
    for seen in shop.taken:
        first.setdefault(seen["id"], seen)
    told = [seen["data"] for seen in first.values()]
    assert all(data["true"] for data in told), "what was never committed was told"
    assert sorted(data["n"] for data in told) == list(range(EVENTS))
    for number in range(OBJECTS):
        of_object = [data["n"] for data in told if data["n"] % OBJECTS == number]
        assert of_object == sorted(of_object), f"sub_{number} was told out of order"
    bodies: dict[str, set[bytes]] = {}
    for seen in shop.arrived:
        bodies.setdefault(seen["id"], set()).add(seen["body"])
    assert all(len(same) == 1 for same in bodies.values()), "a repetition has other bytes"
    assert len(shop.arrived) > EVENTS, "no fault ever fired"
