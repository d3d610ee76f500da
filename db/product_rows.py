"""A product as a row, and back: name, price, type and sales method as columns, what else it says as JSON.

The JSON holds only what differs from the defaults of `ProductTerms`, which never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.money import Money
from domain.product import ProductTerms

_IN_COLUMNS: Final = {"type", "sales_method", "price"}


def product_row(name: str, terms: ProductTerms) -> dict[str, Any]:
    """The columns that say what is sold."""
    price = terms.price
    return {
        "name": name,
        "price_minor": price.minor if price else None,
        "currency": price.currency if price else None,
        "type": terms.type.value,
        "sales_method": terms.sales_method.value,
        "terms": terms.model_dump(mode="json", exclude=_IN_COLUMNS, exclude_defaults=True),
    }


PLAIN: Final = product_row("", ProductTerms())
"""What a product says when nothing was said."""


def product_terms(row: Mapping[str, Any]) -> ProductTerms:
    """What the row says."""
    return ProductTerms(**row["terms"], type=row["type"], sales_method=row["sales_method"], price=_price(row))


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """`{"before": …, "after": …}` for history: only what changed; a new product has no "before"."""
    new = _told(after)
    if before is None:
        return {"after": {name: value for name, value in new.items() if value is not None}}
    old = _told(before)
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return {
        "before": {name: old.get(name) for name in changed},
        "after": {name: new.get(name) for name in changed},
    }


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    price = _price(row)
    columns = {name: row[name] for name in ("name", "type", "sales_method")}
    return {**columns, "price": price.model_dump() if price else None, **row["terms"]}


def _price(row: Mapping[str, Any]) -> Money | None:
    return None if row["currency"] is None else Money(minor=row["price_minor"], currency=row["currency"])
