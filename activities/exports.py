"""Exports: entering a request, its turn, the file, changes of status, and sweeping up.

The file that counts is the one whose name stands in the row. A run writes its name there before it writes anything
else, and removes what an earlier run had named: so however often a worker is killed, one file remains, or none
(spec: exports.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

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
    Recorded,
    RecordExport,
    SweepExports,
    Swept,
    TakeTurn,
    Turn,
    WriteExport,
    Written,
)
from activities.export_writing import Writing
from db import exports, sealed_secrets
from db.engine import Database
from db.reads.sheets import sheet_of
from domain.errors import ErrorCode, TeikiError
from domain.exports import FINAL, TIME_OVER, ExportStatus
from exports.storage import Storage, new_name

_HEARTBEAT_S: Final = 1.0
_TRIES_MAX: Final = 4
"""A fault that is not the database's outage is given up after so many runs."""
_NAMES_AT_ONCE: Final = 500

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportsActivities(ExportsContract):
    """The implementation.

    Attributes:
        unseal: the sealed password and its export's id → the password.
        threads: where workbooks are written; as many at once as it has threads. None: the event loop's own.
    """

    db: Database
    storage: Storage
    unseal: Callable[[bytes, str], str]
    threads: Executor | None = None

    @activity.defn(name=OPEN)
    async def open(self, order: OpenExport) -> Opened:
        try:
            sheet_of(order.kind).filter_type.model_validate(order.filter)
        except (TeikiError, ValueError) as error:
            await sealed_secrets.drop_secret(self.db, order.export_id)
            message = (
                error.message if isinstance(error, TeikiError) else "The filter is not one of this kind."
            )
            return Opened(
                outcome="refused",
                export_id=order.export_id,
                code=ErrorCode.INVALID_INPUT.value,
                message=message,
            )
        entered = await exports.enter_export(self.db, order)
        return Opened.model_validate(entered._asdict())

    @activity.defn(name=TAKE_TURN)
    async def take_turn(self, order: TakeTurn) -> Turn:
        row = await exports.take_turn(self.db, order.export_id, at=order.at)
        status = ExportStatus(row["status"])
        if status is ExportStatus.REQUESTED:
            return Turn(outcome="waiting")
        if status is ExportStatus.CREATING:
            return Turn(outcome="granted", started_at=row["started_at"])
        return Turn(outcome="over")

    @activity.defn(name=WRITE)
    async def write(self, order: WriteExport) -> Written:
        name = new_name()
        owned = await exports.own_file(self.db, order.export_id, name)
        if owned is None:
            return Written(outcome="over")
        request, earlier = owned
        if earlier is not None:
            await asyncio.to_thread(self.storage.remove, earlier)
        try:
            rows, size = await self._written(await self._writing(request), name)
        except Exception as error:
            ending = _ending(error)
            if ending is None:
                raise
            raise ending from error
        if await exports.owns_file(self.db, order.export_id, name):
            return Written(outcome="written", file_name=name, rows=rows, size_bytes=size)
        # The export ended meanwhile, or another run took over, which the next one will find out.
        await asyncio.to_thread(self.storage.remove, name)
        raise ApplicationError("This run's file does not count any more.", type="superseded")

    @activity.defn(name=RECORD)
    async def record(self, order: RecordExport) -> Recorded:
        moved = await exports.move(self.db, order)
        if moved.status in FINAL and moved.file_name is not None:
            await asyncio.to_thread(self.storage.remove, moved.file_name)
        return Recorded(status=moved.status, reason=moved.reason, next_up=moved.next_up)

    @activity.defn(name=SWEEP)
    async def sweep(self, order: SweepExports) -> Swept:
        swept = {"expired": 0, "failed": 0}
        for export_id, status in await exports.overdue(self.db, at=order.at):
            is_ready = status is ExportStatus.READY
            change = RecordExport(
                export_id=export_id,
                at=order.at,
                to=ExportStatus.EXPIRED if is_ready else ExportStatus.FAILED,
                reason=TIME_OVER if is_ready else ErrorCode.EXPORT_TIMED_OUT.value,
                actor="system",
            )
            moved = await exports.move(self.db, change)
            swept[change.to.value] += moved.status is change.to
        secrets = await sealed_secrets.sweep_secrets(self.db, at=order.at)
        return Swept(files=await self._sweep_files(), secrets=secrets, **swept)

    async def _sweep_files(self) -> int:
        """Remove what belongs to no export. A name is in the books before its file is: listed first, asked then."""
        names = await asyncio.to_thread(lambda: list(self.storage.names()))
        gone = 0
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            counting = await exports.files_that_count(self.db, some)
            for name in some:
                if name not in counting:
                    await asyncio.to_thread(self.storage.remove, name)
                    gone += 1
        return gone

    async def _writing(self, request: dict[str, Any]) -> Writing:
        sheet = sheet_of(request["kind"])
        return Writing(
            database=self.db.engine.url.render_as_string(hide_password=False),
            sheet=sheet,
            wanted=sheet.filter_type.model_validate(request["filter"]),
            requester=request["requester"],
            requested_at=request["requested_at"],
            language=request["language"],
            zone=request["zone"],
            password=await self._password(request["id"]) if request["encrypted"] else None,
        )

    async def _password(self, export_id: str) -> str:
        sealed = await sealed_secrets.find_secret(self.db, export_id)
        if sealed is None:
            raise TeikiError(ErrorCode.EXPORT_PASSWORD_GONE, "The sealed password is gone; request it again.")
        return self.unseal(sealed, export_id)

    async def _written(self, writing: Writing, name: str) -> tuple[int, int]:
        """Run it in a thread, tell how far it is, and stop it when this activity is canceled."""
        activity.heartbeat(writing.progress())
        running = asyncio.get_running_loop().run_in_executor(self.threads, writing.run, self.storage, name)
        try:
            while not (await asyncio.wait({running}, timeout=_HEARTBEAT_S))[0]:
                activity.heartbeat(writing.progress())
        except asyncio.CancelledError:
            writing.stop()
            await asyncio.wait({running})
            if running.exception() is None:  # it was whole already; nobody wants it any more
                await asyncio.to_thread(self.storage.remove, name)
            raise
        return running.result()


def _ending(error: Exception) -> ApplicationError | None:
    """What ends the export with a reason; None for what is tried again."""
    if isinstance(error, TeikiError):
        if error.code is ErrorCode.DATABASE_UNAVAILABLE:
            return None
        return ApplicationError(error.message, error.facts, type=error.code.value, non_retryable=True)
    if activity.info().attempt < _TRIES_MAX:
        return None
    # What it says may hold personal data (a value, a filter): the log names its type only.
    _logger.error("an export is given up", extra={"error": type(error).__name__})
    return ApplicationError(
        "The workbook could not be written.", type=ErrorCode.EXPORT_FAILED.value, non_retryable=True
    )
