"""`teiki subscription`: open one, look at one, find many, ask why."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from starter.cli import operations, what_if
from starter.cli.catalogue import listed
from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Comment,
    Currency,
    Cursor,
    Json,
    Limit,
    Metadata,
    RequestId,
    SubscriptionId,
    by,
    instant,
    money,
    pairs,
)
from starter.cli.output import answer, answers, busy, print_json
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.table import Table

    from db.reads.subscription import SubscriptionDetail
    from starter.subscriptions import Subscription
    from starter.teiki import Teiki

WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.15

app = typer.Typer(help="Recurring charges of one customer for one product.", no_args_is_help=True)
operations.register(app)
app.add_typer(what_if.app, name="what-if")

_TERMS, _AMOUNTS, _RETRY = "Terms", "Amounts", "Retries"


@app.command("create")
def create(
    *,
    customer: Annotated[str, typer.Option(metavar="ID", help="Who pays, cus_…")],
    product: Annotated[str, typer.Option(metavar="ID", help="What for, prd_…")],
    period: Annotated[
        str,
        typer.Option(help="daily weekly biweekly monthly … annually, or P10D, P2M", rich_help_panel=_TERMS),
    ],
    payment_method: Annotated[str | None, typer.Option(metavar="ID", help="The card, pm_…")] = None,
    token: Annotated[
        str | None,
        typer.Option(help="Instead of --payment-method: a gateway token, like tok_ok; added first."),
    ] = None,
    order: Annotated[str | None, typer.Option(metavar="ID", help="The order that opened it.")] = None,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    total_amount: Annotated[
        str | None, typer.Option(help="Split into equal charges, the rest last.", rich_help_panel=_AMOUNTS)
    ] = None,
    total_amount_minor: Annotated[int | None, typer.Option(rich_help_panel=_AMOUNTS)] = None,
    total_charges: Annotated[
        int | None, typer.Option(help="A fixed number, at least 2.", rich_help_panel=_AMOUNTS)
    ] = None,
    start_on: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Local date of the first payment; left out: now.", rich_help_panel=_TERMS
        ),
    ] = None,
    charge_time: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Local time, default 07:00.", rich_help_panel=_TERMS)
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="IANA zone, default Asia/Tokyo.", rich_help_panel=_TERMS)
    ] = None,
    preserve_end_of_month: Annotated[
        bool, typer.Option("--preserve-end-of-month", help="Always the last day.", rich_help_panel=_TERMS)
    ] = False,
    resume_policy: Annotated[
        str | None, typer.Option(help="next_cycle (default) or catch_up.", rich_help_panel=_TERMS)
    ] = None,
    retry_attempts: Annotated[
        int | None, typer.Option(help="Attempts in all, default 4.", rich_help_panel=_RETRY)
    ] = None,
    retry_interval: Annotated[
        str | None, typer.Option(help="ISO duration (P1D, PT48H) or next_day.", rich_help_panel=_RETRY)
    ] = None,
    retry_intervals: Annotated[
        str | None, typer.Option(help="A list, like P7D,P7D.", rich_help_panel=_RETRY)
    ] = None,
    metadata: Metadata = None,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the first charge's outcome.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Open a subscription; without --start-on its first charge follows at once."""
    if (payment_method is None) == (token is None):
        raise typer.BadParameter("Give --payment-method, or --token to add one first.")
    retry = {
        "attempts": retry_attempts,
        "interval": retry_interval,
        "intervals": None if retry_intervals is None else retry_intervals.split(","),
    }
    terms = {
        "customer_id": customer,
        "product_id": product,
        "order_id": order,
        "period": period,
        "amount": money(amount, amount_minor, currency),
        "total_amount": money(total_amount, total_amount_minor, currency, option="--total-amount"),
        "total_charges": total_charges,
        "start_on": start_on,
        "charge_time": charge_time,
        "zone": zone,
        "preserve_end_of_month": preserve_end_of_month,
        "resume_policy": resume_policy,
        "retry": {name: value for name, value in retry.items() if value is not None} or None,
        "metadata": pairs(metadata),
    }
    given = {name: value for name, value in terms.items() if value is not None}
    who = by(request_id, actor, comment)

    async def open_it(teiki: Teiki) -> SubscriptionDetail:
        from domain.terms import SubscriptionSpec, agree  # noqa: PLC0415 - pydantic is not needed for help

        # Terms are judged before a card is entered for a subscription that could never be opened.
        agree(
            SubscriptionSpec.model_validate({**given, "payment_method_id": payment_method or "pm_0"}),
            now=teiki.now(),
        )
        card = payment_method
        if token is not None:
            # The same request id adds the same card once, however often the command is repeated.
            of_card = f"{request_id}/card" if request_id else None
            card = await teiki.payment_methods.add(
                customer_id=customer, token=token, request_id=of_card, actor=who["actor"]
            )
        spec = SubscriptionSpec.model_validate({**given, "payment_method_id": card})
        opened = await teiki.subscriptions.create(spec, **who)
        with busy("Waiting for the first charge …"):
            return await _first_outcome(opened, teiki) if wait else await opened.show()

    _shown(with_teiki(open_it), as_json=as_json)


