"""`teiki endpoint`: where merchants' services hear of what happens, and whether it arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.catalogue import table
from starter.cli.options import Actor, Comment, Json, RequestId, by
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.endpoints import EndpointItem
    from starter.endpoints import EndpointSecret
    from starter.teiki import Teiki

app = typer.Typer(help="Where services hear of what happens.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, end_…")]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic", metavar="TOPIC", help="Like payment.settled or order.*; may be given many times."
    ),
]


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://…")],
    topics: Topics = None,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Make an endpoint, which hears of what happens from now on; without --topic of everything."""
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> EndpointSecret:
        return await teiki.endpoints.put(url=url, topics=topics or (), **said)

    _secret(with_teiki(run), as_json=as_json)


@app.command()
def change(
    endpoint: EndpointId,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Another address.")] = None,
    topics: Topics = None,
    everything: Annotated[bool, typer.Option("--all-topics", help="Everything from now on.")] = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Another address, or other topics. What waits for it goes to the new address; its secret stays."""
    if url is None and not topics and not everything:
        raise typer.BadParameter("Give --url, --topic or --all-topics.")
    if topics and everything:
        raise typer.BadParameter("Give --topic or --all-topics, not both.")
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> EndpointItem:
        before = await teiki.endpoints.show(endpoint)
        wanted = () if everything else topics or before.topics
        await teiki.endpoints.put(endpoint_id=endpoint, url=url or before.url, topics=wanted, **said)
        return await teiki.endpoints.show(endpoint)

    _show(with_teiki(run), as_json=as_json)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were removed.")] = False,
    as_json: Json = False,
) -> None:
    """All endpoints, and how they fare."""

    async def run(teiki: Teiki) -> list[EndpointItem]:
        return await teiki.endpoints.list(with_removed=everything)

    found = with_teiki(run)
    document = {"endpoints": [item.model_dump(mode="json") for item in found]}
    answer(document, as_json=as_json, page=lambda _: _table(found))


@app.command()
def show(endpoint: EndpointId, as_json: Json = False) -> None:
    """One endpoint: where to, of what, and whether it arrives."""

    async def run(teiki: Teiki) -> EndpointItem:
        return await teiki.endpoints.show(endpoint)

    _show(with_teiki(run), as_json=as_json)


@app.command()
def enable(
    endpoint: EndpointId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Send to it (again). All that waits for it is due now."""
    said = by(request_id, actor, comment)
    _switched(endpoint, lambda teiki: teiki.endpoints.enable(endpoint, **said), as_json=as_json)


@app.command()
def disable(
    endpoint: EndpointId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Send it nothing any more; what happens meanwhile waits for it."""
    said = by(request_id, actor, comment)
    _switched(endpoint, lambda teiki: teiki.endpoints.disable(endpoint, **said), as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    endpoint: EndpointId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """A new secret, shown once; for 24 hours the one before signs too."""
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> EndpointSecret:
        return await teiki.endpoints.rotate_secret(endpoint, **said)

    _secret(with_teiki(run), as_json=as_json)


@app.command()
def remove(
    endpoint: EndpointId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Forget it and its secrets, and drop what waits for it. What it was told stays readable."""
    said = by(request_id, actor, comment)
    _switched(endpoint, lambda teiki: teiki.endpoints.remove(endpoint, **said), as_json=as_json)


def _switched(endpoint: str, act: Callable[[Teiki], Awaitable[None]], *, as_json: bool) -> None:
    async def run(teiki: Teiki) -> EndpointItem:
        await act(teiki)
        return await teiki.endpoints.show(endpoint)

    _show(with_teiki(run), as_json=as_json)


def _secret(made: EndpointSecret, *, as_json: bool) -> None:
    def page(console: Console) -> None:
        console.print(made.endpoint_id, markup=False)
        if made.secret is None:
            console.print("This request was made before; its secret was shown then. Lost? Rotate it.")
        else:
            console.print(made.secret, markup=False, soft_wrap=True)
            console.print("This secret verifies what it is told; it is not shown again.")

    answer(made, as_json=as_json, page=page)


def _show(item: EndpointItem, *, as_json: bool) -> None:
    answer(item, as_json=as_json, page=lambda console: _page(console, item))


def _page(console: Console, item: EndpointItem) -> None:
    from rich.text import Text  # noqa: PLC0415 - Rich is loaded when something is printed

    from starter.notification_wording import endpoint_advice, endpoint_health, failure_words  # noqa: PLC0415

    colour = {"enabled": "green", "disabled": "yellow"}.get(item.state, "dim")
    console.print(Text.assemble((item.id, "bold"), "  ", (item.state, colour)))
    lines = {
        "URL": item.url,
        "topics": ", ".join(item.topics) or "all",
        "since": f"{item.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "health": endpoint_health(item),
        "last success": f"{item.last_success_at:%Y-%m-%d %H:%M:%S} UTC"
        if item.last_success_at
        else "none yet",
        "last failure": failure_words(item.last_failure) if item.last_failure else "none",
        "deliveries": f"waiting {item.waiting}, held {item.held}, given up {item.given_up}",
    }
    if item.old_secret_until is not None:
        lines["old secret"] = f"signs too until {item.old_secret_until:%Y-%m-%d %H:%M:%S} UTC"
    for name, value in lines.items():
        console.print(Text(f"{name:<13} {value}"), soft_wrap=True)
    if advice := endpoint_advice(item):
        console.print(Text(advice), soft_wrap=True)


def _table(found: list[EndpointItem]) -> None:
    from starter.notification_wording import endpoint_health  # noqa: PLC0415 - as above

    rows = [
        (
            item.id,
            item.url,
            ", ".join(item.topics) or "all",
            endpoint_health(item),
            f"{item.last_success_at:%Y-%m-%d %H:%M:%S}" if item.last_success_at else "",
            str(item.waiting + item.held),
            str(item.given_up),
        )
        for item in found
    ]
    table(("endpoint", "URL", "topics", "health", "last success (UTC)", "waiting", "given up"), rows)
