"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from starter.cli import (
    attention,
    audit,
    books,
    catalogue,
    chargeback,
    credit,
    customer,
    deposit,
    endpoint,
    exports,
    gateway,
    notification,
    order,
    payment,
    products,
    repayment,
    role,
    services,
    subscription,
    ticket,
    webhook,
)

app = typer.Typer(
    name="teiki",
    help="Teiki: recurring charges that happen exactly as agreed, and can be explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and rarely wanted

        try:
            print(f"teiki {version('teiki')}")
        except PackageNotFoundError:
            print("teiki (from its sources, not installed)")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Teiki: recurring charges that happen exactly as agreed, and can be explained."""


services.register(app)
books.register(app)
app.add_typer(subscription.app, name="subscription")
app.add_typer(payment.app, name="payment")
app.add_typer(exports.app, name="export")
app.add_typer(order.app, name="order")
app.add_typer(ticket.app, name="ticket")
app.add_typer(deposit.app, name="deposit")
app.add_typer(credit.app, name="credit")
app.add_typer(chargeback.app, name="chargeback")
app.add_typer(repayment.app, name="repayment")
app.add_typer(attention.app, name="attention")
app.add_typer(gateway.app, name="gateway")
app.add_typer(webhook.app, name="webhook")
app.add_typer(role.app, name="role")
app.add_typer(audit.app, name="audit")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(notification.app, name="notification")
app.add_typer(customer.app, name="customer")
app.add_typer(products.app, name="product")
app.add_typer(catalogue.payment_methods, name="payment-method")
