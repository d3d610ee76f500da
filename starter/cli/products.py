"""`teiki product`: what is sold, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from starter.cli.catalogue import entered, more, table
from starter.cli.options import (
    Actor,
    Amount,
    AmountMinor,
    Currency,
    Cursor,
    Json,
    Limit,
    RequestId,
    actor_or_default,
    fields_of,
    instant,
    money,
)
from starter.cli.output import answer, print_json
from starter.cli.session import with_teiki

app = typer.Typer(help="What is paid for.", no_args_is_help=True)

_USE, _FIELDS, _PRICE = "Use", "Fields", "Price"
_TYPES: Final = "digital membership sponsorship subscription_voucher ticket"


@app.command("put")
def put(
    *,
    name: Annotated[str, typer.Option(help="What customers know it by.")],
    product: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="prd_…, to be replaced; left out: a new one.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help=f"{_TYPES}. Default: digital.")
    ] = None,
    sales_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="one_time (default), recurring or token_auth.")
    ] = None,
    price: Amount = None,
    price_minor: AmountMinor = None,
    currency: Currency = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=PRICE]",
            help="A variant; its price replaces the product's. Many times.",
            rich_help_panel=_PRICE,
        ),
    ] = None,
    point_rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Points per unit: 0.01.", rich_help_panel=_PRICE)
    ] = None,
    usage_period: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="From the acquisition: P30D, P1M, PT48H. Left out: without end.",
            rich_help_panel=_USE,
        ),
    ] = None,
    usage_from: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Fixed: the same for everybody.", rich_help_panel=_USE),
    ] = None,
    usage_to: Annotated[str | None, typer.Option(metavar="INSTANT", rich_help_panel=_USE)] = None,
    membership_numbers: Annotated[
        bool, typer.Option("--membership-numbers", help="Number the members.", rich_help_panel=_USE)
    ] = False,
    identification_field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Collected about the holder. Many times.", rich_help_panel=_FIELDS),
    ] = None,
    custom_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:TYPE[:required][:A,B,C]",
            help="A question: text number date choice boolean email phone. Many times.",
            rich_help_panel=_FIELDS,
        ),
    ] = None,
    terms_file: Annotated[
        Path | None,
        typer.Option(
            "--terms", metavar="FILE", help="All of it as YAML or JSON; options beside it win over the file."
        ),
    ] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Enter a product, or replace what it says; orders keep the terms they were placed with."""
    given = {
        "type": kind,
        "sales_method": sales_method,
        "price": money(price, price_minor, currency, option="--price"),
        "options": [_option(text, currency) for text in option or []] or None,
        "point_rate": point_rate,
        "usage_period": _usage_period(usage_period, usage_from, usage_to),
        "membership_numbers": membership_numbers or None,
        "identification_fields": identification_field or None,
        "custom_fields": [_custom_field(text) for text in custom_field or []] or None,
    }
    said = {
        **(fields_of(terms_file, option="--terms") if terms_file else {}),
        **{name: value for name, value in given.items() if value is not None},
    }

    from domain.product import ProductTerms  # noqa: PLC0415 - pydantic is not needed for help

    terms = ProductTerms.model_validate(said)
    product_id = with_teiki(
        lambda teiki: teiki.products.put_terms(
            name=name,
            terms=terms,
            product_id=product,
            request_id=request_id,
            actor=actor_or_default(actor),
        )
    )
    entered(product_id, as_json=as_json)


@app.command("show")
def show(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Its id, prd_…")], as_json: Json = False
) -> None:
    """What it says, and every change of it."""
    detail = with_teiki(lambda teiki: teiki.products.show(product))
    from starter.cli import product_page  # noqa: PLC0415 - Rich is loaded when something is printed

    answer(detail, as_json=as_json, page=lambda console: product_page.product(console, detail))


@app.command("list")
def list_products(
    kind: Annotated[str | None, typer.Option("--type", metavar="TYPE", help=f"Only these: {_TYPES}.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Products, newest first."""
    page = with_teiki(lambda teiki: teiki.products.list(type=kind, cursor=cursor, limit=limit))
    if as_json:
        print_json(page)
        return
    from starter.cli.product_page import price_in_words, use_in_words  # noqa: PLC0415 - as above

    rows = [
        (
            item.id,
            item.terms.type.value,
            item.name,
            item.terms.sales_method.value,
            price_in_words(item.terms),
            use_in_words(item.terms),
        )
        for item in page.items
    ]
    table(("id", "type", "name", "sold", "price", "use"), rows)
    more(page.next_cursor)


def _option(text: str, currency: str | None) -> dict[str, Any]:
    """`Large=4,000` as an option with a price, `Blue` as one without."""
    name, equals, price = text.partition("=")
    return {"name": name, "price": money(price, None, currency, option="--option") if equals else None}


def _custom_field(text: str) -> dict[str, Any]:
    """`size:choice:required:S,M,L`; the type may be left out for a text, and `required` where it is not."""
    name, _, rest = text.partition(":")
    kind, _, rest = rest.partition(":")
    required = rest == "required" or rest.startswith("required:")
    choices = rest.removeprefix("required").removeprefix(":") if required else rest
    return {
        "name": name,
        "type": kind or "text",
        "required": required,
        "choices": [choice.strip() for choice in choices.split(",")] if choices else [],
    }


def _usage_period(duration: str | None, starts: str | None, ends: str | None) -> Any:
    if (starts is None) != (ends is None):
        raise typer.BadParameter("--usage-from and --usage-to belong together.")
    if starts is None:
        return duration
    if duration is not None:
        raise typer.BadParameter("Give --usage-period, or --usage-from and --usage-to.")
    return {"starts_at": instant(starts), "ends_at": instant(ends)}
