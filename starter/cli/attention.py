"""`teiki attention`: what waits for a person, and the person's word on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.options import Actor, Json, RequestId, by
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.attention import Waiting
    from starter.teiki import Teiki

app = typer.Typer(name="attention", help="What waits for a person.", no_args_is_help=True)

What = Annotated[
    str, typer.Argument(metavar="WHAT", help="A reference as `list` shows it, or an incident's id (inc_…).")
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="WORD",
        help="Of a charge: charged, not_charged. Of a refund: returned, not_returned, again. Not for incidents.",
    ),
]
GatewayId = Annotated[
    str | None, typer.Option(metavar="ID", help="Where the gateway shows it: with charged and returned.")
]
Why = Annotated[str, typer.Option("--comment", metavar="TEXT", help="How you know, what came of it.")]


@app.command("list")
def show_waiting(as_json: Json = False) -> None:
    """Attempts whose outcome nobody could find out, and open incidents. Exit status 0 also when something waits."""

    async def run(teiki: Teiki) -> Waiting:
        return await teiki.attention.list()

    found = with_teiki(run)
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


@app.command()
def settle(
    what: What,
    comment: Why,
    word: As = None,
    gateway_id: GatewayId = None,
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Say what became of an attempt (the gateway is asked first and knows better), or close an incident."""
    said = by(request_id, actor, comment)
    if what.startswith("inc_"):
        if word is not None or gateway_id is not None:
            raise typer.BadParameter(
                "An incident is closed with a comment; --as and --gateway-id are for attempts."
            )

        async def close(teiki: Teiki) -> str:
            return await teiki.attention.close(what, **said)

        closed = with_teiki(close)
        answer({"id": closed, "closed": True}, as_json=as_json, page=lambda c: c.print(f"Closed {closed}."))
        return
    if word is None:
        raise typer.BadParameter(
            "Say what became of it: --as charged, not_charged, returned, not_returned, again."
        )
    chosen: Any = word.replace("-", "_")

    async def run(teiki: Teiki) -> Any:
        return await teiki.attention.settle(what, chosen, gateway_id=gateway_id, **said)

    view = with_teiki(run)
    answer(
        view,
        as_json=as_json,
        page=lambda console: console.print(
            f"Settled {what} as {chosen}: {view.id} is {view.status.value} ({view.reason}).", markup=False
        ),
    )


def _page(console: Console, found: Waiting) -> None:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed

    from starter.order_wording import attention_advice  # noqa: PLC0415 - the read models come with it

    if not found.attempts and not found.incidents:
        console.print("Nothing waits for a person.")
        return
    if found.attempts:
        table = Table("attempt", "what", "amount", "since (UTC)", "last seen", header_style="bold", box=None)
        for attempt in found.attempts:
            since = f"{attempt.since:%Y-%m-%d %H:%M:%S}"
            table.add_row(attempt.reference, attempt.purpose, str(attempt.amount), since, attempt.hint)
        console.print(table)
        console.print(
            "Look it up at the gateway, then: teiki attention settle ATTEMPT --as … --comment …", markup=False
        )
        for attempt in found.attempts:
            if advice := attention_advice(attempt):
                console.print(advice, markup=False, soft_wrap=True)
    if found.incidents:
        table = Table("incident", "kind", "about", "amount", "since (UTC)", header_style="bold", box=None)
        for incident in found.incidents:
            about = incident.subject_id or incident.gateway_id or ""
            payment = f", payment {incident.number}" if incident.number is not None else ""
            since = f"{incident.opened_at:%Y-%m-%d %H:%M:%S}"
            table.add_row(incident.id, incident.kind, about + payment, str(incident.amount or ""), since)
        console.print(table)
        console.print("Look into it, then: teiki attention settle INCIDENT --comment …", markup=False)
