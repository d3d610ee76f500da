"""The two workflows that are compared: the real subscription in time lapse, and the empty cycle.

The package's docstring explains the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bench.knobs import KNOBS
    from domain.scenario_clock import ScenarioClock
    from domain.subscription import Step
    from workflows import messages
    from workflows.options import MONEY, RECORD
    from workflows.subscription import Subscription

WAIT: Final = timedelta(milliseconds=1)
"""Every cycle's timer: as short as the server takes."""


@workflow.defn(name="Subscription")
class TimeLapse(Subscription):
    """The real subscription, whose own clock is moved to just before each step."""

    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    async def _reached(self, step: Step | None) -> bool:
        if self._current.charges >= KNOBS.renewals:
            await workflow.wait_condition(lambda: self._changed)
            return False
        if step is not None and step.at - self._now() > WAIT:
            self._clock = ScenarioClock(self._clock.offset + step.at - self._now() - WAIT)
        return await super()._reached(step)


@dataclass(frozen=True)
class EmptyInput:
    """Attributes:
    done: cycles made by earlier runs.
    cycles_per_run: when to cut the history; None: never.
    """

    done: int = 0
    cycles_per_run: int | None = None


NOTHING: Final = "bench.nothing"


@workflow.defn(name="Empty")
class Empty:
    """A timer and an activity that does nothing, over and over."""

    @workflow.run
    async def run(self, start: EmptyInput) -> None:
        done = start.done
        while done < KNOBS.renewals:
            await workflow.sleep(WAIT)
            await workflow.execute_activity(NOTHING, **MONEY)
            done += 1
            if start.cycles_per_run and (done - start.done) >= start.cycles_per_run:
                workflow.continue_as_new(EmptyInput(done=done, cycles_per_run=start.cycles_per_run))
        await workflow.wait_condition(lambda: False)


@dataclass(frozen=True)
class AppointmentInput:
    """Attributes:
    at_s: seconds since the epoch.
    at_the_turnstile: wait as an activity that comes back at the instant, instead of as a workflow with a timer.
    """

    at_s: float
    at_the_turnstile: bool = False


NOTHING_BEFORE: Final = "bench.nothing-before"
NOTED: Final = "bench.noted"


@workflow.defn(name="Appointment")
class Appointment:
    """The empty cycle of a stampede: a timer until the instant, an activity that does nothing, the next timer."""

    @workflow.run
    async def run(self, start: AppointmentInput) -> None:
        if start.at_the_turnstile:
            # Its first run asks for another one at the instant, which the server keeps; no workflow task then.
            await workflow.execute_activity(NOTHING_BEFORE, start.at_s, **MONEY)
        else:
            await workflow.sleep(start.at_s - workflow.time())
            await workflow.execute_activity(NOTHING, **MONEY)
        await workflow.sleep(timedelta(days=30))

    @workflow.update
    async def note(self) -> None:
        """What an operation is at least: an update with an activity."""
        await workflow.execute_activity(NOTED, **RECORD)
