"""Orders as a table for people: one line each, with the mark and the text of the latest note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from db.reads.orders import OrderItem
from domain.billing_calendar import parse_zone
from starter.order_wording import payment_words

_NOTE_CHARACTERS: Final = 40
_COLOURS: Final = {
    "in_process": "yellow",
    "complete": "green",
    "purchase_confirmed": "green",
    "expired": "dim",
    "canceled": "red",
}


def orders(items: Sequence[OrderItem]) -> Table:
    columns = ("order no.", "created", "type", "product", "status", "payment", "method", "amount", "customer")
    table = Table(*columns, "notes", header_style="bold", box=None, pad_edge=False)
    for item in items:
        options = f" ({', '.join(item.options)})" if item.options else ""
        table.add_row(
            Text(item.number),
            Text(f"{item.created_at.astimezone(parse_zone(item.zone)):%Y-%m-%d %H:%M}"),
            Text(item.product_type.value),
            Text(item.product_name + options),
            Text(item.status.value, style=_COLOURS[item.status.value]),
            Text(payment_words(item)),
            Text(item.pay.value),
            Text(str(item.amount) if item.amount else ""),
            Text(item.customer_email or item.customer_name or item.customer_id),
            Text(_note(item)),
        )
    for column in (0, 1, 4):
        table.columns[column].no_wrap = True
    table.columns[5].overflow = "fold"
    return table


def _note(item: OrderItem) -> str:
    if not item.notes:
        return ""
    line = " ".join(item.latest_note.split())
    return f"✎{item.notes} " + (line if len(line) <= _NOTE_CHARACTERS else line[: _NOTE_CHARACTERS - 1] + "…")
