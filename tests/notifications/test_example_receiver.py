"""The receiver of `examples/`, as a process: what is forged it refuses, what comes twice it does once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from db import endpoints
from runtime.embedded.ports import free_ports
from runtime.embedded.processes import end, spawn
from tests.architecture.reading import ROOT
from tests.notifications.conftest import OTHER_SECRET, SEALER, SECRET, said

EXAMPLE = str(ROOT / "examples" / "receiver.py")


@asynccontextmanager
async def receiver(home: Path, *secrets: str) -> AsyncIterator[tuple[str, Path]]:
    """Where it listens, and the file that its standard output goes to."""
    port, log = free_ports(1)[0], home / f"receiver-{len(secrets)}.log"
    process = await spawn(
        [sys.executable, EXAMPLE, "--port", str(port), "--database", str(home / "received.db")],
        log=log,
        env={**os.environ, "ENDPOINT_SECRET": " ".join(secrets)},
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/notifications", log
    finally:
        await end(process)


async def test_the_example_verifies_and_does_each_thing_once_over_a_resend_a_restart_and_a_rotation(
    counter, tmp_path
):
    async with receiver(tmp_path, SECRET) as (url, log):
        endpoint = await counter.endpoint(url)
        first = await counter.happens("sub_1", number=1, note="定期")
        assert (await counter.told()).delivered == 1
        await endpoints.resend(counter.db, first, endpoint_id=None, said=said())
        assert (await counter.told()).delivered == 1
        async with aiohttp.ClientSession() as stranger:
            forged = {"webhook-id": "ntf_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
            for headers in ({}, forged, {**forged, "webhook-signature": "nonsense"}):
                async with stranger.post(
                    url, data=b'{"type":"payment.settled","data":{}}', headers=headers
                ) as told:
                    assert told.status == 401
        assert log.read_text(encoding="utf-8") == 'payment.settled {"note": "定期", "number": 1}\n'
    await endpoints.rotate_secret(
        counter.db, endpoint, sealed_secret=SEALER.seal(OTHER_SECRET, endpoint), said=said()
    )
    async with receiver(tmp_path, SECRET, OTHER_SECRET) as (url, log):
        await endpoints.change_endpoint(counter.db, endpoint, url=url, topics=(), said=said())
        await endpoints.resend(counter.db, first, endpoint_id=None, said=said())
        await counter.happens("sub_1", "order.status", to="complete")
        done = await counter.told()
        assert (done.delivered, done.failed) == (2, 0)
        assert log.read_text(encoding="utf-8") == 'order.status {"to": "complete"}\n'


async def test_without_a_secret_it_does_not_start(tmp_path):
    process = await spawn(
        [sys.executable, EXAMPLE, "--database", str(tmp_path / "received.db")],
        log=tmp_path / "log",
        env={name: value for name, value in os.environ.items() if name != "ENDPOINT_SECRET"},
    )
    assert await process.wait() == 2
