"""`teiki webhook`: what the payment company told, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.options import Json
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.webhooks import WebhookItem
    from starter.teiki import Teiki

app = typer.Typer(help="What the payment company told by itself.", no_args_is_help=True)


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were handled, the newest first.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The most that are shown.")] = 50,
    as_json: Json = False,
) -> None:
    """The inbox: what is not handed over yet. What a webhook says is never shown."""

    async def run(teiki: Teiki) -> list[WebhookItem]:
        return await teiki.webhooks.list(with_handled=everything, limit=limit)

    found = with_teiki(run)
    document = {"webhooks": [item.model_dump(mode="json") for item in found]}
    answer(document, as_json=as_json, page=lambda console: _page(console, found))


@app.command()
def retry(as_json: Json = False) -> None:
    """Hand over now what is due, and what was parked too."""

    async def run(teiki: Teiki) -> dict[str, int]:
        return await teiki.webhooks.work_off(parked_too=True)

    done = with_teiki(run)
    answer(
        done,
        as_json=as_json,
        page=lambda console: console.print(
            f"Handled {done['handled']}; tried again later: {done['waiting']}.", markup=False
        ),
    )


def _page(console: Console, found: list[WebhookItem]) -> None:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415

    if not found:
        console.print("Nothing waits.")
        return
    shown = Table(
        "arrived (UTC)", "kind", "reference", "state", "tries", "last error", box=None, pad_edge=False
    )
    for item in found:
        shown.add_row(
            Text(f"{item.received_at:%Y-%m-%d %H:%M:%S}"),
            Text(item.kind),
            Text(item.reference),
            Text(item.state.replace("_", " ")),
            Text(str(item.attempts)),
            Text(item.last_error),
        )
    console.print(shown)
