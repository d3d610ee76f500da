"""`teiki order`: what was bought, and what may be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli import order_list, order_operations, order_place
from starter.cli.options import Json, OrderName
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from db.reads.order import OrderDetail

app = typer.Typer(help="What was bought.", no_args_is_help=True)
order_place.register(app)


@app.command("show")
def show(
    order: OrderName,
    tab: Annotated[
        str,
        typer.Option(
            metavar="TAB",
            help="Of the history: history (all), orders payments_points shipping claim comments.",
        ),
    ] = "history",
    as_json: Json = False,
) -> None:
    """Everything about one: status and why, what comes next, payments, permission, notes and history."""
    from domain.order_history import TABS  # noqa: PLC0415 - what only one command needs

    if tab not in TABS:
        raise typer.BadParameter(f"--tab is one of {', '.join(TABS)}; not {tab!r}.")
    detail = with_teiki(lambda teiki: teiki.orders.show(order))
    shown(detail.model_copy(update={"history": detail.tab(tab)}), as_json=as_json)


def shown(detail: OrderDetail, *, as_json: bool) -> None:
    """The order as JSON or as its page."""
    from starter.cli import order_page  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(detail, as_json=as_json, page=lambda console: order_page.order(console, detail))


order_list.register(app)
order_operations.register(app)
