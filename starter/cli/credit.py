"""`teiki credit`: give a settled payment back, whole or in part, and see how far that has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from starter.cli.catalogue import more
from starter.cli.chargeback import PaymentName
from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Currency,
    Cursor,
    Json,
    Limit,
    RequestId,
    by,
    money,
)
from starter.cli.output import answer, answers, print_json
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.credits import CreditItem, CreditPage
    from domain.money import Money
    from starter.teiki import Teiki


class _PaymentOrCommand(TyperGroup):
    """`teiki credit sub_…/3` gives money back; `list` and `show` look."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        looks = not args or args[0] in self.commands or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if looks else [_GIVE, *args])


_GIVE: Final = "give"
app = typer.Typer(
    cls=_PaymentOrCommand,
    no_args_is_help=True,
    help="Give a settled payment back: teiki credit OBJECT/NUMBER; or look: list, show.",
)
Why = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why; for operators only.")]
_WAITS = {
    "sent": "asked for just now",
    "unsent": "the payment company does not take it just now; it is sent again by itself",
    "unknown": "nobody knows yet whether it arrived; the payment company is asked, and then asked again",
    "pending": "the payment company works on it",
    "attention": "waits for a person: teiki attention list",
}


@app.command(_GIVE)
def give(
    payment: PaymentName,
    comment: Why,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    *,
    accept_risk: Annotated[
        bool,
        typer.Option(
            "--accept-risk",
            help="I understand the risk and want to proceed: for a part of a SEPA or other wire payment.",
        ),
    ] = False,
    block_all: Annotated[bool, typer.Option("--block-all", help="Block the customer as well.")] = False,
    bank_account: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="The payment company's token for the account a paid deposit goes back to; left out: it asks.",
        ),
    ] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Give a payment back: everything that is left of it, or --amount."""
    name, number = payment_of(payment)

    async def run(teiki: Teiki) -> CreditItem:
        wanted = await _amount(teiki, name, number, amount, amount_minor, currency)
        return await teiki.payments.credit(
            name,
            number,
            wanted,
            accept_risk=accept_risk,
            block_all=block_all,
            bank_account=bank_account,
            **by(request_id, actor, comment),
        )

    made = with_teiki(run)
    answer(made, as_json=as_json, page=lambda console: _page(console, made))


async def _amount(
    teiki: Teiki, name: str, number: int, amount: str | None, amount_minor: int | None, currency: str | None
) -> Money | None:
    """What was said, in the payment's own currency when none was."""
    if currency is None and (amount is not None or amount_minor is not None):
        currency = (await teiki.payments.find(f"{name}/{number}")).amount.currency
    return money(amount, amount_minor, currency)


def payment_of(text: str) -> tuple[str, int]:
    """`sub_…/3` as an object's name and a payment's number."""
    name, _, number = text.rpartition("/")
    if not name or not number.isdecimal() or len(number) > 9:
        raise typer.BadParameter("Name the payment like sub_…/3 or 20260105-0000017/1.")
    return name, int(number)


@app.command()
def show(
    credit_id: Annotated[str, typer.Argument(metavar="CREDIT", help="Its id, crd_…")], as_json: Json = False
) -> None:
    """One credit: how far it has come, and what is left of its payment."""

    async def run(teiki: Teiki) -> CreditItem:
        return await teiki.credits.show(credit_id)

    found = with_teiki(run)
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


@app.command("list")
def show_list(
    *,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="OBJECT[/NUMBER]", help="Of a subscription or order, or one payment."),
    ] = None,
    status: Annotated[str | None, typer.Option(help="open, returned or failed.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Credits, newest first."""
    name, number = (None, None) if of is None else payment_of(of) if "/" in of else (of, None)
    conditions: dict[str, Any] = {"object_id": name, "number": number, "status": status}

    async def run(teiki: Teiki) -> CreditPage:
        from db.reads.credits import CreditFilter  # noqa: PLC0415 - SQLAlchemy only when needed

        if name is not None and not name.startswith("sub_"):
            conditions["object_id"] = (await teiki.orders.find(name)).id
        return await teiki.credits.list(CreditFilter.model_validate(conditions), cursor=cursor, limit=limit)

    page = with_teiki(run)
    if as_json:
        print_json(page)
        return
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed

    table = Table("credit", "payment", "amount", "status", "asked (UTC)", "by", header_style="bold", box=None)
    for item in page.items:
        asked = f"{item.created_at:%Y-%m-%d %H:%M}"
        table.add_row(
            item.id, f"{item.object_id}/{item.number}", str(item.amount), _status(item), asked, item.actor
        )
    answers().print(table)
    more(page.next_cursor)


def _status(item: CreditItem) -> str:
    waits = item.status == "open" and item.attempt_state is not None
    return f"{item.status.value} ({item.attempt_state})" if waits else item.status.value


def _page(console: Console, item: CreditItem) -> None:
    told = {"returned": "is back with the customer", "failed": "was not returned", "open": "is on its way"}
    console.print(
        f"{item.amount} of payment {item.object_id}/{item.number} {told[item.status]}: credit {item.id}.",
        markup=False,
        soft_wrap=True,
    )
    if item.status == "open":
        console.print(
            f"So far: {_WAITS.get(item.attempt_state or 'sent', item.attempt_state)}.", markup=False
        )
    if item.hint and item.status != "returned":
        console.print(f"Last seen: {item.hint}", markup=False)
    console.print(f"Left of the payment: {item.balance}.", markup=False)
    if item.block_all:
        console.print("The customer is blocked.")
