"""The courier: passes what happened on to the merchants' endpoints, and brings it there (spec: customers.md §5).

A watch lasts some minutes. In it the courier asks Postgres twice a second whether there is something to do, so that
an event normally arrives within a second, and an idle night costs next to nothing. Each endpoint has a lane of its own:
one that answers slowly fills its lane and holds up nobody else. Everything that must not be lost is in the database; a
courier that dies is missed by its heartbeat, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from temporalio import activity

from activities.contracts.notifications import DELIVER, Deliver, Delivered, NotificationsContract
from db import deliveries
from db.deliveries import Claimed
from db.engine import Database
from domain.errors import TeikiError
from domain.notifications import Answer, Letter, body_of, notification_id

LANE: Final = 8
"""Deliveries to one endpoint at once."""
_EVENTS_OF_A_BATCH: Final = 500
_LOOK_EVERY_S: Final = 0.5

Post = Callable[[Letter], Awaitable[Answer]]
Unseal = Callable[[bytes, str], str]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NotificationsActivities(NotificationsContract):
    """`post` sends (`gateways.endpoint_client`), `unseal` opens the secrets it signs with."""

    db: Database
    post: Post
    unseal: Unseal

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Deliver) -> Delivered:
        watch = _Watch(self.db, self.post, self.unseal)
        over = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await watch.keep(order.for_s, over)
        finally:
            over.cancel()
            with suppress(asyncio.CancelledError):
                await over
        return watch.told()


@dataclass
class _Watch:
    """One courier's watch: what is under way, and what came of it."""

    db: Database
    post: Post
    unseal: Unseal
    passed_on: int = 0
    came_to: Counter[str] = field(default_factory=Counter)
    under_way: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def keep(self, for_s: float, over: asyncio.Future[None]) -> None:
        """Work until the time is over and nothing is due, or the worker stops; then bring home what is under way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s
        try:
            while not over.done():
                self._come_home()
                busy = await self._look()
                activity.heartbeat()
                if not busy and not self.under_way and loop.time() >= until:
                    return
                if not busy:
                    await self._rest(over)
            if self.under_way:
                await asyncio.wait(self.under_way)
        finally:
            # Those that are cut off here are sent again after their lease.
            for task in self.under_way:
                task.cancel()
            await asyncio.gather(*self.under_way, return_exceptions=True)

    async def _look(self) -> bool:
        """Do what there is to do; whether there may be more of it at once."""
        fresh, due = await deliveries.pending(self.db)
        passed_on = await deliveries.pass_on(self.db, limit=_EVENTS_OF_A_BATCH) if fresh else 0
        self.passed_on += passed_on
        claimed = []
        if due or passed_on:
            claimed = await deliveries.claim(self.db, lane=LANE, busy=Counter(self.under_way.values()))
        for one in claimed:
            self.under_way[asyncio.create_task(self._bring(one))] = one.endpoint_id
        return bool(passed_on or claimed)

    async def _rest(self, over: asyncio.Future[None]) -> None:
        """Until a delivery comes home, the worker stops, or the next look is due."""
        await asyncio.wait(
            {over, *self.under_way}, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )

    def _come_home(self) -> None:
        for task in [task for task in self.under_way if task.done()]:
            del self.under_way[task]
            task.result()  # what nobody foresaw ends the watch; the next one goes on

    async def _bring(self, claimed: Claimed) -> None:
        answer = await self._answer(claimed)
        state = await deliveries.record(self.db, claimed, answer)
        self.came_to["delivered" if answer.delivered else "failed"] += 1
        if state == "given_up":
            self.came_to["given_up"] += 1
        if not answer.delivered:
            facts = {"status": answer.status, "error": answer.error, "tries": claimed.tries, "state": state}
            _logger.warning(
                "a notification did not arrive",
                extra={"endpoint_id": claimed.endpoint_id, "event_id": claimed.event_id, **facts},
            )

    async def _answer(self, claimed: Claimed) -> Answer:
        sealed = [claimed.sealed_secret]
        if claimed.sealed_old_secret is not None:
            sealed.append(claimed.sealed_old_secret)
        try:
            secrets = tuple(self.unseal(secret, claimed.endpoint_id) for secret in sealed)
        except TeikiError:  # the key is not here; another worker may have it, and people see it
            return Answer(error="secret_unreadable")
        letter = Letter(
            url=claimed.url,
            notification_id=notification_id(claimed.event_id),
            at=claimed.at,
            body=body_of(claimed.topic, claimed.created_at, claimed.payload),
            secrets=secrets,
        )
        return await self.post(letter)

    def told(self) -> Delivered:
        return Delivered(passed_on=self.passed_on, **self.came_to)
