"""`teiki customer`, `teiki payment-method`: who pays, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from starter.cli.options import (
    Actor,
    Cursor,
    Json,
    Limit,
    RequestId,
    actor_or_default,
)
from starter.cli.output import answer, answers, errors, print_json
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from starter.teiki import Teiki

customers = typer.Typer(help="Who pays.", no_args_is_help=True)
payment_methods = typer.Typer(help="Cards, as tokens of the payment company.", no_args_is_help=True)


@customers.command("put")
def put_customer(
    customer: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="cus_…; left out: a new one.")
    ] = None,
    email: str = "",
    name: str = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Enter or change a customer."""
    customer_id = with_teiki(
        lambda teiki: teiki.customers.put(
            customer_id=customer,
            email=email,
            name=name,
            request_id=request_id,
            actor=actor_or_default(actor),
        )
    )
    entered(customer_id, as_json=as_json)


@customers.command("list")
def list_customers(
    text: Annotated[str | None, typer.Option(help="How an id, an e-mail or a name begins.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Customers, newest first."""
    page = with_teiki(lambda teiki: teiki.customers.list(text=text, cursor=cursor, limit=limit))
    if as_json:
        print_json(page)
        return
    table(("id", "e-mail", "name", "blocked"), [_customer_cells(item) for item in page.items])
    more(page.next_cursor)


@customers.command("show")
def show_customer(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Its id, cus_…")],
    as_json: Json = False,
) -> None:
    """A customer, the cards and the subscriptions."""

    async def read(teiki: Teiki) -> dict[str, Any]:
        from db.reads.catalogue import get_customer  # noqa: PLC0415 - SQLAlchemy only when needed
        from db.reads.subscriptions import SubscriptionFilter  # noqa: PLC0415

        found = await get_customer(await teiki.database(), customer)
        if found is None:
            raise TeikiError(
                ErrorCode.CUSTOMER_NOT_FOUND, "There is no such customer.", customer_id=repeatable(customer)
            )
        cards = await teiki.payment_methods.list(customer_id=customer)
        page = await teiki.subscriptions.list(SubscriptionFilter(customer_id=customer), limit=200)
        return {
            "customer": found.model_dump(mode="json"),
            "payment_methods": [card.model_dump(mode="json") for card in cards],
            "subscriptions": [item.model_dump(mode="json") for item in page.items],
        }

    known = with_teiki(read)

    def page(console: Console) -> None:
        who = known["customer"]
        blocked = f", blocked since {who['blocked_at']}" if who["blocked_at"] else ""
        console.print(f"{who['id']}  {who['email']}  {who['name']}{blocked}", markup=False)
        for card in known["payment_methods"]:
            console.print(
                f"  {card['id']}  {card['kind']} {card['brand']} …{card['last_four']}", markup=False
            )
        for item in known["subscriptions"]:
            console.print(f"  {item['id']}  {item['status']}  {item['product_name']}", markup=False)

    answer(known, as_json=as_json, page=page)


@payment_methods.command("add")
def add_payment_method(
    customer: Annotated[str, typer.Option(metavar="ID", help="Whose, cus_…")],
    token: Annotated[
        str, typer.Option(help="The payment company's token, like tok_ok; never a card number.")
    ],
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Enter a gateway token for a customer."""
    card = with_teiki(
        lambda teiki: teiki.payment_methods.add(
            customer_id=customer, token=token, request_id=request_id, actor=actor_or_default(actor)
        )
    )
    entered(card, as_json=as_json)


@payment_methods.command("list")
def list_payment_methods(
    customer: Annotated[str, typer.Option(metavar="ID", help="Whose, cus_…")],
    as_json: Json = False,
) -> None:
    """A customer's payment methods, oldest first."""
    items = with_teiki(lambda teiki: teiki.payment_methods.list(customer_id=customer))
    if as_json:
        print_json({"items": [item.model_dump(mode="json") for item in items]})
        return
    cells = []
    for item in items:
        expires = f"{item.expires_year}-{item.expires_month:02}" if item.expires_month else ""
        cells.append((item.id, item.kind, item.brand, item.last_four, expires))
    table(("id", "kind", "brand", "last four", "expires"), cells)


def more(next_cursor: str | None) -> None:
    """Say how to get the next page, if there is one."""
    if next_cursor:
        errors().print(f"More: --cursor {next_cursor}", markup=False, style="dim", soft_wrap=True)


def _customer_cells(item: Any) -> tuple[str, ...]:
    return item.id, item.email, item.name, item.blocked_at.isoformat() if item.blocked_at else ""


def entered(entry_id: str, *, as_json: bool) -> None:
    """The answer of every entry: its id."""
    answer({"id": entry_id}, as_json=as_json, page=lambda console: console.print(entry_id, markup=False))


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Rows for people; or that there are none."""
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415

    shown = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    answers().print(shown if rows else "Nothing found.")
