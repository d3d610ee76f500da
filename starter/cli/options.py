"""Arguments and options that several commands share, and what people type turned into what the SDK takes."""

from __future__ import annotations

import getpass
import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable

if TYPE_CHECKING:
    from domain.money import Money

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, everything else on stderr.")]
RequestId = Annotated[
    str | None, typer.Option(metavar="ID", help="Repeating a command with the same id changes nothing more.")
]
Actor = Annotated[
    str | None,
    typer.Option(
        envvar="TEIKI_ACTOR",
        metavar="WHO",
        help="Who asks: operator:…, service:…, customer:… or system. Default: operator:<your login>.",
    ),
]
Comment = Annotated[str, typer.Option(metavar="TEXT", help="For operators; customers never see it.")]
OrderName = Annotated[
    str, typer.Argument(metavar="ORDER", help="Its order number, like 20260105-0000017, or its id, ord_…")
]
SubscriptionId = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, sub_…")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="Entries of a page.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where a page ended.")]
Amount = Annotated[
    str | None, typer.Option(metavar="AMOUNT", help="In the currency's own unit: 1000 (JPY), 10.50 (USD).")
]
AmountMinor = Annotated[
    int | None, typer.Option(metavar="N", help="The same for machines: an integer of minor units.")
]
Currency = Annotated[str | None, typer.Option(metavar="CODE", help="ISO 4217, like JPY.")]
Metadata = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be given many times.")]


def by(request_id: str | None, actor: str | None, comment: str = "") -> dict[str, Any]:
    """The part of every write that says who, why and under which id."""
    return {"request_id": request_id, "actor": actor_or_default(actor), "comment": comment}


def actor_or_default(actor: str | None) -> str:
    """The actor given, or whoever sits here."""
    return actor or person_here()


def person_here() -> str:
    """Who sits at this terminal: what `TEIKI_ACTOR` says, or the login."""
    named = os.environ.get("TEIKI_ACTOR")
    if named:
        return named
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        login = ""
    return "operator:" + (re.sub(r"[^\w.@:\-]", "-", login)[:80] or "cli")


def money(
    amount: str | None, amount_minor: int | None, currency: str | None, *, option: str = "--amount"
) -> Money | None:
    """What `--amount` or `--amount-minor` and `--currency` say; None when neither is given.

    Raises:
        BadParameter: both, or no currency. TeikiError: `invalid_money`, `invalid_currency`.
    """
    from domain.money import Money, parse_money  # noqa: PLC0415 - pydantic is not needed for help

    if amount is None and amount_minor is None:
        return None
    if amount is not None and amount_minor is not None:
        raise typer.BadParameter(f"Give {option} or {option}-minor, not both.")
    if currency is None:
        raise typer.BadParameter(f"{option} needs --currency.")
    if amount is not None:
        return parse_money(amount, currency)
    assert amount_minor is not None
    return Money(minor=amount_minor, currency=currency)


def instant(text: str | None) -> datetime | None:
    """An ISO 8601 instant with its offset; `invalid_instant` otherwise."""
    from domain.terms import require_instant  # noqa: PLC0415 - as above

    if text is None:
        return None
    try:
        return require_instant(datetime.fromisoformat(text))
    except ValueError as error:
        raise TeikiError(
            ErrorCode.INVALID_INSTANT,
            "An instant is written like 2026-12-01T09:00:00+09:00.",
            value=repeatable(text),
        ) from error


def pairs(given: list[str] | None, *, what: str = "Metadata") -> dict[str, str]:
    """`["color=red"]` as a dictionary."""
    found: dict[str, str] = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{what} is given as KEY=VALUE, not {text!r}.")
        found[key] = value
    return found


def fields_of(path: Path, *, option: str) -> dict[str, Any]:
    """The fields a YAML or JSON document holds; `option` is what the file was given with."""
    from starter.documents import UnreadableDocument, read_document  # noqa: PLC0415 - YAML only when needed

    try:
        said = read_document(path)
    except UnreadableDocument as error:
        raise typer.BadParameter(f"{option} {path.name}: {error}") from error
    if not isinstance(said, dict):
        raise typer.BadParameter(f"{option} {path.name} holds no fields.")
    return said
