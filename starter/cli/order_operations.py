"""What may be done to an order: cancel, use, another slip, a note, corrected answers, identification."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.options import Actor, Comment, Json, OrderName, RequestId, actor_or_default, by, pairs
from starter.cli.output import answer, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.money import Money
    from domain.order_projection import OrderView
    from starter.orders import Order
    from starter.teiki import Teiki

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Pairs = Annotated[list[str], typer.Argument(metavar="NAME=VALUE…")]


def register(app: typer.Typer) -> None:
    """Mount them on the `order` commands."""
    for command in (cancel, cancel_subscription, use, slip, note, fields, identify):
        app.command(command.__name__.replace("_", "-"))(command)


def cancel(
    order: OrderName,
    refund_amount: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="What is agreed to go back, in the order's currency: 3500, 10.50."
        ),
    ] = None,
    refund_amount_minor: Annotated[
        int | None, typer.Option(metavar="N", help="The same for machines: an integer of minor units.")
    ] = None,
    bank_account: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="The payment company's token for the account a paid deposit goes back to; left out: it asks.",
        ),
    ] = None,
    yes: Yes = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """End it and give back what was paid. Cannot be restored. Shows the amount and asks first."""
    if refund_amount is not None and refund_amount_minor is not None:
        raise typer.BadParameter("Give --refund-amount or --refund-amount-minor, not both.")
    is_said = refund_amount is not None or refund_amount_minor is not None
    if not (is_said or yes):
        _require_terminal("Give --refund-amount, or --yes to agree to whatever is computed.", as_json=as_json)

    async def run(teiki: Teiki) -> OrderView:
        meant = await teiki.orders.find(order)
        computed = await meant.refund_amount()
        agreed = _agreed(refund_amount, refund_amount_minor, computed) if is_said else computed
        if not (is_said or yes):
            told = (
                f"{computed} will be refunded" if computed and computed.minor else "Nothing will be refunded"
            )
            _ask(f"{told}. Cancel order {order} for good?")
        return await meant.cancel(
            refund_amount=agreed, bank_account=bank_account, **by(request_id, actor, comment)
        )

    _show(with_teiki(run), as_json=as_json)


def _agreed(amount: str | None, amount_minor: int | None, computed: Money | None) -> Money:
    """What was said, in the currency of the order; in yen for an order without a price, where it can only be 0."""
    from domain.money import Money, parse_money  # noqa: PLC0415 - pydantic is not needed for help

    currency = computed.currency if computed is not None else "JPY"
    if amount is not None:
        return parse_money(amount, currency)
    assert amount_minor is not None
    return Money(minor=amount_minor, currency=currency)


def cancel_subscription(
    order: OrderName,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Stop the subscription of a recurring order for good; past payments stay, access runs until it is paid for."""
    operate(order, lambda meant: meant.cancel_subscription(**by(request_id, actor, comment)), as_json=as_json)


def use(
    order: OrderName,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """The content was used or viewed: the purchase is confirmed. A ticket is marked as used."""
    operate(order, lambda meant: meant.use(**by(request_id, actor, comment)), as_json=as_json)


def slip(
    order: OrderName,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Ask for another Konbini slip; the one before is voided first."""
    operate(order, lambda meant: meant.issue_slip(**by(request_id, actor, comment)), as_json=as_json)


def note(
    order: OrderName,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="For other admins; customers never see it.")],
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Leave an internal note; the list of orders shows the latest."""

    async def run(teiki: Teiki) -> str:
        meant = await teiki.orders.find(order)
        await meant.note(text, request_id=request_id, actor=actor_or_default(actor))
        return meant.id

    noted = with_teiki(run)
    answer({"id": noted, "noted": True}, as_json=as_json, page=lambda c: c.print(f"Noted on {noted}."))


def fields(
    order: OrderName,
    answers: Pairs,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Correct answers of the customer, until the purchase is confirmed; `NAME=` empties one."""
    corrected = pairs(answers, what="An answer")
    operate(
        order,
        lambda meant: meant.change_custom_fields(corrected, **by(request_id, actor, comment)),
        as_json=as_json,
    )


def identify(
    order: OrderName,
    about: Pairs,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Say who holds the permission: an operator at any time, its customer (--actor customer:…) once."""
    known = pairs(about, what="Identification")

    async def run(teiki: Teiki) -> str:
        meant = await teiki.orders.find(order)
        await teiki.orders.identify(meant.permission_id, known, **by(request_id, actor, comment))
        return meant.permission_id

    permission = with_teiki(run)
    answer(
        {"permission_id": permission, "identified": sorted(known)},
        as_json=as_json,
        page=lambda console: console.print(
            f"Identified {permission}: {', '.join(sorted(known))}.", markup=False
        ),
    )


def operate(order: str, operation: Callable[[Order], Awaitable[OrderView]], *, as_json: bool) -> None:
    """One operation on the order that is meant; its new state is the answer."""

    async def run(teiki: Teiki) -> OrderView:
        return await operation(await teiki.orders.find(order))

    _show(with_teiki(run), as_json=as_json)


def confirmed(question: str, *, yes: bool, as_json: bool) -> None:
    """Ask before what cannot be undone; where nobody can be asked, `--yes` has to say it."""
    if yes:
        return
    _require_terminal("This cannot be undone: say --yes.", as_json=as_json)
    _ask(question)


def _ask(question: str) -> None:
    """Go on after a yes; otherwise say that nothing happened, with exit status 1."""
    if not typer.confirm(question, err=True):
        errors().print("Nothing was changed.")
        raise typer.Exit(1)


def _require_terminal(otherwise: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(otherwise)


def _show(view: Any, *, as_json: bool) -> None:
    from starter.cli import order_page  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(view, as_json=as_json, page=lambda console: order_page.view(console, view))
