"""Exports: request a workbook, watch it grow, take it, and My Requests (spec: exports.md, interfaces.md §1).

    export = await teiki.exports.request("subscriptions", filter=SubscriptionFilter(...), password="…")
    await export.wait()
    await export.download(Path("subscriptions.xlsx"))

A password is sealed into the database before the workflow starts and never passes through Temporal. Whoever asks is
the only one who sees the request, besides admins (`domain.roles`).
"""

from __future__ import annotations

import asyncio
import builtins
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from activities.contracts.exports import Progress
from db.export_downloads import log_download
from db.reads import exports as reads
from db.reads.exports import ExportDownload, ExportItem, ExportPage
from db.reads.sheets import filter_of, sheet_of
from db.sealed_secrets import keep_secret
from domain.errors import ErrorCode, TeikiError
from domain.exports import SECRET_LIFE, ExportStatus, Language
from domain.free_text import require_free_text
from domain.identifiers import export_workflow_id, require_id
from exports.encryption import require_password
from exports.places import storage_at
from exports.storage import FileGoneError, Storage
from runtime.sealing import Sealer
from starter.engine import NotRunning
from starter.subscriptions import DEFAULT_ACTOR
from workflows.export import Export as ExportWorkflow
from workflows.export_messages import CancelExport, ExportInput, ExportOpened, RequestExport
from workflows.visibility import KIND, STATUS

if TYPE_CHECKING:
    from starter.teiki import Teiki

_LOOK_EVERY_S: Final = 0.5


