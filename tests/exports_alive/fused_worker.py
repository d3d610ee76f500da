"""The worker of exports as `worker.py` composes it, with named points at which it dies by SIGKILL.

    python -m tests.exports_alive.fused_worker

A file in the directory `TEST_FUSES`, named `file.half.1`, is a death to come at that point; whoever dies there removes
it first. Without any it lives. While the file `TEST_HOLD` exists, whatever is written stands still.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from temporalio import activity
from temporalio.worker import Worker

from activities.contracts.exports import RECORD, TAKE_TURN, Recorded, RecordExport, TakeTurn, Turn
from activities.exports import ExportsActivities
from db.engine import Database
from exports.storage import DirectoryStorage
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect
from worker import EXPORT_WORKFLOWS, exports_options_of, unsealer

POINTS: Final = (
    *("turn.after", "file.half", "file.before", "file.after"),
    *("ready.before", "ready.after", "expired.before", "expired.after"),
)
_ENOUGH_WRITES: Final = 3
_LOOK_S: Final = 0.05


def reach(point: str) -> None:
    """Pass this point, or end here."""
    if directory := os.environ.get("TEST_FUSES"):
        for fuse in Path(directory).glob(f"{point}.*"):
            fuse.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class FusedStorage(DirectoryStorage):
    """May end while a file grows, before it gets its name, and after."""

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        with super().writing(name) as file:
            fused: Any = _FusedFile(file)
            yield fused
            file.flush()
            reach("file.before")
        reach("file.after")


class _FusedFile:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writes = 0

    def write(self, data: bytes) -> int:
        self._writes += 1
        if self._writes > _ENOUGH_WRITES:
            self._file.flush()
            reach("file.half")
            while (hold := os.environ.get("TEST_HOLD")) and Path(hold).exists():
                time.sleep(_LOOK_S)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class FusedExports(ExportsActivities):
    """May end around a turn that is granted, and around a status that is written down."""

    @activity.defn(name=TAKE_TURN)
    async def take_turn(self, order: TakeTurn) -> Turn:
        turn = await super().take_turn(order)
        reach("turn.after")
        return turn

    @activity.defn(name=RECORD)
    async def record(self, order: RecordExport) -> Recorded:
        reach(f"{order.to.value}.before")
        recorded = await super().record(order)
        reach(f"{order.to.value}.after")
        return recorded


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    client = await connect(settings)
    database = Database.connect(settings.database, pool_size=4)
    exports = FusedExports(database, FusedStorage(Path(settings.export_place)), unsealer(settings))
    try:
        async with Worker(
            client,
            workflows=EXPORT_WORKFLOWS,
            activities=exports.registered(),
            **exports_options_of(settings),
        ):
            mark_ready(settings.ready_file)
            await stop.wait()
    finally:
        await database.close()


if __name__ == "__main__":
    given = Settings.load()
    start_telemetry(given)
    sys.exit(run_service(lambda stop: serve(given, stop), name="exports worker", ready_file=given.ready_file))
