"""`teiki order list`: orders, newest first, by any combination of filters (spec: orders.md §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from starter.cli.catalogue import listed
from starter.cli.options import Cursor, Json, Limit, instant
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.table import Table

    from starter.teiki import Teiki

_ANY: Final = "Any of these; may be given many times, or as a,b."
_Words = list[str] | None


def register(app: typer.Typer) -> None:
    """Mount `list` on the `order` commands."""
    app.command("list")(list_orders)


def list_orders(
    *,
    number: Annotated[str | None, typer.Option(help="The order number, or how it begins.")] = None,
    created_from: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    created_to: Annotated[str | None, typer.Option(metavar="INSTANT", help="Exclusive.")] = None,
    product_type: Annotated[_Words, typer.Option("--type", metavar="TYPE", help=_ANY)] = None,
    product: Annotated[str | None, typer.Option(metavar="ID", help="Of this product, prd_….")] = None,
    status: Annotated[_Words, typer.Option(metavar="STATUS", help=_ANY)] = None,
    payment_status: Annotated[_Words, typer.Option(metavar="STATUS", help=_ANY)] = None,
    pay: Annotated[_Words, typer.Option(metavar="METHOD", help="card konbini recurring none.")] = None,
    email: Annotated[str | None, typer.Option(help="Of the customer with this address.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Of this customer, cus_….")] = None,
    notes: Annotated[
        bool | None, typer.Option("--notes/--no-notes", help="Somebody left a note, or nobody.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="How its number, the customer's e-mail or name, or the product's name begins."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Orders, newest first; every filter given must hold."""
    conditions: dict[str, Any] = {
        "number": number,
        "created_from": instant(created_from),
        "created_to": instant(created_to),
        "product_type": _words(product_type),
        "product_id": product,
        "status": _words(status),
        "payment_status": _words(payment_status),
        "pay": _words(pay),
        "customer_email": email,
        "customer_id": customer,
        "has_notes": notes,
        "text": text,
    }

    async def read(teiki: Teiki) -> Any:
        from db.reads.orders import OrderFilter  # noqa: PLC0415 - SQLAlchemy only when needed

        wanted = OrderFilter.model_validate(conditions)
        return await teiki.orders.list(wanted, cursor=cursor, limit=limit)

    page = with_teiki(read)

    def shown() -> Table:
        from starter.cli import order_table  # noqa: PLC0415 - Rich is loaded when something is printed

        return order_table.orders(page.items)

    listed(page, shown, as_json=as_json)


def _words(given: _Words) -> list[str] | None:
    return [word for text in given for word in text.split(",")] if given else None
