"""The real subscription and the real order in time lapse: their own clocks leap to shortly before each date.

Only what the calendar decides is leapt over: payments, retries, scheduled cancellations; confirmations and ends.
Questions about open outcomes, verifications and refunds wait in real time, because waiting is what protects there.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import order_steps
    from domain.scenario_clock import ScenarioClock
    from domain.subscription import Step, StepKind
    from workflows import messages, order_messages
    from workflows.order import Order
    from workflows.subscription import Subscription

PACE_VARIABLE: Final = "CHAOS_PACE_SECONDS"
PACE: Final = timedelta(seconds=float(os.environ.get(PACE_VARIABLE, "1")))
"""Real time between two dates of a subscription or an order. The same in every worker of a run: replay must agree."""

_LEAPT_OVER: Final = frozenset({StepKind.PAYMENT, StepKind.RETRY, StepKind.CANCEL})
_LEAPT_OVER_BY_ORDERS: Final = frozenset({order_steps.StepKind.CONFIRM, order_steps.StepKind.EXPIRE})


def _leapt(clock: ScenarioClock, remaining: timedelta) -> ScenarioClock:
    return ScenarioClock(clock.offset + remaining - PACE)


@workflow.defn(name="Subscription")
class TimeLapse(Subscription):
    """Nothing differs from `Subscription` but the clock."""

    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    async def _reached(self, step: Step | None) -> bool:
        if step is not None and step.kind in _LEAPT_OVER and step.at - self._now() > PACE:
            self._clock = _leapt(self._clock, step.at - self._now())
        return await super()._reached(step)


@workflow.defn(name="Order")
class TimeLapseOrder(Order):
    """Nothing differs from `Order` but the clock."""

    @workflow.init
    def __init__(self, start: order_messages.OrderInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(
        self, start: order_messages.OrderInput
    ) -> order_messages.OrderOpened | order_messages.OrderAnswer:
        return await super().run(start)

    async def _waited_until(self, at: datetime | None, summary: str) -> bool:
        step = order_steps.next_step(self._current, self._now())
        if step is not None and step.kind in _LEAPT_OVER_BY_ORDERS and step.at - self._now() > PACE:
            self._clock = _leapt(self._clock, step.at - self._now())
        return await super()._waited_until(at, summary)