class Exports:
    """`teiki.exports`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def request(
        self,
        kind: str,
        filter: BaseModel | None = None,  # noqa: A002 - the word the specification uses
        *,
        password: str | None = None,
        language: Language = "ja",
        zone: str | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
        again_of: str | None = None,
    ) -> Export:
        """Ask for a workbook of everything of a kind, or of what a filter names.

        Args:
            kind: `orders`, `permissions`, `subscriptions` or `payments`.
            filter: the list's own filter; None: everything.
            password: needed to open the file, any length and characters; None: the file is not encrypted.
            language: of headers and the first sheet.
            zone: of instants in the sheet; default the merchant's.
            request_id: repeating the call with it answers with the same export.
            actor: the requester.
            comment: for operators.
            again_of: the export that this one repeats.

        Raises:
            TeikiError: `invalid_input`, `invalid_zone`, `password_empty`, `settings_invalid` (a password, but no keys
                to seal it with), `request_id_conflict`, `engine_unavailable`, `database_unavailable`.
        """
        wanted = filter_of(kind, filter)
        warnings = [] if password is None else require_password(password)
        await self._teiki.gate.admit("export.request", actor=actor)  # before a password is sealed for nothing
        command = RequestExport(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=comment,
            kind=kind,
            filter=_as_json(wanted),
            language=language,
            zone=zone or self._teiki.settings.merchant_zone,
            encrypted=password is not None,
            again_of=again_of,
        )
        export_id = self._teiki.new_id("exp")
        if password is not None:
            await self._seal(password, export_id)
        opened: ExportOpened = await self._teiki.engine.start_and_update(
            ExportWorkflow,
            ExportInput(id=export_id, request=command),
            ExportWorkflow.await_opened,
            workflow_id=export_workflow_id(export_id),
            shown={STATUS: "requested", KIND: "export"},
            summary=f"export of {kind}",
            task_queue=self._teiki.settings.exports_task_queue,
        )
        if opened.outcome == "refused":
            raise TeikiError(
                ErrorCode(opened.code or ErrorCode.INVALID_INPUT), opened.message, **opened.facts
            )
        return Export(self._teiki, opened.export_id, actor=actor, warnings=warnings)

    def get(self, export_id: str, *, actor: str = DEFAULT_ACTOR, of_others: bool = False) -> Export:
        """A handle; whether it exists, and for this actor, is found out by its first call.

        `of_others`: also if somebody else asked for it, which admins may only.
        """
        return Export(self._teiki, require_id(export_id, "exp"), actor=actor, of_others=of_others)

    async def list(
        self,
        *,
        actor: str = DEFAULT_ACTOR,
        of_others: bool = False,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> ExportPage:
        """My Requests: the actor's own, newest first; with `of_others`, for admins, everybody's.

        Raises:
            TeikiError: `forbidden`, `invalid_cursor`, `invalid_input`.
        """
        await self._teiki.gate.admit(_reading(of_others), actor=actor)
        database = await self._teiki.database()
        page = await reads.list_exports(
            database, requester=None if of_others else actor, cursor=cursor, limit=limit
        )
        live = [await with_progress(self._teiki, item) for item in page.items]
        return page.model_copy(update={"items": live})

    async def _seal(self, password: str, export_id: str) -> None:
        now = self._teiki.now()
        sealed = Sealer(self._teiki.settings.export_keyring()).seal(password, export_id)
        await keep_secret(
            await self._teiki.database(), export_id, sealed, at=now, expires_at=now + SECRET_LIFE
        )


class Export:
    """One request. All operations are safe to repeat with the same `request_id`.

    Attributes:
        warnings: codes of what is unwise about the password (`password_longer_than_255`), right after the request.
    """

    def __init__(
        self,
        teiki: Teiki,
        export_id: str,
        *,
        actor: str,
        of_others: bool = False,
        warnings: builtins.list[str] | None = None,
    ) -> None:
        self._teiki = teiki
        self._actor = actor
        self._of_others = of_others
        self.id = export_id
        self.warnings = warnings or []

    def __repr__(self) -> str:
        return f"Export({self.id!r})"

    async def show(self) -> ExportItem:
        """Where it stands; while it is created, how far it is.

        Raises:
            TeikiError: `export_not_found`, also for another's; `forbidden`.
        """
        await self._teiki.gate.admit(_reading(self._of_others), actor=self._actor, subject_id=self.id)
        found = await reads.find_export(await self._teiki.database(), self.id, requester=self._requester)
        if found is None:
            raise TeikiError(ErrorCode.EXPORT_NOT_FOUND, "There is no such export.", export_id=self.id)
        return await with_progress(self._teiki, found)

    @property
    def _requester(self) -> str | None:
        """Whose requests are seen; None: everybody's."""
        return None if self._of_others else self._actor

    async def wait(self, on_progress: Callable[[ExportItem], None] = lambda _: None) -> ExportItem:
        """Until it can be downloaded. It goes on without the caller.

        Raises:
            TeikiError: `export_timed_out`, `export_canceled`, `export_failed`, `export_password_gone` (with advice),
                `export_expired`.
        """
        while True:
            item = await self.show()
            on_progress(item)
            if item.status is ExportStatus.READY:
                return item
            if item.status in (ExportStatus.FAILED, ExportStatus.EXPIRED):
                raise _no_file(item)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def download(
        self, to: Path, *, actor: str | None = None, source: str = "", overwrite: bool = False
    ) -> Path:
        """Save the file, readable by its owner only; answers its path.

        Args:
            to: a file that is made, or a directory in which it gets a name of its own.
            actor: who takes it, when it is not the requester.
            source: from where, for the log: an address, or a machine's name.
            overwrite: replace a file that is there.

        Raises:
            TeikiError: `export_not_found`, `export_not_ready`, `export_expired`, `invalid_input` (the file exists).
        """
        path = await asyncio.to_thread(_free_path, to, file_name_of(await self.show()), overwrite)
        item, pieces = await self._open(actor=actor, source=source or socket.gethostname())
        try:
            await asyncio.to_thread(_save, pieces, path)
        except FileGoneError as error:
            raise _expired(item) from error
        return path

    async def stream(self, *, actor: str | None = None, source: str) -> AsyncIterator[bytes]:
        """The file in pieces, for whoever passes it on; refuses like `download`."""
        item, pieces = await self._open(actor=actor, source=source)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        except FileGoneError as error:
            raise _expired(item) from error

    async def downloads(self) -> builtins.list[ExportDownload]:
        """Who took it, when and from where."""
        await self.show()
        return await reads.list_downloads(await self._teiki.database(), self.id)

    async def again(self, *, password: str | None = None, **by: Any) -> Export:
        """Repeat the same request, as of now. A password is not kept: one that was needed is given again.

        Raises:
            TeikiError: `export_password_needed`, and what `request` raises.
        """
        item = await self.show()
        if item.encrypted and password is None:
            raise TeikiError(
                ErrorCode.EXPORT_PASSWORD_NEEDED,
                "That export had a password, which is not kept; give one again.",
                export_id=self.id,
            )
        return await self._teiki.exports.request(
            item.kind,
            sheet_of(item.kind).filter_type.model_validate(item.filter),
            password=password,
            language="ja" if item.language == "ja" else "en",
            zone=item.zone,
            again_of=self.id,
            **{"actor": self._actor, **by},
        )

    async def cancel(
        self, *, request_id: str | None = None, actor: str | None = None, comment: str = ""
    ) -> ExportItem:
        """Write nothing more; or delete the file at once.

        Raises:
            TeikiError: `export_not_found`, `invalid_status` when it has ended, `engine_unavailable`.
        """
        item = await self.show()
        command = CancelExport(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor or self._actor,
            comment=comment,
        )
        try:
            await self._teiki.engine.update(
                export_workflow_id(self.id),
                ExportWorkflow.cancel,
                command,
                update_id=f"{command.request_id}:{command.fingerprint()}",
            )
        except NotRunning as error:
            raise TeikiError(
                ErrorCode.INVALID_STATUS,
                "This export has ended.",
                status=item.status.value,
                allowed="requested, creating and ready",
            ) from error
        return await self.show()

    async def _open(self, *, actor: str | None, source: str) -> tuple[ExportItem, Iterator[bytes]]:
        """Decide, log, and open: nobody gets a byte that is not in the log."""
        database, now = await self._teiki.database(), self._teiki.now()
        item = await self.show()
        found = await reads.find_file(database, self.id, requester=self._requester)
        if item.status is not ExportStatus.READY or item.seconds_left(now) <= 0 or found is None:
            raise _no_file(item)
        taker = actor or self._actor
        await self._teiki.gate.admit("export.read", actor=taker, subject_id=self.id)
        await log_download(database, self.id, at=now, actor=taker, source=source)
        try:
            return item, await asyncio.to_thread(self._storage().read, found[1])
        except FileGoneError as error:
            raise _expired(item) from error

    def _storage(self) -> Storage:
        settings = self._teiki.settings
        return storage_at(settings.export_place, spool=settings.state_dir / "exports-spool")


