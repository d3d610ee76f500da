"""`teiki role`: which operator may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.options import Actor, Comment, Json, RequestId, by
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.audit import Grants

app = typer.Typer(help="Who may do what: roles of operators.", no_args_is_help=True)

Operator = Annotated[str, typer.Argument(metavar="OPERATOR", help="operator:… as it stands in TEIKI_ACTOR.")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="viewer, support, finance or admin")]


@app.command()
def grant(
    operator: Operator,
    role: RoleName,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Grant a role; for admins. With the first admin, roles are asked for from then on."""
    said = by(request_id, actor, comment)
    changed = with_teiki(lambda teiki: teiki.roles.grant(operator, role, **said))
    told = "has the role" if changed else "had the role already, or this request was made before:"
    _tell(operator, role, changed, f"{operator} {told} {role}.", as_json=as_json)


@app.command()
def revoke(
    operator: Operator,
    role: RoleName,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Take a role back; for admins. The last admin's stays."""
    said = by(request_id, actor, comment)
    changed = with_teiki(lambda teiki: teiki.roles.revoke(operator, role, **said))
    told = "has no longer the role" if changed else "does not have the role"
    _tell(operator, role, changed, f"{operator} {told} {role}.", as_json=as_json)


@app.command("list")
def show_list(
    revoked: Annotated[bool, typer.Option("--all", help="Also roles that were taken back.")] = False,
    as_json: Json = False,
) -> None:
    """Who holds which role, since when and from whom."""
    found = with_teiki(lambda teiki: teiki.roles.list(with_revoked=revoked))
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


def _tell(operator: str, role: str, changed: bool, sentence: str, *, as_json: bool) -> None:
    document = {"operator": operator, "role": role, "changed": changed}
    mark = "✓ " if changed else ""
    answer(document, as_json=as_json, page=lambda c: c.print(mark + sentence, markup=False))


def _page(console: Console, found: Grants) -> None:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415

    if not found.enforced:
        console.print("No admin was ever granted: every operator may do everything.", style="bold yellow")
    if not found.grants:
        console.print("No roles are granted.")
        return
    shown = Table("operator", "role", "since (UTC)", "by", "comment", "until (UTC)", box=None, pad_edge=False)
    for grant in found.grants:
        until = f"{grant.revoked_at:%Y-%m-%d %H:%M} by {grant.revoked_by}" if grant.revoked_at else ""
        cells = (grant.operator, grant.role.value, f"{grant.granted_at:%Y-%m-%d %H:%M}", grant.granted_by)
        shown.add_row(*map(Text, (*cells, grant.comment, until)))
    console.print(shown)
