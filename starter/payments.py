"""Payments of all subscriptions, as a list (spec: exports.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.reads import payments as reads
from db.reads.payments import PaymentFilter, PaymentItem, PaymentPage
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import require_id
from domain.notices import is_number

if TYPE_CHECKING:
    from starter.repayments import Added
    from starter.teiki import Teiki


async def payment_named(teiki: Teiki, name: str) -> tuple[str, int]:
    """`OBJECT/NUMBER` as object id and number; the object may be an order's number.

    Raises:
        TeikiError: `invalid_input`, `order_not_found`.
    """
    owner, _, number = name.rpartition("/")
    if not owner or not is_number(number):
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "A payment is named OBJECT/NUMBER, as in sub_…/3.", payment=name[:80]
        )
    if owner.startswith("sub_"):
        return require_id(owner, "sub"), int(number)
    return (await teiki.orders.find(owner)).id, int(number)


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

    async def add_repayment(self, name: str, **how: Any) -> Added:
        """Get money back for a payment that was charged back: `teiki.repayments.add`, by its other name."""
        return await self._teiki.repayments.add(name, **how)

    async def find(self, name: str) -> PaymentItem:
        """One payment, `OBJECT/NUMBER`.

        Raises:
            TeikiError: `payment_not_found`, `order_not_found`, `invalid_input`.
        """
        object_id, number = await payment_named(self._teiki, name)
        found = await reads.find_payment(await self._teiki.database(), object_id, number)
        if found is None:
            raise TeikiError(ErrorCode.PAYMENT_NOT_FOUND, "There is no such payment.", payment=name[:80])
        return found