def _reading(of_others: bool) -> str:
    return "export.of_others" if of_others else "export.read"


def file_name_of(item: ExportItem) -> str:
    """`subscriptions-20261201T093000Z.xlsx`: what it is and when it was asked for."""
    return f"{item.kind}-{item.requested_at:%Y%m%dT%H%M%SZ}.xlsx"


async def with_progress(teiki: Teiki, item: ExportItem) -> ExportItem:
    """The same, with what the worker last said of its progress while it is created."""
    if item.status is not ExportStatus.CREATING:
        return item
    try:
        said = await teiki.engine.progress(export_workflow_id(item.id))
    except (NotRunning, TeikiError):  # a list is shown also while the engine is away
        return item
    if not isinstance(said, dict):
        return item
    progress = Progress.model_validate(said)
    return item.model_copy(update={"rows": progress.rows, "total": progress.total})


def _as_json(wanted: BaseModel) -> dict[str, Any]:
    """What was given of a filter, which is kept; sets in order, so that equal filters are equal texts."""
    given = wanted.model_dump(mode="json", exclude_defaults=True)
    for value in given.values():
        for text in value.values() if isinstance(value, dict) else (value,):
            if isinstance(text, str):
                require_free_text(text, what="filter")
    return {name: sorted(value) if isinstance(value, list) else value for name, value in given.items()}


def _no_file(item: ExportItem) -> TeikiError:
    if item.status is ExportStatus.FAILED:
        known = {code.value for code in ErrorCode}
        code = ErrorCode(item.reason) if item.reason in known else ErrorCode.EXPORT_FAILED
        return TeikiError(code, item.advice or "It could not be written.", export_id=item.id)
    if item.status in (ExportStatus.REQUESTED, ExportStatus.CREATING):
        return TeikiError(
            ErrorCode.EXPORT_NOT_READY,
            "The file is not written yet.",
            export_id=item.id,
            status=item.status.value,
        )
    return _expired(item)


def _expired(item: ExportItem) -> TeikiError:
    return TeikiError(
        ErrorCode.EXPORT_EXPIRED,
        "The file could be downloaded for 4 hours and is gone; request it again.",
        export_id=item.id,
        expires_at=item.expires_at.isoformat() if item.expires_at else None,
    )


def _free_path(to: Path, name: str, overwrite: bool) -> Path:
    """Where to save it; refused when something is there that is not to be replaced."""
    path = to / name if to.is_dir() else to
    if path.exists() and not overwrite:
        raise TeikiError(ErrorCode.INVALID_INPUT, "There is a file of this name already.", file=str(path))
    return path


def _save(pieces: Iterator[bytes], path: Path) -> None:
    """Under a name of its own until it is whole, so that a broken download looks like none."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
