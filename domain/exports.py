"""An export: a request for a workbook, from `requested` to `expired` or `failed`.

The states and the times that bound them, as pure values. Who does what is in `workflows/export.py`
(spec: exports.md).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from domain.errors import ErrorCode

CREATION_MAX: Final = timedelta(minutes=10)
"""From its turn to the finished file, all tries together."""
DOWNLOAD_LIFE: Final = timedelta(hours=4)
"""From `ready` to the file's end."""
SECRET_LIFE: Final = timedelta(hours=1)
"""A sealed password that nobody has used by then is gone."""
RUNNING_MAX: Final = 2
"""Exports of one requester that are created at once; more wait for their turn."""

Language = Literal["ja", "en"]


class ExportStatus(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    CREATING = "creating"
    READY = "ready"
    EXPIRED = "expired"
    FAILED = "failed"


FINAL: Final = frozenset({ExportStatus.EXPIRED, ExportStatus.FAILED})

NEXT: Final = {
    ExportStatus.REQUESTED: frozenset({ExportStatus.CREATING, ExportStatus.FAILED}),
    ExportStatus.CREATING: frozenset({ExportStatus.READY, ExportStatus.FAILED}),
    ExportStatus.READY: frozenset({ExportStatus.EXPIRED}),
    ExportStatus.EXPIRED: frozenset[ExportStatus](),
    ExportStatus.FAILED: frozenset[ExportStatus](),
}
"""What may follow what; nothing else can be written."""

CANCELED: Final = ErrorCode.EXPORT_CANCELED.value
"""The reason of what was canceled: `failed` when there was no file yet, `expired` when there was one."""
TIME_OVER: Final = "time_over"
"""The reason of what expired by itself."""


class ExportView(BaseModel):
    """An export as its workflow answers and remembers it. Instants are aware.

    Attributes:
        requester: the actor who asked; the only one who sees it, besides admins.
        encrypted: a password was given, and the file cannot be opened without it.
        reason: why it is in this status.
        rows: of the finished file, without its header.
        size_bytes: of the finished file.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    requester: str
    encrypted: bool
    status: ExportStatus
    reason: str
    requested_at: datetime
    started_at: datetime | None = None
    ready_at: datetime | None = None
    expires_at: datetime | None = None
    rows: int | None = None
    size_bytes: int | None = None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def moved(self, to: ExportStatus, reason: str, **facts: Any) -> ExportView:
        """The same export one step further."""
        return self.model_copy(update={"status": to, "reason": reason, **facts})


ADVICE: Final = {
    ErrorCode.EXPORT_TIMED_OUT.value: (
        "It was not written within 10 minutes. Narrow the filter (by dates, for example), or request it again when less"
        " is going on."
    ),
    ErrorCode.EXPORT_CANCELED.value: "It was canceled. Request it again when it is wanted after all.",
    ErrorCode.EXPORT_FAILED.value: (
        "It could not be written; the worker's log says why. Request it again once that is mended."
    ),
    ErrorCode.EXPORT_TOO_LARGE.value: (
        "It is larger than a workbook can be. Narrow the filter (by dates, for example)."
    ),
    ErrorCode.EXPORT_PASSWORD_GONE.value: (
        "It waited for more than an hour, and passwords are kept no longer. Request it again with the password."
    ),
    ErrorCode.SETTINGS_INVALID.value: (
        "The worker lacks the key that its password was sealed with. Give it that key (TEIKI_EXPORT_SECRET_KEYS), then"
        " request it again."
    ),
}
"""What to do about an export that has no file, by its reason."""
