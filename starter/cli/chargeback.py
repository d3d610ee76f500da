"""`teiki chargeback`: a payment was charged back, and no webhook told of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from starter.cli.options import Actor, Comment, Json, RequestId, actor_or_default
from starter.cli.output import answer
from starter.cli.session import with_teiki

app = typer.Typer(help="Payments that the customer's bank took back.", no_args_is_help=True)

PaymentName = Annotated[
    str,
    typer.Argument(
        metavar="OBJECT/NUMBER",
        help="A subscription's or an order's id (or an order number), and the number of its payment: sub_…/3.",
    ),
]


@app.callback()
def _chargeback() -> None:
    """Payments that the customer's bank took back."""


@app.command("enter")
def enter(
    payment: PaymentName,
    comment: Comment = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Say that a payment was charged back; the payment company's book is asked, and decides about the money."""
    taken = with_teiki(
        lambda teiki: teiki.chargebacks.enter(
            payment, comment=comment, request_id=request_id, actor=actor_or_default(actor)
        )
    )

    def page(console: Any) -> None:
        console.print(f"{payment}: {_SENTENCES[taken.outcome]} ({taken.amount})", markup=False)

    answer(taken.model_dump(mode="json"), as_json=as_json, page=page)


_SENTENCES = {
    "booked": "a chargeback; the payment company's book shows it",
    "entered": "a chargeback by your word; the ledger follows when the payment company's book shows it",
    "known": "it was a chargeback before",
}
