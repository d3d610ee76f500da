"""Exports' activities with their storage, and the questions a test asks of both."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msoffcrypto
import openpyxl
from temporalio.testing import ActivityEnvironment

from activities.contracts.exports import OpenExport, RecordExport, TakeTurn, WriteExport, Written
from activities.exports import ExportsActivities
from db import sealed_secrets
from db.engine import Database
from domain.exports import ExportStatus
from exports.storage import DirectoryStorage
from runtime.codec import KeyRing
from runtime.sealing import Sealer
from tests.db.house import House, unique

PASSWORD = "合言葉 🎫 correct horse"
SEALER = Sealer(KeyRing.parse("t:" + base64.b64encode(bytes(32)).decode()))


@dataclass
class Office:
    """The activities, their storage, and what a test asks of both."""

    db: Database
    house: House
    directory: Path

    @property
    def exports(self) -> ExportsActivities:
        return ExportsActivities(self.db, DirectoryStorage(self.directory), SEALER.unseal)

    def order(self, **more: Any) -> OpenExport:
        given = {
            "export_id": unique("exp"),
            "request_id": unique("req"),
            "actor": unique("operator:desk"),
            "at": now(),
            "kind": "subscriptions",
            "language": "en",
            "zone": "Asia/Tokyo",
            "encrypted": False,
        }
        return OpenExport.model_validate(given | more)

    async def creating(self, *, password: str | None = None, **more: Any) -> OpenExport:
        order = self.order(encrypted=password is not None, **more)
        if password is not None:
            await self.seal(order.export_id, password)
        assert (await self.exports.open(order)).outcome == "opened"
        turn = await self.exports.take_turn(TakeTurn(export_id=order.export_id, at=order.at))
        assert turn.outcome == "granted"
        return order

    async def seal(self, export_id: str, password: str) -> None:
        sealed = SEALER.seal(password, export_id)
        until = now() + timedelta(hours=1)
        await sealed_secrets.keep_secret(self.db, export_id, sealed, at=now(), expires_at=until)

    async def write(self, order: OpenExport, **environment: Any) -> Written:
        return await ActivityEnvironment().run(
            self.exports.write, WriteExport(export_id=order.export_id), **environment
        )

    async def ready(self, order: OpenExport, written: Written, at: datetime | None = None) -> Any:
        at = at or now()
        return await self.exports.record(
            RecordExport(
                export_id=order.export_id,
                at=at,
                to=ExportStatus.READY,
                reason="written",
                actor="system",
                file_name=written.file_name,
                rows=written.rows,
                size_bytes=written.size_bytes,
                expires_at=at + timedelta(hours=4),
            )
        )

    async def over(self, order: OpenExport, to: ExportStatus, reason: str = "export_canceled") -> Any:
        change = RecordExport(
            export_id=order.export_id,
            at=now(),
            to=to,
            reason=reason,
            actor="operator:desk",
            operation="cancel",
        )
        return await self.exports.record(change)

    async def everything(self, order: OpenExport) -> Any:
        stored = [
            await self.house.rows("SELECT * FROM exports WHERE id = %s", order.export_id),
            await self.house.rows(
                "SELECT * FROM history WHERE subject_id = %s ORDER BY seq", order.export_id
            ),
            await self.house.rows("SELECT * FROM sealed_secrets WHERE export_id = %s", order.export_id),
        ]
        return stored, self.files()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.is_dir() else []

    def rows(self, written: Written, password: str | None = None) -> list[dict[str, Any]]:
        return opened_workbook((self.directory / f"{written.file_name}.xlsx").read_bytes(), password)


def opened_workbook(content: bytes, password: str | None = None) -> list[dict[str, Any]]:
    """The rows of a workbook's second sheet, by the header's words."""
    if password is not None:
        encrypted, plain = msoffcrypto.OfficeFile(io.BytesIO(content)), io.BytesIO()
        encrypted.load_key(password=password, verify_password=True)
        encrypted.decrypt(plain, verify_integrity=True)
        content = plain.getvalue()
    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[1]
    header, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def now() -> datetime:
    return datetime.now(UTC)
