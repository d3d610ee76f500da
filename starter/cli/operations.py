"""What may be done to a subscription: suspend, resume, cancel, recover, another card, another amount."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Comment,
    Currency,
    Json,
    RequestId,
    SubscriptionId,
    by,
    instant,
    money,
)
from starter.cli.output import answer
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from starter.subscriptions import Subscription

Policy = Annotated[str | None, typer.Option(help="next_cycle or catch_up; default: the subscription's own.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="INSTANT", help="The next payment's instant, instead of a policy."),
]
Mode = Annotated[str, typer.Option(help="now, or period_end: at the next date, which is not charged.")]
NextOnly = Annotated[bool, typer.Option("--next-only", help="For the next payment only.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `teiki subscription`."""
    for command in (suspend, resume, cancel, recover, change_card, change_amount, card_link):
        app.command(command.__name__.replace("_", "-"))(command)


def suspend(
    subscription: SubscriptionId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Stop charging until resumed; due dates pass."""
    _operate(subscription, lambda sub: sub.suspend(**by(request_id, actor, comment)), as_json=as_json)


def resume(
    subscription: SubscriptionId,
    policy: Policy = None,
    at: At = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be charged and when; change nothing.")
    ] = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Go on after a suspension; answers with the plan."""
    chosen, next_at = resume_choice(policy, at)
    show_plan(
        subscription,
        lambda sub: sub.resume(policy=chosen, at=next_at, dry_run=dry_run, **by(request_id, actor, comment)),
        as_json=as_json,
        title="What a resume would do" if dry_run else "Resumed",
    )


def resume_choice(policy: str | None, at: str | None) -> tuple[Any, Any]:
    """The policy or the instant a resume goes by; both at once is a usage error."""
    from domain.terms import ResumePolicy  # noqa: PLC0415 - pydantic is not needed for help

    if policy is not None and at is not None:
        raise typer.BadParameter("Give --policy or --at, not both.")
    if policy is None:
        return None, instant(at)
    try:
        return ResumePolicy(policy), None
    except ValueError as error:
        raise typer.BadParameter(f"--policy is next_cycle or catch_up, not {policy!r}.") from error


def cancel(
    subscription: SubscriptionId,
    mode: Mode = "now",
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """End it for good: at once, or at the next scheduled payment date."""
    chosen: Any = cancel_mode(mode)
    _operate(
        subscription, lambda sub: sub.cancel(mode=chosen, **by(request_id, actor, comment)), as_json=as_json
    )


def cancel_mode(mode: str) -> str:
    if mode not in ("now", "period_end"):
        raise typer.BadParameter(f"--mode is now or period_end, not {mode!r}.")
    return mode


def recover(
    subscription: SubscriptionId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Take a scheduled cancellation back."""
    _operate(subscription, lambda sub: sub.recover(**by(request_id, actor, comment)), as_json=as_json)


def change_card(
    subscription: SubscriptionId,
    payment_method: Annotated[str, typer.Option(metavar="ID", help="The new card, pm_…")],
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Charge another card from now on; a failing payment is tried at once."""
    _operate(
        subscription,
        lambda sub: sub.change_card(payment_method, **by(request_id, actor, comment)),
        as_json=as_json,
    )


def change_amount(
    subscription: SubscriptionId,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    next_only: NextOnly = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Another amount from the next scheduled payment, or for that one only."""
    new = money(amount, amount_minor, currency)
    if new is None:
        raise typer.BadParameter("Give --amount or --amount-minor.")
    _operate(
        subscription,
        lambda sub: sub.change_amount(new, next_only=next_only, **by(request_id, actor, comment)),
        as_json=as_json,
    )


def card_link(
    subscription: SubscriptionId,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """A link by which the customer changes the card: single use, seven days; older links end."""
    url = with_teiki(
        lambda teiki: teiki.subscriptions.get(subscription).card_change_link(**by(request_id, actor, comment))
    )
    answer(
        {"url": url},
        as_json=as_json,
        page=lambda console: console.print(url, markup=False, soft_wrap=True),
    )


def _operate(
    subscription: str, operation: Callable[[Subscription], Awaitable[Any]], *, as_json: bool
) -> None:
    view, zone = with_teiki(lambda teiki: _and_zone(teiki.subscriptions.get(subscription), operation))
    from starter.cli import pages  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(view, as_json=as_json, page=lambda console: pages.view(console, view, zone))


def show_plan(
    subscription: str, ask: Callable[[Subscription], Awaitable[Any]], *, as_json: bool, title: str
) -> None:
    """A plan as JSON or as a table, its instants in the subscription's own zone."""
    plan, zone = with_teiki(lambda teiki: _and_zone(teiki.subscriptions.get(subscription), ask))
    from starter.cli import pages  # noqa: PLC0415 - as above

    answer(plan, as_json=as_json, page=lambda console: pages.plan(console, plan, zone, title=title))


async def _and_zone(
    subscription: Subscription, work: Callable[[Subscription], Awaitable[Any]]
) -> tuple[Any, str]:
    """The answer, and the zone in which people read its instants."""
    done = await work(subscription)
    return done, (await subscription.show()).zone
