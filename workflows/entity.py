"""What all long-lived workflows share: one lock, a clock, request ids, and waiting for the next instant.

A subscription, an order and a slip live for as long as their business does. Each waits for its next step on a timer of
its own, lets people and other workflows change the course meanwhile, and recognises what it has done before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import Outcome
    from domain.errors import ErrorCode, TeikiError
    from domain.scenario_clock import ScenarioClock
    from domain.unresolved import InFlight, unresolved
    from workflows.messages import Command

SEEN_REQUESTS_MAX = 200
SYSTEM = "system"
Result = TypeVar("Result")


class Entity:
    """The shared parts. Everything that changes what is remembered holds `_lock`."""

    def __init__(self, clock: ScenarioClock, seen: dict[str, str]) -> None:
        self._clock = clock
        self._seen = dict(seen)
        self._lock = asyncio.Lock()
        self._changed = False
        self._writes = 0

    async def _to_the_end(
        self, life: Coroutine[Any, Any, Result], *, when_told_to_stop: Callable[[], None]
    ) -> Result:
        """Live, shielded: "Request Cancellation" in the Web UI must neither tear a movement of money apart nor stop
        what the books still show as running.
        """
        living = asyncio.create_task(life)
        try:
            return await asyncio.shield(living)
        except asyncio.CancelledError:
            when_told_to_stop()
            self._changed = True
            return await living

    async def _waited_until(self, at: datetime | None, summary: str) -> bool:
        """Wait for an instant; False when something changed the course meanwhile. None: wait for such a change."""
        if at is None:
            await workflow.wait_condition(lambda: self._changed)
            return False
        remaining = at - self._now()
        if remaining <= timedelta():
            return True
        try:
            await workflow.wait_condition(lambda: self._changed, timeout=remaining, timeout_summary=summary)
        except TimeoutError:
            return True
        return False

    def _now(self) -> datetime:
        return self._clock.now(workflow.now())

    def _event_key(self) -> str:
        """Names one write for ever, so that an activity that runs twice writes once."""
        self._writes += 1
        return f"{workflow.info().run_id}:{self._writes}"

    def _is_repetition(self, command: Command) -> bool:
        return is_repetition(self._seen, command)

    def _remember(self, command: Command) -> None:
        self._seen[command.request_id] = command.fingerprint()
        while len(self._seen) > SEEN_REQUESTS_MAX:
            del self._seen[next(iter(self._seen))]

    def _still_open(self, flight: InFlight, result: Outcome) -> None:
        """The movement has no outcome yet: note what is known and plan the next question."""
        assert result.outcome != "settled"
        assert result.outcome != "declined"
        unresolved(
            flight,
            result.outcome,
            self._now(),
            horizon_s=result.horizon_s,
            key_ttl_s=result.key_ttl_s,
            resent=result.resent,
            retry_after_s=result.retry_after_s,
        )


def is_repetition(seen: Mapping[str, str], command: Command) -> bool:
    """Whether this command was carried out before; `seen` holds fingerprints by request id.

    Raises:
        TeikiError: `request_id_conflict`, when its request id stood for another command.
    """
    fingerprint = seen.get(command.request_id)
    if fingerprint is not None and fingerprint != command.fingerprint():
        raise TeikiError(
            ErrorCode.REQUEST_ID_CONFLICT,
            "This request id was used for something else.",
            request_id=command.request_id,
        )
    return fingerprint is not None


def clock_of(offset: timedelta, scenario_start: datetime | None) -> ScenarioClock:
    """The engine's clock, shifted as before, or in a scenario's first run to its first instant."""
    if scenario_start is not None:
        return ScenarioClock.starting(scenario_start, workflow.now())
    return ScenarioClock(offset)


def next_runs_version() -> workflow.ContinueAsNewVersioningBehavior | None:
    """A run that is cut because another version of the code has become the current one goes on there."""
    if workflow.info().is_target_worker_deployment_version_changed():
        return workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE
    return None
