"""What an export's workflow may ask for: entering it, its turn, the file, and each change of its status.

No password passes here: a sealed one waits in the database under the export's id (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from domain.exports import ExportStatus, Language

OPEN = "export.open"
TAKE_TURN = "export.take_turn"
WRITE = "export.write"
RECORD = "export.record"
SWEEP = "export.sweep"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenExport(_Frozen):
    """A request to be entered. `at` is the instant of the request, which bounds what the file holds."""

    export_id: str
    request_id: str
    actor: str
    comment: str = ""
    at: datetime
    kind: str
    filter: dict[str, Any] = Field(default_factory=dict)
    language: Language
    zone: str
    encrypted: bool
    again_of: str | None = None


class Opened(_Frozen):
    """`opened`; `duplicate` of an earlier request with the same content, whose id this is; or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    export_id: str
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class TakeTurn(_Frozen):
    export_id: str
    at: datetime


class Turn(_Frozen):
    """`granted`: it is being created from `started_at` on; `waiting`: others come first; `over`: it has ended."""

    outcome: Literal["granted", "waiting", "over"]
    started_at: datetime | None = None


class WriteExport(_Frozen):
    export_id: str


class Progress(_Frozen):
    """Rows written, of how many, once they are counted; what the activity says of itself while it writes."""

    rows: int
    total: int | None


class Written(_Frozen):
    """A whole file in the storage; `over` when the export has ended meanwhile and nothing was left behind."""

    outcome: Literal["written", "over"]
    file_name: str = ""
    rows: int = 0
    size_bytes: int = 0


class RecordExport(_Frozen):
    """A change of status.

    Attributes:
        request_id: of the operation that caused it; None for what happens by itself.
        operation: `cancel`, or None.
        file_name: with `ready`: the file that counts.
        expires_at: with `ready`: until when it can be downloaded.
    """

    export_id: str
    at: datetime
    to: ExportStatus
    reason: str
    actor: str
    comment: str = ""
    request_id: str | None = None
    operation: str | None = None
    file_name: str | None = None
    rows: int | None = None
    size_bytes: int | None = None
    expires_at: datetime | None = None


class Recorded(_Frozen):
    """Where the export now stands: as asked, or where somebody else has put it before.

    Attributes:
        next_up: exports of the same requester whose turn may have come.
    """

    status: ExportStatus
    reason: str
    next_up: list[str] = Field(default_factory=list)


class SweepExports(_Frozen):
    at: datetime


class Swept(_Frozen):
    """What was found past its time, and is gone."""

    files: int = 0
    secrets: int = 0
    expired: int = 0
    failed: int = 0


class ExportsContract:
    """Activities of exports. Each can run twice at any point."""

    @activity.defn(name=OPEN)
    async def open(self, order: OpenExport) -> Opened:
        raise NotImplementedError

    @activity.defn(name=TAKE_TURN)
    async def take_turn(self, order: TakeTurn) -> Turn:
        raise NotImplementedError

    @activity.defn(name=WRITE)
    async def write(self, order: WriteExport) -> Written:
        raise NotImplementedError

    @activity.defn(name=RECORD)
    async def record(self, order: RecordExport) -> Recorded:
        raise NotImplementedError

    @activity.defn(name=SWEEP)
    async def sweep(self, order: SweepExports) -> Swept:
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.open, self.take_turn, self.write, self.record, self.sweep]