async def _first_outcome(opened: Subscription, teiki: Teiki) -> SubscriptionDetail:
    """The subscription once its first charge has an answer, or after ten seconds as it stands."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    while True:
        detail = await opened.show()
        soon = teiki.now() + timedelta(seconds=WAIT_SECONDS)
        under_way = detail.next_kind == "payment" and detail.next_at is not None and detail.next_at <= soon
        if detail.status.value != "unverified" or not under_way or loop.time() >= deadline:
            return detail
        await asyncio.sleep(_POLL_SECONDS)


@app.command("show")
def show(subscription: SubscriptionId, as_json: Json = False) -> None:
    """Everything about one: status and why, what comes next, every payment and operation."""
    _shown(with_teiki(lambda teiki: teiki.subscriptions.get(subscription).show()), as_json=as_json)


def _shown(detail: SubscriptionDetail, *, as_json: bool) -> None:
    from starter.cli import pages  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(detail, as_json=as_json, page=lambda console: pages.subscription(console, detail))


@app.command("explain")
def explain(
    subscription: SubscriptionId,
    payment: Annotated[int | None, typer.Option(metavar="N", help="Only this payment's number.")] = None,
    as_json: Json = False,
) -> None:
    """Why each payment was or was not charged: the rule, the policy and the person, from history alone."""

    async def tell(teiki: Teiki) -> list[str]:
        from starter import explain as explaining  # noqa: PLC0415 - the read models come with it

        detail = await teiki.subscriptions.get(subscription).show()
        return explaining.explain(detail, payment=payment)

    sentences = with_teiki(tell)
    if as_json:
        print_json({"subscription_id": subscription, "payment": payment, "sentences": sentences})
        return
    console = answers()
    for sentence in sentences:
        console.print(f"• {sentence}", markup=False, soft_wrap=not console.is_terminal)


@app.command("list")
def list_(
    *,
    status: Annotated[
        list[str] | None, typer.Option(help="Any of these; may be given many times, or as a,b.")
    ] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Of this customer.")] = None,
    email: Annotated[str | None, typer.Option(help="Of the customer with this address.")] = None,
    product: Annotated[str | None, typer.Option(metavar="ID", help="For this product.")] = None,
    card_brand: Annotated[str | None, typer.Option(help="visa, jcb, …")] = None,
    card_last_four: Annotated[
        str | None, typer.Option(metavar="NNNN", help="The card's last digits.")
    ] = None,
    created_from: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    created_to: Annotated[str | None, typer.Option(metavar="INSTANT", help="Exclusive.")] = None,
    next_from: Annotated[str | None, typer.Option(metavar="INSTANT", help="When the next step is.")] = None,
    next_to: Annotated[str | None, typer.Option(metavar="INSTANT", help="Exclusive.")] = None,
    cancel_scheduled: Annotated[
        bool | None,
        typer.Option("--cancel-scheduled/--no-cancel-scheduled", help="A cancellation is scheduled."),
    ] = None,
    unknown: Annotated[
        bool | None, typer.Option("--unknown/--no-unknown", help="An attempt's outcome is not known.")
    ] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--no-failed", help="A payment was declined and is not settled.")
    ] = None,
    metadata: Metadata = None,
    text: Annotated[
        str | None, typer.Option(help="How its id, or the customer's e-mail or name, begins.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Subscriptions, newest first; every filter given must hold."""
    statuses = [part for one in status or [] for part in one.split(",")]
    conditions: dict[str, Any] = {
        "status": statuses or None,
        "customer_id": customer,
        "customer_email": email,
        "product_id": product,
        "card_brand": card_brand,
        "card_last_four": card_last_four,
        "created_from": instant(created_from),
        "created_to": instant(created_to),
        "next_from": instant(next_from),
        "next_to": instant(next_to),
        "cancel_scheduled": cancel_scheduled,
        "has_unknown_payment": unknown,
        "has_failed_payment": failed,
        "metadata": pairs(metadata),
        "text": text,
    }

    async def read(teiki: Teiki) -> Any:
        from db.reads.subscriptions import SubscriptionFilter  # noqa: PLC0415 - SQLAlchemy only when needed

        wanted = SubscriptionFilter.model_validate(conditions)
        return await teiki.subscriptions.list(wanted, cursor=cursor, limit=limit)

    page = with_teiki(read)

    def shown() -> Table:
        from starter.cli import pages  # noqa: PLC0415 - Rich is loaded when something is printed

        return pages.subscriptions(page.items)

    listed(page, shown, as_json=as_json)
