"""Konbini slips, as operators look at them (spec: orders.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.reads.deposits import DepositItem, find_deposit
from domain.errors import ErrorCode, TeikiError
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

        Raises:
            TeikiError: `deposit_not_found`.
        """
        found = await self.find(deposit_id)
        if found is None:
            raise TeikiError(ErrorCode.DEPOSIT_NOT_FOUND, "There is no such slip.", deposit_id=deposit_id)
        return found
