"""The audit: who did what and who was refused; and the proof that nothing was changed (spec: customers.md §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from db.reads import audit as reads
from db.reads.audit import AuditPage
from domain.audit_chain import Break, Head, Verdict, counted, verify
from domain.terms import require_instant

if TYPE_CHECKING:
    from starter.teiki import Teiki

_SAY_EVERY_ROWS: Final = 2_000


class Audit:
    """`teiki.audit`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def list(
        self,
        *,
        actor: str | None = None,
        subject_id: str | None = None,
        since: datetime | None = None,
        denied: bool = False,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> AuditPage:
        """One page, newest first; `denied`: only calls that were refused.

        Raises:
            TeikiError: `forbidden`, `invalid_instant`, `invalid_cursor`, `invalid_input`.
        """
        await self._teiki.gate.admit("audit.read")
        return await reads.list_audit(
            await self._teiki.database(),
            actor=actor,
            subject_id=subject_id,
            since=require_instant(since) if since else None,
            denied=denied,
            cursor=cursor,
            limit=limit,
        )

    async def head(self) -> Head:
        """The last row's number and hash, to be kept where nobody who may write here may write."""
        await self._teiki.gate.admit("audit.read")
        return await reads.head(await self._teiki.database())

    async def verify(
        self, *, kept: Head | None = None, on_progress: Callable[[int, int], None] = lambda _, __: None
    ) -> Verdict:
        """Read the whole chain and compute every hash anew.

        Args:
            kept: a head from outside, which the chain must still hold.
            on_progress: called, from another thread, with rows read so far and of how many.

        Raises:
            TeikiError: `forbidden`, `database_unavailable`.
        """
        await self._teiki.gate.admit("audit.read")
        await self._teiki.database()
        return await asyncio.to_thread(
            verify_chain, self._teiki.settings.database, kept=kept, on_progress=on_progress
        )


def verify_chain(
    url: str, *, kept: Head | None = None, on_progress: Callable[[int, int], None] = lambda _, __: None
) -> Verdict:
    """The same for a thread; when the chain holds, history too is asked for what nobody told of."""
    with reads.whole_chain(url) as chain:
        read = counted(chain.entries, _SAY_EVERY_ROWS, lambda rows: on_progress(rows, chain.rows))
        verdict = verify(read, kept=kept)
        untold = chain.untold() if verdict.broken is None else None
    if untold is None:
        return verdict
    why = f"the row {untold} of history is not told of: the end of the chain was cut off, or its trigger removed"
    return verdict._replace(broken=Break(verdict.head.seq + 1, why))
