"""Exports as people see them: My Requests, one request, and what came of asking for one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from db.reads.exports import ExportDownload, ExportItem
from domain.exports import ExportStatus
from starter.wording import local

_COLOURS: Final = {"ready": "green", "creating": "yellow", "requested": "yellow", "failed": "red"}
_WARNINGS: Final = {
    "password_longer_than_255": "The password has more than 255 characters: Excel's own dialog stops there.",
}


def table(items: Sequence[ExportItem], now: datetime) -> Table:
    """One line each."""
    shown = Table(
        *("id", "kind", "status", "requested", "by", "rows", "size", "time left", "password"),
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for item in items:
        shown.add_row(
            Text(item.id),
            Text(item.kind),
            _status(item),
            Text(local(item.requested_at, item.zone).removesuffix(f" {item.zone}")),
            Text(item.requester),
            Text(_rows(item)),
            Text("" if item.size_bytes is None else size(item.size_bytes)),
            Text(_time_left(item, now)),
            Text("yes" if item.encrypted else "no"),
        )
    shown.columns[0].no_wrap = True
    return shown


def facts(item: ExportItem, downloads: Sequence[ExportDownload], now: datetime) -> RenderableType:
    """Everything about one."""
    shown = Table(show_header=False, box=None, pad_edge=False)
    filter_ = json.dumps(item.filter, ensure_ascii=False) if item.filter else "everything"
    for name, value in (
        ("id", Text(item.id)),
        ("what", Text(f"{item.kind}, {filter_}")),
        ("status", _status(item)),
        ("", Text(item.advice or "")),
        ("requested", Text(f"{local(item.requested_at, item.zone)} by {item.requester}")),
        ("rows", Text(_rows(item))),
        ("size", Text("" if item.size_bytes is None else size(item.size_bytes))),
        ("time left", Text(_time_left(item, now))),
        ("password", Text("needed to open it" if item.encrypted else "none: the file is not encrypted")),
        ("comment", Text(item.comment)),
        *((("again of", Text(item.again_of)),) if item.again_of else ()),
        *(("downloaded", Text(f"{local(d.at, item.zone)} by {d.actor}, {d.source}")) for d in downloads),
    ):
        if value.plain:
            shown.add_row(name, value)
    return shown


def told(item: ExportItem, path: Path | None, warnings: Sequence[str]) -> RenderableType:
    """What came of asking for one, in a few lines."""
    lines = [Text.assemble(("✓ ", "green"), (item.id, "bold"), "  ", _status(item), f"  {_rows(item)} rows")]
    if not item.encrypted:
        lines.append(Text("No password was given: the file is not encrypted."))
    lines += [Text(_WARNINGS.get(warning, warning), style="yellow") for warning in warnings]
    if path is not None:
        lines.append(Text(f"Saved as {path}"))
    elif item.status is ExportStatus.READY and item.expires_at is not None:
        lines.append(Text(f"Until {local(item.expires_at, item.zone)}: teiki export download {item.id}"))
    else:
        lines.append(Text(f"How far it is: teiki export show {item.id}"))
    return Group(*lines)


def size(count: int) -> str:
    """`812 bytes`, `84.1 MB`."""
    if count < 1_000:
        return f"{count} bytes"
    amount, unit = float(count), "kB"
    for unit in ("kB", "MB", "GB"):  # noqa: B007 - the last one is kept
        amount /= 1_000
        if amount < 1_000:
            break
    return f"{amount:.1f} {unit}"


def _status(item: ExportItem) -> Text:
    reason = f" ({item.reason})" if item.status in (ExportStatus.FAILED, ExportStatus.EXPIRED) else ""
    return Text(item.status.value + reason, style=_COLOURS.get(item.status.value, ""))


def _rows(item: ExportItem) -> str:
    if item.rows is None:
        return ""
    return f"{item.rows:,} of {item.total:,}" if item.total is not None else f"{item.rows:,}"


def _time_left(item: ExportItem, now: datetime) -> str:
    minutes, _ = divmod(item.seconds_left(now), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes else ""
