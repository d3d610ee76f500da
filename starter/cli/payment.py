"""`teiki payment`: payments of all subscriptions, with the filter that their export has too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.catalogue import listed
from starter.cli.options import Cursor, Json, Limit, instant
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from db.reads.payments import PaymentItem
    from starter.teiki import Teiki

app = typer.Typer(help="What was and will be paid.", no_args_is_help=True)


@app.command("list")
def show_list(
    *,
    subscription: Annotated[str | None, typer.Option(metavar="ID", help="Of this one, sub_…")] = None,
    order: Annotated[str | None, typer.Option(metavar="ID", help="Of this one, ord_…")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Of this customer, cus_…")] = None,
    email: Annotated[str | None, typer.Option(help="The customer's whole address.")] = None,
    product: Annotated[str | None, typer.Option(metavar="ID", help="For this product, prd_…")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="scheduled, collecting, settled, skipped, failed, refunded, partially_refunded, chargeback,"
            " partially_repaid, repaid; may be given many times."
        ),
    ] = None,
    due_from: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    due_to: Annotated[str | None, typer.Option(metavar="INSTANT", help="Exclusive.")] = None,
    settled_from: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    settled_to: Annotated[str | None, typer.Option(metavar="INSTANT", help="Exclusive.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="ISO 4217, like JPY.")] = None,
    amount_min: Annotated[int | None, typer.Option(metavar="N", help="Minor units, of --currency.")] = None,
    amount_max: Annotated[int | None, typer.Option(metavar="N", help="Minor units, of --currency.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Payments, the latest due first; every filter given must hold."""
    conditions: dict[str, Any] = {
        "object_id": subscription or order,
        "customer_id": customer,
        "customer_email": email,
        "product_id": product,
        "state": [part for one in state or [] for part in one.split(",")] or None,
        "due_from": instant(due_from),
        "due_to": instant(due_to),
        "settled_from": instant(settled_from),
        "settled_to": instant(settled_to),
        "currency": currency,
        "amount_min": amount_min,
        "amount_max": amount_max,
    }

    async def read(teiki: Teiki) -> Any:
        from db.reads.payments import PaymentFilter  # noqa: PLC0415 - SQLAlchemy only when needed

        wanted = PaymentFilter.model_validate(conditions)
        return await teiki.payments.list(wanted, cursor=cursor, limit=limit)

    page = with_teiki(read)
    listed(page, lambda: _table(page.items), as_json=as_json)


def _table(items: Sequence[PaymentItem]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415 - as above

    from starter.wording import local  # noqa: PLC0415 - as above

    columns = (
        "subscription",
        "payment",
        "state",
        "due",
        "amount",
        "customer",
        "product",
        "attempts",
        "notes",
    )
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for item in items:
        table.add_row(
            Text(item.object_id),
            str(item.number),
            Text(item.state),
            Text(local(item.due_at, item.zone).removesuffix(f" {item.zone}")),
            Text(str(item.amount)),
            Text(item.customer_email or item.customer_name or item.customer_id),
            Text(item.product_name),
            str(item.attempts),
            Text(item.skip_reason or item.decline or ""),
        )
    table.columns[0].no_wrap = True
    return table
