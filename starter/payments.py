"""Payments of all subscriptions, as a list (spec: exports.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.reads import payments as reads
from db.reads.payments import PaymentFilter, PaymentPage

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Payments:
    """`teiki.payments`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def list(
        self,
        filter: PaymentFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> PaymentPage:
        """One page, the latest due first; `next_cursor` asks for the next."""
        return await reads.list_payments(await self._teiki.database(), filter, cursor=cursor, limit=limit)
