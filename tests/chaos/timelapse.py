"""The real subscription in time lapse: its own clock leaps to shortly before each payment.

Only what the calendar decides is leapt over: payments, retries, scheduled cancellations. Questions about open
outcomes, verifications and refunds wait in real time, because waiting is what protects there.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.scenario_clock import ScenarioClock
    from domain.subscription import Step, StepKind
    from workflows import messages
    from workflows.subscription import Subscription

PACE_VARIABLE: Final = "CHAOS_PACE_SECONDS"
PACE: Final = timedelta(seconds=float(os.environ.get(PACE_VARIABLE, "1")))
"""Real time between two payments of a subscription. The same in every worker of a run: replay must agree."""

_LEAPT_OVER: Final = frozenset({StepKind.PAYMENT, StepKind.RETRY, StepKind.CANCEL})


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
            self._clock = ScenarioClock(self._clock.offset + step.at - self._now() - PACE)
        return await super()._reached(step)
