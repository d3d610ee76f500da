"""Konbini slips, as operators look at them (spec: orders.md §4)."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from db.reads.deposits import DepositItem, deposits_of, find_deposit
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.identifiers import require_id

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Deposits:
    """`teiki.deposits`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def find(self, deposit_id: str) -> DepositItem | None:
        """A slip as the books show it; None: there is none of this id."""
        return await find_deposit(await self._teiki.database(), require_id(deposit_id, "kon"))

    async def show(self, deposit_id: str) -> DepositItem:
        """A slip as the books show it.

        Args:
            deposit_id: `kon_…`; or an order's id or number: its latest slip.

        Raises:
            TeikiError: `deposit_not_found`, `order_not_found`.
        """
        if deposit_id.startswith("kon_"):
            found = await self.find(deposit_id)
        else:
            found = next(reversed(await self.list(deposit_id)), None)
        if found is None:
            raise TeikiError(
                ErrorCode.DEPOSIT_NOT_FOUND, "There is no such slip.", deposit_id=repeatable(deposit_id)
            )
        return found

    async def list(self, order: str) -> builtins.list[DepositItem]:
        """The slips of an order (its id or number), first to last; none for an order that is paid otherwise.

        Raises:
            TeikiError: `order_not_found`.
        """
        owner = await self._teiki.orders.find(order)
        return await deposits_of(await self._teiki.database(), owner.id)
