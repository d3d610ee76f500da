"""`teiki payment-method`: what customers pay with; and how entries and lists are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from starter.cli.options import (
    Actor,
    Json,
    RequestId,
    actor_or_default,
)
from starter.cli.output import answer, answers, errors, print_json
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    class Page(Protocol):
        """What every list answers with, a pydantic model."""

        @property
        def items(self) -> Sequence[object]: ...
        @property
        def next_cursor(self) -> str | None: ...
        def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]: ...


payment_methods = typer.Typer(help="Cards, as tokens of the payment company.", no_args_is_help=True)


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


def listed(page: Page, shown: Callable[[], object], *, as_json: bool) -> None:
    """One page of a list: JSON for machines; for people what `shown` makes of it, and how to get the next one."""
    if as_json:
        print_json(page.model_dump(mode="json", by_alias=True))
    elif not page.items:
        errors().print("Nothing found.")
    else:
        answers().print(shown())
        more(page.next_cursor)


def more(next_cursor: str | None) -> None:
    """Say how to get the next page, if there is one."""
    if next_cursor:
        errors().print(f"More: --cursor {next_cursor}", markup=False, style="dim", soft_wrap=True)


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
