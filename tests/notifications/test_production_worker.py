"""The worker of production with its schedule: what happens arrives by itself, and a worker that stops stops soon."""

from __future__ import annotations

import asyncio
import signal
from uuid import uuid4

import pytest

from runtime.codec import new_key
from runtime.embedded.temporal_servers import DevServer
from tests.notifications.conftest import KEYS, SECRET, working
from tests.notifications.merchant import merchant


@pytest.mark.timeout(180)
async def test_what_happens_arrives_by_itself_and_a_stopped_worker_leaves_nothing_half_done(
    db, counter, tmp_path
):
    async with DevServer() as server, merchant(secret=SECRET) as shop, asyncio.timeout(150):
        variables = {
            "TEIKI_DATABASE_URL": db.engine.url.render_as_string(hide_password=False),
            "TEIKI_CODEC_KEYS": new_key("k1"),
            "TEIKI_ENDPOINT_SECRET_KEYS": KEYS,
            "TEIKI_ENDPOINT_ALLOW_PRIVATE": "true",
            "TEIKI_TASK_QUEUE": f"queue-{uuid4().hex[:8]}",
            "TEIKI_WORKER_ROLE": "billing",
            "TEIKI_STATE_DIR": str(tmp_path),
            "TEMPORAL_ADDRESS": server.address,
        }
        endpoint = await counter.endpoint(shop.url)
        await counter.happens("sub_1", n=1)
        async with working("worker", tmp_path, variables) as worker:
            await shop.has(lambda shop: len(shop.taken) == 1, within_s=60)
            await counter.happens("sub_1", n=2)
            await shop.has(lambda shop: len(shop.taken) == 2, within_s=20)
            # One is under way while the worker stops: it is brought home first.
            shop.fault = lambda: 1.0
            await counter.happens("sub_2", n=3)
            await shop.has(lambda shop: len(shop.taken) == 3, within_s=20)
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
        assert await counter.states(endpoint) == ["delivered"] * 3
        shop.fault = lambda: None
        await counter.happens("sub_1", n=4)
        async with working("worker", tmp_path, variables):
            await shop.has(lambda shop: len(shop.taken) == 4, within_s=60)
    assert [seen["data"]["n"] for seen in shop.arrived] == [1, 2, 3, 4]
