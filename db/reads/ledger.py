"""Sums of the ledger: what the gateway should owe us, per currency (spec: charging.md §3)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, select, union_all

from db.engine import Database
from db.tables import attempts, ledger

_RECEIVABLE: Final = "gateway_receivable"


async def settled_totals(db: Database, *, object_id: str | None = None) -> dict[str, int]:
    """Settled minus refunded, in minor units per currency, fees apart; currencies without movement are left out.

    Args:
        db: the database.
        object_id: of this subscription or order only; None: of everything.
    """
    signed: ColumnElement[Any] = case(
        (ledger.c.debit_account == _RECEIVABLE, ledger.c.amount_minor), else_=-ledger.c.amount_minor
    )
    query = (
        select(ledger.c.currency, func.sum(signed))
        .where((ledger.c.debit_account == _RECEIVABLE) | (ledger.c.credit_account == _RECEIVABLE))
        .where(ledger.c.kind != "fee")
        .group_by(ledger.c.currency)
    )
    if object_id is not None:
        query = query.join(attempts, attempts.c.key == ledger.c.attempt_key).where(
            attempts.c.object_id == object_id
        )
    async with db.reading() as connection:
        return {currency: int(total) for currency, total in await connection.execute(query)}


async def account_balances(db: Database) -> dict[str, dict[str, int]]:
    """Debits minus credits of each account and currency, in minor units; all of a currency add up to nothing."""
    sides = union_all(
        select(ledger.c.debit_account.label("account"), ledger.c.currency, ledger.c.amount_minor),
        select(ledger.c.credit_account, ledger.c.currency, -ledger.c.amount_minor),
    ).subquery()
    query = select(sides.c.account, sides.c.currency, func.sum(sides.c.amount_minor)).group_by(
        sides.c.account, sides.c.currency
    )
    balances: dict[str, dict[str, int]] = {}
    async with db.reading() as connection:
        for account, currency, balance in await connection.execute(query):
            balances.setdefault(account, {})[currency] = int(balance)
    return balances
