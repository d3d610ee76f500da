"""Temporal Schedules, made when they are missing and left alone when they are there.

Every worker asks for them at its start; one makes them. What operators change or pause afterwards stays as they left
it. The V1 time-skipping server has no schedules: there none is made, and the log says so.
"""

from __future__ import annotations

import logging

from temporalio.client import Client, Schedule, ScheduleAlreadyRunningError
from temporalio.service import RPCError, RPCStatusCode

_logger = logging.getLogger(__name__)


async def ensure_schedule(
    client: Client, schedule_id: str, schedule: Schedule, *, at_once: bool = False
) -> bool:
    """Make it unless it exists.

    Args:
        client: of the server.
        schedule_id: its name.
        schedule: what it does, and when.
        at_once: one that is made by this call runs now, too.

    Returns:
        True when it was made by this call.
    """
    try:
        await client.create_schedule(schedule_id, schedule, trigger_immediately=at_once)
    except ScheduleAlreadyRunningError:
        return False
    except RPCError as error:
        if error.status != RPCStatusCode.UNIMPLEMENTED:
            raise
        _logger.warning("this Temporal server has no schedules; %s will not run by itself", schedule_id)
        return False
    _logger.info("schedule %s made", schedule_id)
    return True
