"""`teiki repayment`: money for a payment that was charged back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.catalogue import listed
from starter.cli.chargeback import PaymentName
from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Comment,
    Currency,
    Cursor,
    Json,
    Limit,
    RequestId,
    by,
    money,
)
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.repayments import RepaymentItem
    from starter.repayments import Added
    from starter.teiki import Teiki

app = typer.Typer(help="Money for a payment that was charged back.", no_args_is_help=True)

RepaymentId = Annotated[str, typer.Argument(metavar="REPAYMENT", help="Its id, rep_…")]


@app.command("add")
def add(
    payment: PaymentName,
    *,
    link: Annotated[bool, typer.Option("--link", help="Make a link by which the customer pays.")] = False,
    method: Annotated[
        str | None,
        typer.Option("--manual", metavar="METHOD", help="Money came otherwise: bank_transfer, cash, …"),
    ] = None,
    reference: Annotated[str, typer.Option(help="With --manual: what the statement or receipt says.")] = "",
    on: Annotated[
        str | None, typer.Option(metavar="DATE", help="With --manual: the day it came; today, unless said.")
    ] = None,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    days: Annotated[int, typer.Option(min=1, max=180, help="With --link: days until it expires.")] = 14,
    remind: Annotated[
        list[int] | None,
        typer.Option(metavar="DAYS", help="With --link: days until a reminder; may be given many times."),
    ] = None,
    comment: Comment = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Ask the customer for the money by a link, or write down money that came; without an amount all that is owed."""
    if link == (method is not None):
        raise typer.BadParameter("Give --link or --manual METHOD.")
    asked = money(amount, amount_minor, currency)

    async def run(teiki: Teiki) -> Added:
        from domain.repayment import REMIND_AFTER  # noqa: PLC0415 - pydantic only when needed
        from workflows.repayment_messages import Received  # noqa: PLC0415 - as above

        who = by(request_id, actor, comment)
        if method is not None:
            day = date.fromisoformat(on) if on else teiki.now().date()
            came = Received(amount=asked, method=method, reference=reference, on=day)
            return await teiki.repayments.add(payment, manual=came, **who)
        after = [timedelta(days=number) for number in remind] if remind is not None else REMIND_AFTER
        return await teiki.repayments.add(
            payment, link=True, amount=asked, life=timedelta(days=days), remind_after=after, **who
        )

    added = with_teiki(run)
    document = added.repayment.model_dump(mode="json") | {"url": added.url}

    def page(console: Console) -> None:
        _page(console, added.repayment)
        if added.url is not None:
            console.print(f"Send this to the customer; it is shown only once:\n{added.url}", markup=False)

    answer(document, as_json=as_json, page=page)


@app.command("list")
def show_list(
    payment: Annotated[str | None, typer.Argument(metavar="[OBJECT/NUMBER]", help="Of this payment.")] = None,
    *,
    status: Annotated[str | None, typer.Option(help="open, paid, expired or canceled.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Repayments, newest first."""
    page = with_teiki(lambda teiki: teiki.repayments.list(payment, status=status, cursor=cursor, limit=limit))
    listed(page, lambda: _table(page.items), as_json=as_json)


@app.command("show")
def show(repayment: RepaymentId, as_json: Json = False) -> None:
    """A repayment as the books show it."""
    found = with_teiki(lambda teiki: teiki.repayments.show(repayment))
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


@app.command("cancel")
def cancel(
    repayment: RepaymentId,
    comment: Comment = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Nobody can pay by this link any more."""
    found = with_teiki(lambda teiki: teiki.repayments.cancel(repayment, **by(request_id, actor, comment)))
    answer(found, as_json=as_json, page=lambda console: _page(console, found))


def _page(console: Console, found: RepaymentItem) -> None:
    lines: list[tuple[str, Any]] = [
        ("for", f"{found.object_id}/{found.number}"),
        ("amount", found.amount),
        ("paid", found.paid),
        ("by", _how(found)),
        ("comment", found.comment),
    ]
    if found.expires_at is not None:
        lines.append(("expires", f"{found.expires_at:%Y-%m-%d %H:%M:%S} UTC"))
        lines.append(("reminders", found.reminders))
    console.print(f"{found.id}  {found.status.value} ({found.reason})", markup=False)
    for name, value in lines:
        if value != "":
            console.print(f"  {name:<10}{value}", markup=False)


def _how(found: RepaymentItem) -> str:
    if found.kind == "link":
        return "link"
    named = f", {found.received_as}" if found.received_as else ""
    return f"{found.method}{named}, on {found.received_on}"


def _table(items: list[RepaymentItem]) -> Any:
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415 - as above

    columns = ("repayment", "payment", "status", "amount", "paid", "by", "expires", "reminders")
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for item in items:
        table.add_row(
            Text(item.id),
            Text(f"{item.object_id}/{item.number}"),
            Text(item.status.value),
            Text(str(item.amount)),
            Text(str(item.paid)),
            Text(_how(item)),
            f"{item.expires_at:%Y-%m-%d %H:%M}" if item.expires_at else "",
            str(item.reminders) if item.kind == "link" else "",
        )
    table.columns[0].no_wrap = True
    return table
