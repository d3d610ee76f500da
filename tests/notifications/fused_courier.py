"""A worker that brings notifications, as production's does, and ends by SIGKILL where a fuse lies.

A fuse is a file `<point>.<n>` in the directory `TEST_FUSES`: whoever passes the point takes it and dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from temporalio.worker import Worker

from activities.notifications import NotificationsActivities
from db.engine import Database
from domain.notifications import Answer, Letter
from gateways.endpoint_client import EndpointClient
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect
from worker import endpoint_unsealer, options_of
from workflows.notifications import Notifications

POINTS: Final = ("commit.before", "commit.after", "claim.after", "sending.before", "sending.after")
"""Around what is passed on and recorded, after a claim, and around the sending."""


def reach(point: str) -> None:
    """Pass this point, or end here."""
    for fuse in Path(os.environ["TEST_FUSES"]).glob(f"{point}.*"):
        fuse.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class FusedDatabase(Database):
    """May end around each commit, and after each claim: the one statement that the courier sends on its own."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as cursor:
            yield cursor
            reach("commit.before")
        reach("commit.after")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as driver:
            yield driver
        reach("claim.after")


class FusedClient(EndpointClient):
    async def post(self, letter: Letter) -> Answer:
        reach("sending.before")
        answer = await super().post(letter)
        reach("sending.after")
        return answer


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    client = await connect(settings)
    database = FusedDatabase.connect(settings.database, pool_size=8)
    endpoints = FusedClient(allow_private=True, total_s=2)
    courier = NotificationsActivities(database, endpoints.post, endpoint_unsealer(settings))
    try:
        async with Worker(
            client, workflows=[Notifications], activities=courier.registered(), **options_of(settings)
        ):
            mark_ready(settings.ready_file)
            await stop.wait()
    finally:
        await endpoints.close()
        await database.close()


if __name__ == "__main__":
    given = Settings.load()
    start_telemetry(given)
    sys.exit(run_service(lambda stop: serve(given, stop), name="courier", ready_file=given.ready_file))
