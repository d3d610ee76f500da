"""The worker of money as `worker.py` composes it, with named points at which it dies by SIGKILL while it blocks.

    python -m tests.blocked.fused_worker

A file in the directory `TEST_FUSES`, named `told.after.1`, is a death to come at that point; whoever dies there removes
it first. Pages are small, so that a block has several.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.worker import Worker

from activities import blocking
from activities.billing import BillingActivities
from activities.contracts.blocking import CHANGE, TELL, BlocksChanged, ChangeBlocks, Tell, Told
from activities.engine_commands import EngineCommands
from activities.orders import OrdersActivities
from activities.records import RecordsActivities
from db.engine import Database
from gateways.factory import gateway_of
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect
from worker import BILLING_WORKFLOWS, options_of

POINTS: Final = ("change.after", "told.after", "page.after")
_PAGE: Final = 3


def reach(point: str) -> None:
    """Pass this point, or end here."""
    if directory := os.environ.get("TEST_FUSES"):
        for fuse in sorted(Path(directory).glob(f"{point}.*")):
            fuse.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class FusedBlocking(blocking.BlockingActivities):
    """May end around the block's own transaction, after somebody was told, and when a page is done."""

    @activity.defn(name=CHANGE)
    async def change(self, order: ChangeBlocks) -> BlocksChanged:
        changed = await super().change(order)
        reach("change.after")
        return changed

    @activity.defn(name=TELL)
    async def tell(self, order: Tell) -> Told:
        told = await super().tell(order)
        reach("page.after")
        return told

    async def _tell(self, order: Tell, object_id: str, turns: Any) -> bool:
        heard = await super()._tell(order, object_id, turns)
        reach("told.after")
        return heard


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    client = await connect(settings)
    database = Database.connect(settings.database, pool_size=8)
    gateway = gateway_of(settings.gateway, settings.gateway_url, horizon_seconds=None)
    commands = EngineCommands(client)
    blocking._PAGE = _PAGE  # type: ignore[misc]  # a block of a few subscriptions has several pages
    try:
        async with Worker(
            client,
            workflows=BILLING_WORKFLOWS,
            activities=[
                *BillingActivities(database, gateway).registered(),
                *RecordsActivities(database, gateway).registered(),
                *OrdersActivities(database, gateway, commands).registered(),
                *FusedBlocking(database, commands).registered(),
            ],
            **options_of(settings),
        ):
            mark_ready(settings.ready_file)
            await stop.wait()
    finally:
        await gateway.close()
        await database.close()


if __name__ == "__main__":
    given = Settings.load()
    start_telemetry(given)
    sys.exit(run_service(lambda stop: serve(given, stop), name="worker", ready_file=given.ready_file))
