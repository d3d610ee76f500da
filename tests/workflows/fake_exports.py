"""A small real stand-in for the activities of exports: books and files in memory, and a script of what writing does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contracts.exports import (
    OPEN,
    RECORD,
    SWEEP,
    TAKE_TURN,
    WRITE,
    ExportsContract,
    Opened,
    OpenExport,
    Progress,
    Recorded,
    RecordExport,
    SweepExports,
    Swept,
    TakeTurn,
    Turn,
    WriteExport,
    Written,
)
from domain.exports import FINAL, NEXT, RUNNING_MAX, ExportStatus


@dataclass
class FakeExports(ExportsContract):
    """`script` says what each run of `write` does: `written`, `hang` (until canceled or released), or an error."""

    script: list[str | Exception] = field(default_factory=list)
    opened: dict[str, OpenExport] = field(default_factory=dict)
    status: dict[str, ExportStatus] = field(default_factory=dict)
    records: list[RecordExport] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: Opened | None = None

    @activity.defn(name=OPEN)
    async def open(self, order: OpenExport) -> Opened:
        if self.refuse is not None:
            return self.refuse
        self.opened[order.export_id] = order
        self.status[order.export_id] = ExportStatus.REQUESTED
        return Opened(outcome="opened", export_id=order.export_id)

    @activity.defn(name=TAKE_TURN)
    async def take_turn(self, order: TakeTurn) -> Turn:
        running = [name for name, status in self.status.items() if status is ExportStatus.CREATING]
        if len(running) >= RUNNING_MAX:
            return Turn(outcome="waiting")
        self.status[order.export_id] = ExportStatus.CREATING
        return Turn(outcome="granted", started_at=order.at)

    @activity.defn(name=WRITE)
    async def write(self, order: WriteExport) -> Written:
        self.writes.append(order.export_id)
        does = self.script.pop(0) if self.script else "written"
        if isinstance(does, Exception):
            raise does
        while does == "hang" and not self.released.is_set():
            activity.heartbeat(Progress(rows=5, total=10))
            await asyncio.sleep(0.05)
        return Written(outcome="written", file_name="0" * 64, rows=10, size_bytes=2_000)

    @activity.defn(name=RECORD)
    async def record(self, order: RecordExport) -> Recorded:
        before = self.status[order.export_id]
        if order.to in NEXT[before]:
            self.status[order.export_id] = order.to
            self.records.append(order)
        waiting = [name for name, status in self.status.items() if status is ExportStatus.REQUESTED]
        return Recorded(
            status=self.status[order.export_id], reason=order.reason, next_up=waiting[:RUNNING_MAX]
        )

    @activity.defn(name=SWEEP)
    async def sweep(self, order: SweepExports) -> Swept:
        return Swept(files=1)

    def moves(self, export_id: str) -> list[tuple[datetime, str, str]]:
        return [(r.at, r.to.value, r.reason) for r in self.records if r.export_id == export_id]

    def is_over(self) -> bool:
        return all(status in FINAL for status in self.status.values())


def broken() -> Exception:
    return RuntimeError("the disk is full")


def refused(code: str) -> Exception:
    return ApplicationError("No.", type=code, non_retryable=True)


def asked(**more: Any) -> dict[str, Any]:
    """The arguments of a request."""
    return {"request_id": "request-1", "actor": "operator:desk-1", "kind": "subscriptions"} | more
