"""Letting the time-skipping server's clock run on."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio.testing import WorkflowEnvironment

LEAP = timedelta(days=5)


async def skip_to(environment: WorkflowEnvironment, instant: datetime) -> None:
    """In steps: a long jump over many timers outlasts the call that asks for it."""
    while (remaining := instant - await environment.get_current_time()) > timedelta():
        await environment.sleep(min(remaining, LEAP))
