"""What goes in and out of an export's workflow: the request, its cancellation, and the answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from domain.billing_calendar import parse_zone
from domain.exports import ExportView, Language
from workflows.messages import Command


class RequestExport(Command):
    """A workbook of `kind` with the rows that `filter` names.

    Attributes:
        filter: the fields of the kind's own filter, as JSON values.
        zone: the zone in which instants stand in the sheet.
        encrypted: a password was sealed under the export's id before; it never passes here.
        again_of: the request that this one repeats.
    """

    kind: str = Field(pattern=r"^[a-z_]{1,40}$")
    filter: dict[str, Any] = Field(default_factory=dict)
    language: Language = "ja"
    zone: str = "Asia/Tokyo"
    encrypted: bool = False
    again_of: str | None = None

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        parse_zone(zone)
        return zone


class CancelExport(Command):
    """Before the file is there: nothing is written any more. Afterwards: the file is deleted at once."""


class ExportInput(BaseModel):
    """How an `Export` starts."""

    id: str
    request: RequestExport


class ExportOpened(BaseModel):
    """How a request went: `opened`, `duplicate` of an earlier one (whose id this is), or `refused`."""

    outcome: Literal["opened", "duplicate", "refused"]
    export_id: str
    export: ExportView | None = None
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)
