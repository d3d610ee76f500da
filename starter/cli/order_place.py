"""`teiki order place`: an order from options, from a file, or from both."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Comment,
    Currency,
    Json,
    Metadata,
    RequestId,
    by,
    fields_of,
    money,
    pairs,
)
from starter.cli.output import answer, busy
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from db.reads.order import OrderDetail
    from starter.orders import Order
    from starter.teiki import Teiki

WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.15
_CARD, _STORE, _TIMES, _ANSWERS = "Card", "Konbini", "Recurring", "Answers"
_STORES: Final = "seven_eleven family_mart lawson ministop seicomart daily_yamazaki"


def register(app: typer.Typer) -> None:
    """Mount `place` on the `order` commands."""
    app.command("place")(place)


def place(
    *,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Who buys, cus_…")] = None,
    product: Annotated[str | None, typer.Option(metavar="ID", help="What, prd_…")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variant of the product. Many times.")
    ] = None,
    pay: Annotated[
        str | None, typer.Option(metavar="WAY", help="card (default), konbini, recurring or none.")
    ] = None,
    payment_method: Annotated[
        str | None, typer.Option(metavar="ID", help="The card, pm_…", rich_help_panel=_CARD)
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Instead of --payment-method: a gateway token, like tok_ok; added first.",
            rich_help_panel=_CARD,
        ),
    ] = None,
    installments: Annotated[
        int | None, typer.Option(metavar="N", help="In so many parts, 2–60.", rich_help_panel=_CARD)
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="STORE", help=f"{_STORES}.", rich_help_panel=_STORE)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Shown at the till.", rich_help_panel=_STORE)] = None,
    phone: Annotated[
        str | None, typer.Option(help="Japanese, like 0312345678.", rich_help_panel=_STORE)
    ] = None,
    deadline_days: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Payable until the end of that day, 1–60; default 3.", rich_help_panel=_STORE
        ),
    ] = None,
    grace_minutes: Annotated[
        int | None,
        typer.Option(metavar="N", help="For slips printed in time; default 30.", rich_help_panel=_STORE),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(help="daily weekly … monthly … annually, or P10D, P2M.", rich_help_panel=_TIMES),
    ] = None,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    total_charges: Annotated[
        int | None, typer.Option(metavar="N", help="A fixed number, at least 2.", rich_help_panel=_TIMES)
    ] = None,
    start_on: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Local date of the first payment; left out: now.", rich_help_panel=_TIMES
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An answer to the product's question.", rich_help_panel=_ANSWERS
        ),
    ] = None,
    identify: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="About the holder.", rich_help_panel=_ANSWERS),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="The merchant's, default Asia/Tokyo.")] = None,
    metadata: Metadata = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All of it as YAML or JSON; options beside it win over the file."),
    ] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the charge's outcome, or the slip.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Place an order: a card is charged at once, a Konbini order gets its slip, a recurring one its subscription."""
    if payment_method is not None and token is not None:
        raise typer.BadParameter("Give --payment-method, or --token to add one first; not both.")
    konbini = {
        "store": store,
        "customer_name": name,
        "phone": phone,
        "deadline_days": deadline_days,
        "grace_minutes": grace_minutes,
    }
    terms = {
        "period": period,
        "amount": money(amount, amount_minor, currency),
        "total_charges": total_charges,
        "start_on": start_on,
    }
    said = _merged(
        fields_of(file, option="--file") if file else {},
        {
            "customer_id": customer,
            "product_id": product,
            "options": option or None,
            "pay": pay,
            "payment_method_id": payment_method,
            "installments": installments,
            "konbini": _given(konbini),
            "subscription": _given(terms),
            "custom_fields": pairs(field, what="A field") or None,
            "identification": pairs(identify, what="Identification") or None,
            "zone": zone,
            "metadata": pairs(metadata) or None,
        },
    )
    if said.get("pay") == "recurring":
        said.setdefault("subscription", {})
    who = by(request_id, actor, comment)

    async def place_it(teiki: Teiki) -> OrderDetail:
        from domain.order_terms import OrderSpec  # noqa: PLC0415 - pydantic is not needed for help

        if token is not None:
            # Judged before a card is entered for an order that could never be placed.
            OrderSpec.model_validate({**said, "payment_method_id": "pm_0"})
            said["payment_method_id"] = await teiki.payment_methods.add(
                customer_id=said["customer_id"],
                token=token,
                # The same request id adds the same card once, however often the command is repeated.
                request_id=f"{request_id}/card" if request_id else None,
                actor=who["actor"],
            )
        placed = await teiki.orders.place(OrderSpec.model_validate(said), **who)
        with busy("Waiting for the payment company …"):
            return await _first_outcome(placed) if wait else await placed.show()

    detail = with_teiki(place_it)
    from starter.cli import order_page  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(detail, as_json=as_json, page=lambda console: order_page.placed(console, detail))


async def _first_outcome(placed: Order) -> OrderDetail:
    """The order once its payment has an answer or its slip its numbers, or after ten seconds as it stands."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    while True:
        detail = await placed.show()
        has_slip = any(slip.payment_number for slip in detail.deposits)
        if detail.status.value != "in_process" or has_slip or loop.time() >= deadline:
            return detail
        await asyncio.sleep(_POLL_SECONDS)


def _given(fields: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in fields.items() if value is not None} or None


def _merged(file: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The file's fields with those of the options on top; fields within fields one by one."""
    merged = dict(file)
    for name, value in options.items():
        if value is None:
            continue
        both_hold_fields = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both_hold_fields else value
    return merged
