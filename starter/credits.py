"""Credits, as operators look at them (spec: customers.md §3). `teiki.payments.credit` makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.reads import credits as reads
from db.reads.credits import CreditFilter, CreditItem, CreditPage
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import credit_workflow_id, require_id
from starter.engine import NotRunning
from workflows.credit import Credit
from workflows.messages import SettleAttention

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Credits:
    """`teiki.credits`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def show(self, credit_id: str) -> CreditItem:
        """A credit as the books show it, with what is left of its payment.

        Raises:
            TeikiError: `credit_not_found`.
        """
        found = await reads.find_credit(await self._teiki.database(), require_id(credit_id, "crd"))
        if found is None:
            raise TeikiError(ErrorCode.CREDIT_NOT_FOUND, "There is no such credit.", credit_id=credit_id)
        return found

    async def list(
        self,
        filter: CreditFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> CreditPage:
        """One page, newest first; `next_cursor` asks for the next.

        Raises:
            TeikiError: `invalid_cursor`; `invalid_input` for a limit outside 1–200.
        """
        return await reads.list_credits(await self._teiki.database(), filter, cursor=cursor, limit=limit)

    async def settle_attention(self, credit_id: str, **said: Any) -> CreditItem:
        """A person's word on a credit that waits for one; see `teiki.attention.settle`, which reads the rest."""
        command = SettleAttention(**said)
        try:
            await self._teiki.engine.update(
                credit_workflow_id(credit_id),
                Credit.settle_attention,
                command,
                update_id=f"{command.request_id}:{command.fingerprint()}",
            )
        except NotRunning as error:
            raise TeikiError(
                ErrorCode.NOTHING_TO_SETTLE, "This credit has ended.", credit_id=credit_id
            ) from error
        return await self.show(credit_id)
