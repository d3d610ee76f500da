"""`teiki subscription what-if …`: an operation tried on a copy, and the payments that would follow. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from starter.cli.operations import (
    At,
    Mode,
    NextOnly,
    Policy,
    cancel_mode,
    resume_choice,
    show_plan,
)
from starter.cli.options import Amount, AmountMinor, Currency, Json, SubscriptionId, money

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.subscription import State

app = typer.Typer(help="Try an operation on a copy and see the payments to come.", no_args_is_help=True)


@app.command("nothing")
def nothing(subscription: SubscriptionId, as_json: Json = False) -> None:
    """The payments to come as it stands."""
    _try(subscription, None, "If nothing is done", as_json=as_json)


@app.command("suspend")
def suspend(subscription: SubscriptionId, as_json: Json = False) -> None:
    """After suspending it now."""
    from domain import operations  # noqa: PLC0415 - pydantic is not needed for help

    _try(subscription, lambda state, now: operations.suspend(state), "If suspended", as_json=as_json)


@app.command("resume")
def resume(subscription: SubscriptionId, policy: Policy = None, at: At = None, as_json: Json = False) -> None:
    """After resuming it now."""
    from domain.resume import resume as resumed  # noqa: PLC0415 - as above

    chosen, next_at = resume_choice(policy, at)
    _try(
        subscription,
        lambda state, now: resumed(state, now, policy=chosen or state.terms.resume_policy, at=next_at),
        "If resumed",
        as_json=as_json,
    )


@app.command("cancel")
def cancel(subscription: SubscriptionId, mode: Mode = "now", as_json: Json = False) -> None:
    """After cancelling it, now or at the period's end."""
    from domain import operations  # noqa: PLC0415 - as above

    if cancel_mode(mode) == "now":
        _try(subscription, operations.cancel_now, "If canceled now", as_json=as_json)
    else:
        _try(
            subscription, operations.cancel_at_period_end, "If canceled at the period's end", as_json=as_json
        )


@app.command("recover")
def recover(subscription: SubscriptionId, as_json: Json = False) -> None:
    """After taking a scheduled cancellation back."""
    from domain import operations  # noqa: PLC0415 - as above

    _try(subscription, lambda state, now: operations.recover(state), "If recovered", as_json=as_json)


@app.command("change-card")
def change_card(subscription: SubscriptionId, as_json: Json = False) -> None:
    """After storing another card."""
    from domain import operations  # noqa: PLC0415 - as above

    _try(subscription, operations.change_card, "If given another card", as_json=as_json)


@app.command("change-amount")
def change_amount(
    subscription: SubscriptionId,
    amount: Amount = None,
    amount_minor: AmountMinor = None,
    currency: Currency = None,
    next_only: NextOnly = False,
    as_json: Json = False,
) -> None:
    """After changing the amount."""
    from domain import operations  # noqa: PLC0415 - as above

    new = money(amount, amount_minor, currency)
    if new is None:
        raise typer.BadParameter("Give --amount or --amount-minor.")
    _try(
        subscription,
        lambda state, now: operations.change_amount(state, new, next_only=next_only),
        "If the amount is changed",
        as_json=as_json,
    )


def _try(
    subscription: str,
    operation: Callable[[State, datetime], object] | None,
    title: str,
    *,
    as_json: bool,
) -> None:
    show_plan(subscription, lambda sub: sub.what_if(operation), as_json=as_json, title=title)
