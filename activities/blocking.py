"""A block and what follows from it: one transaction, then every subscription and slip hears of it (customers.md §2).

Subscriptions are told by updates under one request id for the whole block, so that one that was told before a worker
died is not told twice; each decides by what the database says at that moment. Slips are told by a signal.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Final

from temporalio import activity

from activities.contracts.blocking import (
    CHANGE,
    CONCERNED,
    TELL,
    BlockingContract,
    BlocksChanged,
    ChangeBlocks,
    Concerned,
    FindConcerned,
    Tell,
    Told,
)
from activities.engine_commands import EngineCommands
from db import blocking
from db.engine import Database

_PAGE: Final = 50
_AT_ONCE: Final = 5
_HEARTBEAT_S: Final = 2.0


@dataclass(frozen=True)
class BlockingActivities(BlockingContract):
    """Writes to the database; commands subscriptions and slips through the engine."""

    db: Database
    engine: EngineCommands

    @activity.defn(name=CHANGE)
    async def change(self, order: ChangeBlocks) -> BlocksChanged:
        return BlocksChanged.model_validate(asdict(await blocking.change_blocks(self.db, order)))

    @activity.defn(name=CONCERNED)
    async def concerned(self, order: FindConcerned) -> Concerned:
        ids = await blocking.next_concerned(
            self.db,
            do=order.do,
            customer_id=order.customer_id,
            details=list(order.details),
            at=order.at,
            after=order.after,
            limit=_PAGE,
        )
        return Concerned(ids=tuple(ids), is_last=len(ids) < _PAGE)

    @activity.defn(name=TELL)
    async def tell(self, order: Tell) -> Told:
        turns = asyncio.Semaphore(_AT_ONCE)
        telling = [asyncio.create_task(self._tell(order, name, turns)) for name in order.ids]
        try:
            await _with_heartbeats(set(telling), order.done)
        finally:
            for task in telling:
                task.cancel()
        heard = [name for name, task in zip(order.ids, telling, strict=True) if task.result()]
        slips = sum(name.startswith("kon_") for name in heard)
        return Told(subscriptions=len(heard) - slips, slips=slips, left=len(order.ids) - len(heard))

    async def _tell(self, order: Tell, object_id: str, turns: asyncio.Semaphore) -> bool:
        async with turns:
            if object_id.startswith("kon_"):
                return await self.engine.drop_slip(object_id, reason="blocked")
            return await self.engine.command_subscription(
                object_id,
                "block" if order.do == "block_all" else "unblock",
                request_id=f"blocking-{order.run_id}",
                actor=order.actor,
                comment=order.comment,
                do=order.do,
            )


async def _with_heartbeats(tasks: set[asyncio.Task[bool]], done_before: int) -> None:
    """Until all are done; a subscription in the middle of a charge answers only afterwards."""
    waiting = tasks
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=_HEARTBEAT_S, return_when=asyncio.FIRST_EXCEPTION)
        activity.heartbeat(done_before + len(tasks) - len(waiting))
        for task in done:
            task.result()  # what could not be told is told when the activity runs again
