"""`teiki notification`: what services were told, what they answered, and sending it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.catalogue import more
from starter.cli.options import Actor, Comment, Cursor, Json, Limit, RequestId, by
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.notifications import NotificationPage, NotificationView
    from starter.teiki import Teiki

app = typer.Typer(help="What services were told.", no_args_is_help=True)

NotificationId = Annotated[str, typer.Argument(metavar="NOTIFICATION", help="Its id, ntf_…")]
OfEndpoint = Annotated[
    str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Only this one, end_…")
]


@app.command("list")
def list_(
    about: Annotated[
        str | None,
        typer.Option(
            "--of", metavar="OBJECT", help="Of a subscription or order, or of one payment of it: sub_…/7."
        ),
    ] = None,
    endpoint: OfEndpoint = None,
    state: Annotated[str | None, typer.Option(help="waiting, held, delivered, given_up or dropped.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Deliveries, the latest event first; every filter given must hold."""

    async def run(teiki: Teiki) -> NotificationPage:
        from db.reads.notifications import NotificationFilter  # noqa: PLC0415 - SQLAlchemy only when needed

        object_id, number = _about(about)
        wanted = NotificationFilter.model_validate(
            {"object_id": object_id, "number": number, "endpoint_id": endpoint, "state": state}
        )
        return await teiki.notifications.list(wanted, cursor=cursor, limit=limit)

    found = with_teiki(run)
    answer(found, as_json=as_json, page=lambda console: _table(console, found))
    if not as_json:
        more(found.next_cursor)


@app.command()
def show(notification: NotificationId, as_json: Json = False) -> None:
    """One notification: what is sent, where to, and every try with its answer."""

    async def run(teiki: Teiki) -> NotificationView:
        return await teiki.notifications.show(notification)

    found = with_teiki(run)
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


@app.command()
def resend(
    notification: NotificationId,
    endpoint: OfEndpoint = None,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Send it again, now, under the same id: who has it already takes it for a repetition."""
    said = by(request_id, actor, comment)

    async def run(teiki: Teiki) -> list[str]:
        return await teiki.notifications.resend(notification, endpoint_id=endpoint, **said)

    found = with_teiki(run)
    answer(
        {"notification_id": notification, "endpoints": found},
        as_json=as_json,
        page=lambda console: console.print(f"{notification} goes to {', '.join(found)} again.", markup=False),
    )


def _about(text: str | None) -> tuple[str | None, int | None]:
    """`sub_…/7`: an object, and a payment of it."""
    if text is None:
        return None, None
    object_id, slash, number = text.partition("/")
    if slash and not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise typer.BadParameter("--of is an id, or an id and the number of a payment: sub_…/7.")
    return object_id, int(number) if slash else None


def _table(console: Console, found: NotificationPage) -> None:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415

    from starter.notification_wording import outcome_words  # noqa: PLC0415 - the read models come with it

    if not found.items:
        console.print("Nothing found.")
        return
    shown = Table("notification", "happened (UTC)", "topic", header_style="bold", box=None, pad_edge=False)
    for name in ("of", "endpoint"):
        shown.add_column(name, overflow="fold")  # ids are there to be copied
    for name in ("state", "tries", "last outcome"):
        shown.add_column(name)
    for item in found.items:
        cells = (
            item.notification_id,
            f"{item.happened_at:%Y-%m-%d %H:%M:%S}",
            item.topic,
            item.object_id + (f"/{item.number}" if item.number is not None else ""),
            item.endpoint_id,
            item.state.replace("_", " "),
            str(item.tries),
            outcome_words(item.status, item.error),
        )
        shown.add_row(*(Text(cell) for cell in cells))
    console.print(shown)


def _page(console: Console, found: NotificationView) -> None:
    from rich.text import Text  # noqa: PLC0415 - Rich is loaded when something is printed

    from starter.notification_wording import outcome_words  # noqa: PLC0415 - as above

    console.print(Text.assemble((found.notification_id, "bold"), "  ", found.topic, "  ", found.object_id))
    console.print(Text(f"happened {found.happened_at:%Y-%m-%d %H:%M:%S} UTC"))
    console.print(Text(found.body), soft_wrap=True)
    if not found.deliveries:
        waits = "not passed on yet" if found.passed_on_at is None else "no endpoint was to hear of it"
        console.print(f"Sent to nobody: {waits}.")
    for one in found.deliveries:
        turn = f", next try {one.next_at:%Y-%m-%d %H:%M:%S} UTC" if one.next_at else ""
        console.print(
            Text.assemble("\n", (one.endpoint_id, "bold"), f"  {one.state.replace('_', ' ')}{turn}")
        )
        console.print(Text(f"  {one.url}"), soft_wrap=True)
        for tried in one.tries:
            said = f"  “{tried.answer}”" if tried.answer else ""
            outcome = outcome_words(tried.status, tried.error)
            line = f"  {tried.number}. {tried.at:%Y-%m-%d %H:%M:%S} UTC  {outcome} after {tried.took_ms} ms{said}"
            console.print(Text(line), soft_wrap=True)
