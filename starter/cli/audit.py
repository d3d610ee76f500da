"""`teiki audit`: who did what and who was refused; and whether all of it is still there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.catalogue import listed
from starter.cli.options import Cursor, Json, Limit, instant
from starter.cli.output import answer, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.table import Table

    from db.reads.audit import AuditItem
    from domain.audit_chain import Head, Verdict
    from starter.teiki import Teiki

app = typer.Typer(help="Who did what, and who was refused; for admins.", no_args_is_help=True)

Who = Annotated[str | None, typer.Option("--actor", metavar="WHO", help="Only what this actor did.")]
Subject = Annotated[str | None, typer.Option(metavar="ID", help="Only what concerns this: sub_…, ord_…")]
Since = Annotated[str | None, typer.Option(metavar="INSTANT", help="Like 2026-11-01T00:00:00+09:00.")]
Denied = Annotated[bool, typer.Option("--denied", help="Only calls that were refused.")]


@app.command("list")
def show_list(
    actor: Who = None,
    subject: Subject = None,
    since: Since = None,
    denied: Denied = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """The audit, newest first."""
    earliest = instant(since)
    page = with_teiki(
        lambda teiki: teiki.audit.list(
            actor=actor, subject_id=subject, since=earliest, denied=denied, cursor=cursor, limit=limit
        )
    )
    listed(page, lambda: _table(page.items), as_json=as_json)


@app.command()
def head(as_json: Json = False) -> None:
    """The last row's number and hash: keep it elsewhere, and `verify --head` proves that nothing was cut off."""
    last = with_teiki(lambda teiki: teiki.audit.head())
    document = {"seq": last.seq, "hash": last.hash, "head": str(last)}
    answer(document, as_json=as_json, page=lambda console: console.print(str(last), markup=False))


@app.command()
def verify(
    kept: Annotated[
        str | None, typer.Option("--head", metavar="HEAD", help="A head that was kept elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute the whole chain anew; exit status 1 when it does not hold, with the first row that does not."""
    from domain.audit_chain import read_head  # noqa: PLC0415 - pydantic is not needed for help

    outside: Head | None = None if kept is None else read_head(kept)

    async def run(teiki: Teiki) -> Verdict:
        with _progress_bar() as on_progress:
            return await teiki.audit.verify(kept=outside, on_progress=on_progress)

    verdict = with_teiki(run)
    broken = verdict.broken
    document: dict[str, Any] = {
        "holds": broken is None,
        "rows": verdict.rows,
        "head": str(verdict.head),
        "broken": None if broken is None else broken._asdict(),
    }
    answer(document, as_json=as_json, page=lambda console: console.print(_sentence(verdict), markup=False))
    if broken is not None:
        raise typer.Exit(1)


def _sentence(verdict: Verdict) -> str:
    if verdict.broken is None:
        return f"✓ The chain holds: {verdict.rows:,} rows. Head {verdict.head}"
    return f"✗ The chain breaks at row {verdict.broken.seq}: {verdict.broken.why}."


def _table(items: list[AuditItem]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415

    shown = Table("row", "at (UTC)", "actor", "what", "about", "", "comment", box=None, pad_edge=False)
    for item in items:
        outcome = Text("denied", "bold red") if item.outcome == "denied" else Text("")
        cells = (f"{item.seq}", f"{item.recorded_at:%Y-%m-%d %H:%M:%S}", item.actor, item.action)
        shown.add_row(*map(Text, (*cells, item.subject_id)), outcome, Text(item.comment))
    return shown


@contextmanager
def _progress_bar() -> Iterator[Any]:
    """Rows read of how many, on stderr, when it is a terminal."""
    console = errors()
    if not console.is_terminal:
        yield lambda rows, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("verifying", total=None)
        yield lambda rows, total: progress.update(task, completed=rows, total=total)
