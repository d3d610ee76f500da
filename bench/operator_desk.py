"""Somebody at work during the stampede: operations through the SDK at a steady pace, each timed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.errors import TeikiError
from domain.money import Money
from domain.subscription import State
from starter.teiki import Teiki

PER_SECOND: Final = 5.0
_DAY: Final = ("change_amount", "suspend", "change_amount", "cancel", "resume")
"""One round of what is asked for; a resume takes back the round's suspension."""


@dataclass
class Operator:
    """Asks until told to stop.

    Attributes:
        latencies_s: of each operation that was answered.
        unanswered: the SDK gave up waiting, or refused.
        touched: subscriptions that were suspended or canceled, and so need not have been charged.
    """

    teiki: Teiki
    states: Sequence[State]
    per_second: float = PER_SECOND
    latencies_s: list[float] = field(default_factory=list)
    unanswered: list[TeikiError] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    _suspended: list[str] = field(default_factory=list)

    async def work(self, stop: asyncio.Event) -> None:
        """One operation every so often, whether the earlier ones were answered or not; all are answered in the end."""
        chance = random.Random(7)  # noqa: S311 - the same choices in every arm
        strangers = chance.sample([state.id for state in self.states], len(self.states))
        async with asyncio.TaskGroup() as group:
            number = 0
            while not stop.is_set():
                do = _DAY[number % len(_DAY)]
                number += 1
                if do == "resume" and self._suspended:
                    group.create_task(self._timed(do, self._suspended.pop()))
                elif do != "resume" and strangers:
                    group.create_task(self._timed(do, strangers.pop()))
                await asyncio.sleep(1 / self.per_second)

    async def _timed(self, do: str, subscription_id: str) -> None:
        subscription = self.teiki.subscriptions.get(subscription_id)
        if do in ("suspend", "cancel"):
            self.touched.add(subscription_id)
        begun = time.perf_counter()
        try:
            if do == "change_amount":
                await subscription.change_amount(Money(minor=1200, currency="JPY"))
            elif do == "suspend":
                await subscription.suspend()
            elif do == "resume":
                await subscription.resume()
            else:
                await subscription.cancel(mode="period_end")
        except TeikiError as error:
            self.unanswered.append(error)
        self.latencies_s.append(time.perf_counter() - begun)
        if do == "suspend":
            self._suspended.append(subscription_id)
