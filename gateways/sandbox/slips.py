"""Konbini slips: the numbers a customer takes to a store, and what the till does with them (spec: orders.md §4).

A slip is a pending charge of the book with numbers printed on it. Its deadline is shown and not enforced: the merchant
voids, and a customer who pays a voided or paid slip all the same has made another charge. Every method runs inside
the caller's transaction and refuses before it writes anything.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from domain.free_text import holds_card_number
from domain.money import Money
from gateways.sandbox.book import Book, shown
from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.schema import to_iso, to_us

AMOUNT_MIN_MINOR: Final = 120
AMOUNT_MAX_MINOR: Final = 300_000
DIGITS: Final[dict[str, tuple[int, int]]] = {
    "seven_eleven": (13, 0),
    "family_mart": (12, 6),
    "lawson": (11, 6),
    "ministop": (11, 6),
    "seicomart": (11, 6),
    "daily_yamazaki": (11, 4),
}
"""Digits of each store's payment number and confirmation number (0: it has none)."""
Notice = Literal["confirmed", "preliminary", "preliminary_canceled"]
NOTICES: Final = frozenset(get_args(Notice))


@dataclass(frozen=True, slots=True)
class Order:
    """What a merchant asks a slip for. The customer's name and phone are checked elsewhere and kept nowhere."""

    store: str
    amount: Money
    deadline: datetime


class Slips:
    def __init__(self, db: sqlite3.Connection, book: Book) -> None:
        self._db = db
        self._book = book

    def issue(
        self, order: Order, *, reference: str, attempt_key: str, lag_seconds: float = 0.0
    ) -> dict[str, Any]:
        """A new slip: its charge as the API shows it, with `slip`.

        Raises:
            Refusal: 422 for an unknown store, another currency than yen, an amount outside the limits.
        """
        if order.store not in DIGITS:
            raise invalid(f"Known stores: {', '.join(DIGITS)}.", code="store_not_supported")
        if order.amount.currency != "JPY":
            raise invalid("A till takes yen.", code="currency_not_supported")
        if not AMOUNT_MIN_MINOR <= order.amount.minor <= AMOUNT_MAX_MINOR:
            raise invalid(
                f"From {AMOUNT_MIN_MINOR} to {AMOUNT_MAX_MINOR} yen.", code="konbini_amount_out_of_range"
            )
        charge = self._book.deposit(
            amount=order.amount, reference=reference, attempt_key=attempt_key, lag_seconds=lag_seconds
        )
        self._db.execute(
            "INSERT INTO konbini_slips VALUES (?, ?, ?, ?, ?)",
            (charge["id"], order.store, *self._free_numbers(order.store), to_us(order.deadline)),
        )
        return {**charge, "slip": self.printed(charge["id"])}

    def printed(self, charge_id: str) -> dict[str, Any]:
        """What is printed on a slip.

        Raises:
            Refusal: 404 for an unknown one.
        """
        row = self._db.execute("SELECT * FROM konbini_slips WHERE charge_id = ?", (charge_id,)).fetchone()
        if row is None:
            raise _not_found()
        paid = self._db.execute(
            "SELECT paid_us FROM konbini_payments WHERE charge_id = ?", (charge_id,)
        ).fetchone()
        return {
            "store": row["store"],
            "payment_number": row["payment_number"],
            "confirmation_number": row["confirmation_number"],
            "deadline_at": to_iso(row["deadline_us"]),
            "paid_at": None if paid is None else to_iso(paid["paid_us"]),
        }

    def pay(self, name: str, notice: Notice, *, at: datetime) -> dict[str, Any]:
        """A customer at the till, or what the store says about one.

        Args:
            name: the slip's charge id or payment number.
            notice: `confirmed` is money; `preliminary` only announces it, and `preliminary_canceled` takes that back.
            at: by the till's clock.

        Returns:
            the charge in which the money stands: the slip's own, or another one when that was paid or voided before.

        Raises:
            Refusal: 404 for an unknown slip; 409 for a notice that cannot be about it.
        """
        slip = self._book.charge_row(self._find(name))
        if notice == "confirmed":
            self._db.execute("INSERT OR IGNORE INTO konbini_payments VALUES (?, ?)", (slip["id"], to_us(at)))
            return self._book.paid(slip["id"])
        if notice == "preliminary_canceled":
            if slip["deposit"] != "preliminary":
                raise Refusal(409, "no_preliminary", "There is no preliminary notice to cancel.")
            return self._book.notice(slip["id"], "unpaid")
        if slip["state"] != "pending":
            raise Refusal(409, "slip_closed", "This slip was paid or voided; only money can still come.")
        if slip["deposit"] == "preliminary":
            return shown(slip)
        return self._book.notice(slip["id"], "preliminary")

    def _find(self, name: str) -> str:
        row = self._db.execute(
            "SELECT charge_id FROM konbini_slips WHERE charge_id = ? OR payment_number = ?", (name, name)
        ).fetchone()
        if row is None:
            raise _not_found()
        return str(row["charge_id"])

    def _free_numbers(self, store: str) -> tuple[str, str]:
        while True:
            payment, confirmation = numbers(store)
            taken = "SELECT 1 FROM konbini_slips WHERE payment_number = ?"
            if self._db.execute(taken, (payment,)).fetchone() is None:
                return payment, confirmation


def numbers(store: str) -> tuple[str, str]:
    """A payment number and a confirmation number of a store's length that nobody can take for a card number, alone or
    side by side.
    """
    for_payment, for_confirmation = DIGITS[store]
    while True:
        payment, confirmation = _digits(for_payment), _digits(for_confirmation)
        if not holds_card_number(f"{payment} {confirmation}"):
            return payment, confirmation


def _digits(count: int) -> str:
    """So many digits, the first not 0 (a spreadsheet would eat it)."""
    return str(secrets.randbelow(9 * 10 ** (count - 1)) + 10 ** (count - 1)) if count else ""


def _not_found() -> Refusal:
    return Refusal(404, "slip_not_found", "There is no slip of this id or payment number.")
