"""`teiki export`: ask for a workbook, watch it grow, take it; My Requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from domain.errors import ErrorCode, TeikiError
from starter.cli.catalogue import listed
from starter.cli.options import Actor, Comment, Cursor, Json, Limit, RequestId, actor_or_default, by
from starter.cli.output import answer, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from db.reads.exports import ExportDownload, ExportItem
    from starter.exports import Export
    from starter.teiki import Teiki

app = typer.Typer(help="Excel workbooks of what the lists show.", no_args_is_help=True)

ExportId = Annotated[str, typer.Argument(metavar="EXPORT", help="Its id, exp_…")]
Admin = Annotated[bool, typer.Option("--admin", help="Also if it is somebody else's; for admins.")]
Ask = Annotated[bool, typer.Option("--password", help="Ask for a password, without showing it.")]
FromEnvironment = Annotated[
    str | None, typer.Option("--password-env", metavar="NAME", help="The environment variable that holds it.")
]
FromFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Without the line break at its end.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it can be downloaded.")]
To = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Save it there: a file or a directory.")
]


@app.command()
def request(
    *,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="orders, permissions, subscriptions or payments")
    ],
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="A field of the list's filter, like status=current,unpaid or"
            " created_from=2026-01-01T00:00:00+09:00; may be given many times. None: everything.",
        ),
    ] = None,
    password: Ask = False,
    password_env: FromEnvironment = None,
    password_file: FromFile = None,
    language: Annotated[Literal["ja", "en"], typer.Option(help="Of headers and the first sheet.")] = "ja",
    zone: Annotated[
        str | None, typer.Option(help="Of instants in the sheet; default the merchant's.")
    ] = None,
    wait: Wait = True,
    output: To = None,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Ask for a workbook; without --filter of everything, without a password not encrypted."""
    secret = _password(password, password_env, password_file)
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> tuple[ExportItem, Path | None, list[str]]:
        from db.reads.sheets import sheet_of  # noqa: PLC0415 - SQLAlchemy only when needed

        wanted = sheet_of(kind).filter_type.model_validate(_conditions(kind, conditions or []))
        export = await teiki.exports.request(
            kind, wanted, password=secret, language=language, zone=zone, **said
        )
        return (*await _followed(export, wait=wait, output=output), export.warnings)

    item, path, warnings = with_teiki(run)
    _tell(item, path, warnings, as_json=as_json)


