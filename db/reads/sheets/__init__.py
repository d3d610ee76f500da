"""The kinds of exports. A new one is a module here and a line in `SHEETS`."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from db.reads.sheets.orders import ORDERS
from db.reads.sheets.payments import PAYMENTS
from db.reads.sheets.permissions import PERMISSIONS
from db.reads.sheets.sheet import CURRENCY, Sheet, SheetColumn
from db.reads.sheets.subscriptions import SUBSCRIPTIONS
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable

__all__ = ["CURRENCY", "SHEETS", "Sheet", "SheetColumn", "filter_of", "sheet_of"]

SHEETS: Final = {sheet.kind: sheet for sheet in (ORDERS, PAYMENTS, SUBSCRIPTIONS, PERMISSIONS)}


def sheet_of(kind: str) -> Sheet:
    """The sheet of this kind; `invalid_input` for a kind that there is not."""
    if kind not in SHEETS:
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            "There is no export of this kind.",
            kind=repeatable(kind, 40),
            known=sorted(SHEETS),
        )
    return SHEETS[kind]


def filter_of(kind: str, wanted: BaseModel | None) -> BaseModel:
    """The filter given, when it is this kind's; an empty one, which means everything, when none is."""
    sheet = sheet_of(kind)
    if wanted is None:
        return sheet.filter_type()
    if not isinstance(wanted, sheet.filter_type):
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            f"An export of {kind} takes a {sheet.filter_type.__name__}.",
            given=type(wanted).__name__,
        )
    return wanted
