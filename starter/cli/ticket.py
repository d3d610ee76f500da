"""`teiki ticket`: at the door."""

from __future__ import annotations

from typing import Annotated

import typer

from starter.cli.options import Actor, Comment, Json, RequestId, by
from starter.cli.order_operations import Yes, confirmed, operate

app = typer.Typer(help="Tickets, at the door.", no_args_is_help=True)

Ticket = Annotated[
    str,
    typer.Argument(
        metavar="TICKET", help="Its order number, its order's id (ord_…) or its permission's (per_…)."
    ),
]


@app.callback()
def _root() -> None:
    """Tickets, at the door."""


@app.command("process-access")
def process_access(
    ticket: Ticket,
    yes: Yes = False,
    request_id: RequestId = None,
    actor: Actor = None,
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Mark a ticket as used. Cannot be undone; of many calls for one ticket exactly one succeeds."""
    confirmed(
        f"Process access for {ticket}? This cannot be undone; a refund is then only possible by canceling the order.",
        yes=yes,
        as_json=as_json,
    )
    operate(ticket, lambda meant: meant.process_access(**by(request_id, actor, comment)), as_json=as_json)
