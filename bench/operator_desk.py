"""Somebody at work during the stampede: operations at a steady pace, each timed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from bench.timelapse import Appointment
from domain.errors import TeikiError
from domain.money import Money
from starter.teiki import Teiki

PER_SECOND: Final = 5.0
_DAY: Final = ("change_amount", "suspend", "change_amount", "cancel", "resume")
"""One round of what is asked for; a resume takes back the round's suspension."""


@dataclass
class Clerk:
    """Asks something of one subscription after the other until told to stop, each a stranger to the last.

    Attributes:
        latencies_s: of each question that was answered, in seconds.
        unanswered: what the SDK said when it gave up waiting, or refused.
    """

    ids: Sequence[str]
    per_second: float = PER_SECOND
    latencies_s: list[float] = field(default_factory=list)
    unanswered: list[Exception] = field(default_factory=list)

    async def ask(self, number: int, strangers: list[str]) -> None:
        """One question."""
        raise NotImplementedError

    async def work(self, stop: asyncio.Event) -> None:
        """One question every so often, whether the earlier ones were answered or not; all are answered in the end."""
        chance = random.Random(7)  # noqa: S311 - the same choices in every arm
        strangers = chance.sample(self.ids, len(self.ids))
        number = 0
        async with asyncio.TaskGroup() as group:
            while strangers and not stop.is_set():
                group.create_task(self._timed(number, strangers))
                number += 1
                await asyncio.sleep(1 / self.per_second)

    async def _timed(self, number: int, strangers: list[str]) -> None:
        begun = time.perf_counter()
        try:
            await self.ask(number, strangers)
        except (TeikiError, RPCError) as error:
            self.unanswered.append(error)
        self.latencies_s.append(time.perf_counter() - begun)


@dataclass
class Operator(Clerk):
    """Changes amounts, suspends, cancels and resumes, through the SDK.

    Attributes:
        touched: subscriptions that were suspended or canceled, and so need not have been charged.
    """

    teiki: Teiki | None = None
    touched: set[str] = field(default_factory=set)
    _suspended: list[str] = field(default_factory=list)

    async def ask(self, number: int, strangers: list[str]) -> None:
        assert self.teiki is not None
        do = _DAY[number % len(_DAY)]
        resumes = do == "resume" and self._suspended
        subscription = self.teiki.subscriptions.get(self._suspended.pop() if resumes else strangers.pop())
        if resumes:
            await subscription.resume()
        elif do == "suspend":
            self.touched.add(subscription.id)
            await subscription.suspend()
            self._suspended.append(subscription.id)
        elif do == "cancel":
            self.touched.add(subscription.id)
            await subscription.cancel(mode="period_end")
        else:
            await subscription.change_amount(Money(minor=1200, currency="JPY"))


@dataclass
class Visitor(Clerk):
    """Asks empty workflows for the least an operation is."""

    client: Client | None = None

    async def ask(self, number: int, strangers: list[str]) -> None:
        assert self.client is not None
        await self.client.get_workflow_handle(strangers.pop()).execute_update(Appointment.note)