@app.command()
def again(
    export_id: ExportId,
    password: Ask = False,
    password_env: FromEnvironment = None,
    password_file: FromFile = None,
    wait: Wait = True,
    output: To = None,
    admin: Admin = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Repeat the same request, as of now. A password is not kept: give it again."""
    secret = _password(password, password_env, password_file)
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> tuple[ExportItem, Path | None, list[str]]:
        first = teiki.exports.get(export_id, actor=said["actor"], of_others=admin)
        export = await first.again(password=secret, **said)
        return (*await _followed(export, wait=wait, output=output), export.warnings)

    item, path, warnings = with_teiki(run)
    _tell(item, path, warnings, as_json=as_json)


@app.command("list")
def show_list(
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's, for admins.")] = False,
    actor: Actor = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """My Requests: newest first, with state, rows, size and the time left."""
    who = actor_or_default(actor)

    async def read(teiki: Teiki) -> Any:
        page = await teiki.exports.list(actor=who, of_others=everybody, cursor=cursor, limit=limit)
        return page, teiki.now()

    page, now = with_teiki(read)

    def shown() -> Table:
        from starter.cli import export_pages  # noqa: PLC0415 - Rich is loaded when something is printed

        return export_pages.table(page.items, now)

    listed(page, shown, as_json=as_json)


@app.command()
def show(export_id: ExportId, admin: Admin = False, actor: Actor = None, as_json: Json = False) -> None:
    """One request, how far it is, and who downloaded it."""
    who = actor_or_default(actor)

    async def read(teiki: Teiki) -> tuple[ExportItem, list[ExportDownload], Any]:
        export = teiki.exports.get(export_id, actor=who, of_others=admin)
        return await export.show(), await export.downloads(), teiki.now()

    item, downloads, now = with_teiki(read)
    document = item.model_dump(mode="json") | {"downloads": [d.model_dump(mode="json") for d in downloads]}

    def page(console: Console) -> None:
        from starter.cli import export_pages  # noqa: PLC0415 - as above

        console.print(export_pages.facts(item, downloads, now))

    answer(document, as_json=as_json, page=page)


@app.command()
def download(
    export_id: ExportId,
    output: To = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    admin: Admin = False,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Save the file, readable by you only. Each download is logged."""
    who = actor_or_default(actor)

    async def run(teiki: Teiki) -> Path:
        export = teiki.exports.get(export_id, actor=who, of_others=admin)
        return await export.download(output or Path(), actor=who, source=_here(), overwrite=force)

    path = with_teiki(run)
    answer({"file": str(path)}, as_json=as_json, page=lambda c: c.print(f"✓ {path}", markup=False))


@app.command()
def cancel(
    export_id: ExportId,
    admin: Admin = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Write nothing more; a file that is there already is deleted at once."""
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> ExportItem:
        return await teiki.exports.get(export_id, actor=said["actor"], of_others=admin).cancel(**said)

    item = with_teiki(run)
    answer(
        item,
        as_json=as_json,
        page=lambda c: c.print(f"✓ {item.id} is {item.status.value} ({item.reason}).", markup=False),
    )


# ---------------------------------------------------------------------- what they share


async def _followed(export: Export, *, wait: bool, output: Path | None) -> tuple[ExportItem, Path | None]:
    if not wait and output is None:
        return await export.show(), None
    with _progress_bar() as on_progress:
        item = await export.wait(on_progress)
    path = None if output is None else await export.download(output, source=_here())
    return item, path


@contextmanager
def _progress_bar() -> Iterator[Any]:
    """Rows written of how many, on stderr, when it is a terminal."""
    console = errors()
    if not console.is_terminal:
        yield lambda item: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("requested", total=None)
        yield lambda item: progress.update(
            task,
            description=item.status.value,
            completed=item.rows or 0,
            total=item.total or item.rows or None,
        )


def _tell(item: ExportItem, path: Path | None, warnings: list[str], *, as_json: bool) -> None:
    document = item.model_dump(mode="json") | {"file": str(path) if path else None, "warnings": warnings}

    def page(console: Console) -> None:
        from starter.cli import export_pages  # noqa: PLC0415 - as above

        console.print(export_pages.told(item, path, warnings))

    answer(document, as_json=as_json, page=page)


def _password(ask: bool, variable: str | None, file: Path | None) -> str | None:
    """The password, from where nobody else sees it; never from an argument, which every process list shows."""
    if sum((ask, variable is not None, file is not None)) > 1:
        raise typer.BadParameter("Give one of --password, --password-env and --password-file.")
    if variable is not None:
        if variable not in os.environ:
            raise typer.BadParameter(f"There is no environment variable {variable}.")
        return os.environ[variable]
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{file} cannot be read.") from error
    if ask:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return None


def _conditions(kind: str, given: list[str]) -> dict[str, Any]:
    """`["status=current,unpaid"]` as the fields of the kind's filter."""
    from db.reads.sheets import sheet_of  # noqa: PLC0415 - as above

    fields = sheet_of(kind).filter_type.model_fields
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name, dot, key = name.partition(".")
        if not equals or name not in fields or bool(dot) != ("dict" in str(fields[name].annotation)):
            known = [f"{f}.KEY" if "dict" in str(fields[f].annotation) else f for f in fields]
            raise TeikiError(
                ErrorCode.INVALID_INPUT,
                "A filter is FIELD=VALUE of this kind's list.",
                given=text.partition("=")[0],
                known=known,
            )
        if dot:
            found.setdefault(name, {})[key] = value
        elif "frozenset" in str(fields[name].annotation):
            found.setdefault(name, []).extend(part for part in value.split(",") if part)
        else:
            found[name] = value
    return found


def _here() -> str:
    """This terminal's machine, for the log of downloads."""
    import socket  # noqa: PLC0415 - rarely needed

    return f"terminal on {socket.gethostname()}"
