"""One export: a request, its turn, a file, and the file's end.

`run` is the contract with the requester: at most two of theirs are written at once and the others wait in order; the
file is there within ten minutes of its turn, or a reason is; four hours later it is gone. The rows themselves never
pass here, and neither does the password (spec: exports.md, docs/security.md).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState
from temporalio.exceptions import TimeoutError as ActivityTimedOut

with workflow.unsafe.imports_passed_through():
    from activities.contracts.exports import (
        ExportsContract,
        OpenExport,
        RecordExport,
        SweepExports,
        Swept,
        TakeTurn,
        WriteExport,
        Written,
    )
    from domain.errors import ErrorCode, TeikiError
    from domain.exports import CANCELED, CREATION_MAX, DOWNLOAD_LIFE, TIME_OVER, ExportStatus, ExportView
    from workflows.entity import is_repetition
    from workflows.errors import refusal, refusals
    from workflows.export_messages import CancelExport, ExportInput, ExportOpened
    from workflows.options import FILE, RECORD
    from workflows.visibility import STATUS, export_details

SYSTEM = "system"
ENGINE = "operator:engine"
TURN_LOOK = timedelta(minutes=2)
"""How often a waiting export asks by itself; as a rule the one before it tells it at once."""


@workflow.defn(name="Export")
class Export:
    """One request. Workflow id `export/<id>`."""

    @workflow.init
    def __init__(self, start: ExportInput) -> None:
        self._start = start
        self._view: ExportView | None = None
        self._opened: ExportOpened | None = None
        self._seen: dict[str, str] = {start.request.request_id: start.request.fingerprint()}
        self._lock = asyncio.Lock()
        self._told = False
        self._stop_requested = False
        self._writing: workflow.ActivityHandle[Written] | None = None

    # ------------------------------------------------------------------ the contract with the requester

    @workflow.run
    async def run(self, start: ExportInput) -> ExportOpened | ExportView:
        # Shielded: "Request Cancellation" in the Web UI cancels the export in the books too.
        living = asyncio.create_task(self._live())
        try:
            return await asyncio.shield(living)
        except asyncio.CancelledError:
            self._stop_requested = True
            if self._writing is not None:
                self._writing.cancel()
            return await living

    async def _live(self) -> ExportOpened | ExportView:
        if await self._open():
            await self._wait_for_the_turn()
            await self._create()
            await self._keep()
            if self._stop_requested:
                async with self._lock:
                    await self._give_up(ENGINE)
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self._opened is not None
        return self._view or self._opened

    async def _open(self) -> bool:
        """Enter the request into the books, or refuse it by name and end without a trace."""
        request, now = self._start.request, workflow.now()
        opened = await workflow.execute_activity_method(
            ExportsContract.open,
            OpenExport(export_id=self._start.id, at=now, **request.model_dump()),
            summary="enter into the books",
            **RECORD,
        )
        if opened.outcome == "opened":
            self._show(
                ExportView(
                    id=self._start.id,
                    kind=request.kind,
                    requester=request.actor,
                    encrypted=request.encrypted,
                    status=ExportStatus.REQUESTED,
                    reason="requested",
                    requested_at=now,
                )
            )
        self._opened = ExportOpened(**opened.model_dump(), export=self._view)
        return self._view is not None

    async def _wait_for_the_turn(self) -> None:
        while self._current.status is ExportStatus.REQUESTED and not self._stop_requested:
            self._told = False
            async with self._lock:
                if self._current.is_final:
                    return
                turn = await workflow.execute_activity_method(
                    ExportsContract.take_turn,
                    TakeTurn(export_id=self._start.id, at=workflow.now()),
                    summary="is it its turn?",
                    **RECORD,
                )
                if turn.outcome == "granted":
                    self._show(
                        self._current.moved(ExportStatus.CREATING, "its_turn", started_at=turn.started_at)
                    )
                    return
                if turn.outcome == "over":  # put to an end behind our back: learn how
                    await self._give_up(SYSTEM)
                    return
            try:
                await workflow.wait_condition(
                    lambda: self._told or self._current.is_final or self._stop_requested,
                    timeout=TURN_LOOK,
                    timeout_summary="waits for its turn",
                )
            except TimeoutError:
                continue

    async def _create(self) -> None:
        """Write the file, then make it the one that counts; whatever goes wrong is a reason people can read."""
        if self._current.status is not ExportStatus.CREATING or self._stop_requested:
            return
        started_at = self._current.started_at or workflow.now()
        left = max(started_at + CREATION_MAX - workflow.now(), timedelta(seconds=1))
        self._writing = workflow.start_activity_method(
            ExportsContract.write,
            WriteExport(export_id=self._start.id),
            summary=f"write {self._current.kind}",
            schedule_to_close_timeout=left,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **FILE,
        )
        try:
            written = await self._writing
        except ActivityError as error:
            async with self._lock:
                if not self._current.is_final and not self._stop_requested:
                    await self._become(ExportStatus.FAILED, _reason(error), actor=SYSTEM)
            return
        finally:
            self._writing = None
        async with self._lock:
            if self._current.is_final or self._stop_requested:
                return
            if written.outcome == "over":  # put to an end behind our back: learn how
                await self._give_up(SYSTEM)
                return
            now = workflow.now()
            await self._become(
                ExportStatus.READY,
                "written",
                actor=SYSTEM,
                at=now,
                file_name=written.file_name,
                rows=written.rows,
                size_bytes=written.size_bytes,
                expires_at=now + DOWNLOAD_LIFE,
            )

    async def _keep(self) -> None:
        """Until the file's time is over."""
        view = self._current
        if view.status is not ExportStatus.READY or view.expires_at is None:
            return
        try:
            await workflow.wait_condition(
                lambda: self._current.is_final or self._stop_requested,
                timeout=max(view.expires_at - workflow.now(), timedelta()),
                timeout_summary="the file is deleted",
            )
        except TimeoutError:
            async with self._lock:
                if not self._current.is_final:
                    await self._become(ExportStatus.EXPIRED, TIME_OVER, actor=SYSTEM)

    # ------------------------------------------------------------------ what people and other exports may say

    @workflow.update(description="Wait until the request is entered into the books.")
    async def await_opened(self) -> ExportOpened:
        await workflow.wait_condition(lambda: self._opened is not None)
        assert self._opened is not None
        return self._opened

    @workflow.update(description="Write nothing more, or delete the file at once.")
    async def cancel(self, command: CancelExport) -> ExportView:
        async with self._lock:
            with refusals():
                if is_repetition(self._seen, command):
                    return self._current
                self._require_cancelable()
            await self._give_up(
                command.actor, comment=command.comment, request_id=command.request_id, operation="cancel"
            )
            self._seen[command.request_id] = command.fingerprint()
            if self._writing is not None:
                self._writing.cancel()
            return self._current

    @cancel.validator
    def _can_cancel(self, command: CancelExport) -> None:
        if self._view is None:
            raise refusal(ErrorCode.EXPORT_NOT_FOUND, "The export is not entered yet.", {})
        with refusals():
            if not is_repetition(self._seen, command):
                self._require_cancelable()

    @workflow.signal(description="An export before this one has ended.")
    def turn(self) -> None:
        self._told = True

    def _require_cancelable(self) -> None:
        if self._current.is_final:
            raise TeikiError(
                ErrorCode.INVALID_STATUS,
                "This export has ended.",
                status=self._current.status.value,
                allowed="requested, creating and ready",
            )

    # ------------------------------------------------------------------ writing it down

    @property
    def _current(self) -> ExportView:
        assert self._view is not None
        return self._view

    async def _give_up(self, actor: str, **said: Any) -> None:
        if self._current.is_final:
            return
        has_file = self._current.status is ExportStatus.READY
        to = ExportStatus.EXPIRED if has_file else ExportStatus.FAILED
        await self._become(to, CANCELED, actor=actor, **said)

    async def _become(
        self, to: ExportStatus, reason: str, *, actor: str, at: datetime | None = None, **facts: Any
    ) -> None:
        """Write it down, and only then remember it, as it is in the books."""
        now = at or workflow.now()
        recorded = await workflow.execute_activity_method(
            ExportsContract.record,
            RecordExport(export_id=self._start.id, at=now, to=to, reason=reason, actor=actor, **facts),
            summary=f"{to.value}: {reason}",
            **RECORD,
        )
        shown: dict[str, Any] = {
            name: facts[name] for name in ("rows", "size_bytes", "expires_at") if name in facts
        }
        if to is ExportStatus.READY:
            shown["ready_at"] = now
        self._show(
            self._current.moved(recorded.status, recorded.reason, **(shown if recorded.status is to else {}))
        )
        for export_id in recorded.next_up:
            await self._tell(export_id)

    async def _tell(self, export_id: str) -> None:
        """Its turn may have come. One that has ended meanwhile cannot be told, and need not be."""
        try:
            await workflow.get_external_workflow_handle(f"export/{export_id}").signal(Export.turn)
        except FailureError:
            workflow.logger.info("an export could not be told that its turn has come")

    def _show(self, view: ExportView) -> None:
        before, self._view = self._view, view
        if before is not None:
            workflow.upsert_search_attributes([STATUS.value_set(view.status.value)])
        workflow.set_current_details(export_details(view, self._start.request.zone))


def _reason(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ActivityTimedOut) or error.retry_state is RetryState.TIMEOUT:
        return ErrorCode.EXPORT_TIMED_OUT.value
    if isinstance(cause, ApplicationError) and cause.type in {code.value for code in ErrorCode}:
        return str(cause.type)
    return ErrorCode.EXPORT_FAILED.value


@workflow.defn(name="ExportSweep")
class ExportSweep:
    """Every five minutes: no file and no password past its life. Workflow id `export-sweep…`."""

    @workflow.run
    async def run(self) -> Swept:
        return await workflow.execute_activity_method(
            ExportsContract.sweep, SweepExports(at=workflow.now()), summary="what is past its life?", **RECORD
        )
