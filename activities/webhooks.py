"""Working off the webhooks' inbox: what the web service stored and could not pass on itself (spec: charging.md §4).

A run takes batches until nothing is due. It is claimed row by row in the database (`db.webhook_inbox`), so runs and web
services beside each other never take the same one, and a run that dies leaves its batch to a later one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from temporalio import activity

from activities.contracts.webhooks import CLEAR_OUT, HAND_OVER, HandedOver, HandOver, WebhooksContract
from db import webhook_inbox
from db.engine import Database
from domain.notices import GatewayNotice

_ROWS_OF_A_BATCH: Final = 50
_BATCHES_MAX: Final = 200
"""Of one run; what is left is due in the next one, a minute later."""


@dataclass(frozen=True)
class WebhooksActivities(WebhooksContract):
    """`tell` signals a workflow (`activities.engine_bell`)."""

    db: Database
    tell: Callable[[str, GatewayNotice], Awaitable[bool]]

    @activity.defn(name=HAND_OVER)
    async def hand_over(self, order: HandOver) -> HandedOver:
        if order.parked_too:
            await webhook_inbox.unpark(self.db)
        parked = await webhook_inbox.park(self.db)
        handled = waiting = 0
        for _ in range(_BATCHES_MAX):
            rows = await webhook_inbox.claim(self.db, limit=_ROWS_OF_A_BATCH)
            if not rows:
                break
            for row in rows:
                done = await webhook_inbox.hand_over(self.db, row, self.tell)
                handled, waiting = handled + done, waiting + (not done)
                activity.heartbeat()
        has_old = await webhook_inbox.has_old(self.db)
        return HandedOver(handled=handled, waiting=waiting, parked=parked, has_old=has_old)

    @activity.defn(name=CLEAR_OUT)
    async def clear_out(self) -> int:
        gone = 0
        while batch := await webhook_inbox.clear_out(self.db, limit=1_000):
            gone += batch
            activity.heartbeat()
        return gone
