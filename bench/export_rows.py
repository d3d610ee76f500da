"""Rows for the benchmark of exports, made in memory: what a merchant's list of subscriptions looks like.

A source is a function from a number of rows to an iterable of them, in the order of `COLUMNS`. Another source of the
same columns can be named on the command line (`--source module:function`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exports.workbook import Column, ColumnKind

COLUMNS: Final = (
    Column("subscription", "Subscription"),
    Column("customer", "Customer"),
    Column("email", "E-mail"),
    Column("name", "お名前"),
    Column("phone", "Phone"),
    Column("product", "Product"),
    Column("status", "Status"),
    Column("reason", "Reason"),
    Column("currency", "Currency"),
    Column("amount", "Amount", ColumnKind.MONEY),
    Column("collected", "Collected", ColumnKind.MONEY),
    Column("payments", "Payments", ColumnKind.INTEGER),
    Column("attempts", "Attempts", ColumnKind.INTEGER),
    Column("created", "Created", ColumnKind.INSTANT),
    Column("next", "Next payment", ColumnKind.INSTANT),
    Column("ends", "Ends", ColumnKind.DATE),
    Column("test", "Test", ColumnKind.BOOLEAN),
    Column("brand", "Card"),
    Column("last_four", "Last four"),
    Column("note", "Note"),
)

_FIRST: Final = datetime(2024, 1, 1, 0, 0, 7, tzinfo=UTC)
_WHO: Final = ("お客様", "会員", "法人 会員", "Kunde für", "l'abonnée", "고객")
_PRODUCTS: Final = ("お茶定期便", "Coffee & Cake", "新聞（朝刊）", "Support <Pro>", "Gym")
_STATUSES: Final = ("current", "current", "current", "unpaid", "suspended", "canceled")
_NOTES: Final = (None, None, None, None, "please call first", "=see mail", "配達は夕方に")


def mixed(rows: int) -> Iterator[tuple[Any, ...]]:
    """Identifiers, e-mails, names that are nobody's (Japanese mostly), telephones that begin with `+`, amounts in
    three currencies, instants, statuses, empty cells, signs to escape and a formula here and there.
    """
    for row in range(rows):
        spread = row * 7_919 % 1_000_003
        currency = ("JPY", "JPY", "USD", "BHD")[row % 4]
        created = _FIRST + timedelta(seconds=row * 61)
        ended = row % 6 == 5
        yield (
            f"sub_{row:010x}{spread:016x}",
            f"cus_{spread:010x}{row:016x}",
            f"customer.{spread}@example.com",
            f"{_WHO[spread % 6]} {spread}",
            f"+81-90-{spread % 10_000:04d}-{row % 10_000:04d}",
            _PRODUCTS[spread % 5],
            _STATUSES[row % 6],
            "attempts_exhausted" if row % 6 == 4 else None,
            currency,
            (1_000 + spread % 50_000, currency),
            (spread * (row % 60), currency),
            row % 60,
            row % 60 + spread % 3,
            created,
            None if ended else created + timedelta(days=31),
            (created + timedelta(days=365)).date() if ended else None,
            row % 100 == 0,
            ("visa", "mastercard", "jcb")[spread % 3],
            f"{spread % 10_000:04d}",
            _NOTES[spread % 7],
        )
