"""A product as people read it on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from domain.money import Money
from domain.product import CustomField, FixedPeriod, Option, SalesMethod

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.catalogue import ProductDetail
    from domain.product import ProductTerms


def product(console: Console, detail: ProductDetail) -> None:
    """What it says, then its changes."""
    terms = detail.terms
    console.print(f"{detail.id}  {detail.name}", markup=False, style="bold")
    facts = Table(show_header=False, box=None, pad_edge=False)
    for label, value in _facts(terms):
        facts.add_row(label, Text(value))
    console.print(facts)
    changes = Table("when", "who", "what changed", header_style="bold", box=None, pad_edge=False)
    for change in detail.history:
        when = change.at.isoformat(sep=" ", timespec="seconds")
        changes.add_row(when, Text(change.actor), Text(_change(change.before, change.after)))
    console.print()
    console.print(changes)


def use_in_words(terms: ProductTerms) -> str:
    """`P30D from acquisition`, the two instants, `while paid` or `without end`."""
    period = terms.usage_period
    if period is None:
        return "while paid" if terms.sales_method is SalesMethod.RECURRING else "without end"
    if isinstance(period, FixedPeriod):
        start, end = (
            one.isoformat(sep=" ", timespec="minutes") for one in (period.starts_at, period.ends_at)
        )
        return f"{start} to {end}"
    return f"{period} from acquisition"


def price_in_words(terms: ProductTerms) -> str:
    """The price, or where only options name one, the lowest of theirs."""
    if terms.price is not None:
        return str(terms.price)
    priced = [option.price for option in terms.options if option.price is not None]
    return f"from {min(priced, key=lambda price: price.minor)}" if priced else "-"


def _facts(terms: ProductTerms) -> list[tuple[str, str]]:
    facts = [
        ("type", terms.type.value),
        ("sold", terms.sales_method.value),
        ("price", price_in_words(terms)),
        ("options", ", ".join(map(_option, terms.options))),
        ("use", use_in_words(terms)),
        ("points", "" if terms.point_rate is None else f"price × {terms.point_rate:f}"),
        ("membership numbers", "yes" if terms.membership_numbers else ""),
        ("identification", ", ".join(terms.identification_fields)),
        *(("custom field", _field(field)) for field in terms.custom_fields),
    ]
    return [(label, value) for label, value in facts if value]


def _option(option: Option) -> str:
    return f"{option.name} ({option.price})" if option.price else option.name


def _field(field: CustomField) -> str:
    parts = [f"{field.name}: {field.type.value}", *(["required"] if field.required else [])]
    return ", ".join([*parts, *([" | ".join(field.choices)] if field.choices else [])])


def _change(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    if before is None:
        return "entered"
    told = [f"{name}: {_value(before.get(name))} → {_value(after.get(name))}" for name in after]
    return "; ".join(told) or "nothing"


def _value(value: Any) -> str:
    """A price as money, several things as a list, nothing as a dash."""
    if isinstance(value, dict) and value.keys() == {"minor", "currency"}:
        return str(Money(**value))
    if isinstance(value, list):
        return "; ".join(map(_value, value)) or "-"
    if isinstance(value, dict) and "name" in value:
        is_option = value.keys() <= Option.model_fields.keys()
        return _option(Option(**value)) if is_option else _field(CustomField(**value))
    if isinstance(value, dict):
        return " to ".join(map(str, value.values()))
    return "-" if value is None else str(value)
