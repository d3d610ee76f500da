"""What the workflow of the notifications may ask for (spec: customers.md §5).

It can run twice, and beside itself: a delivery is claimed before it is sent, and its receiver knows it by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from temporalio import activity

DELIVER: Final = "notifications.deliver"


class Deliver(BaseModel):
    """`for_s`: seconds for which a courier watches for news before another takes over; 0: only what is due now."""

    model_config = ConfigDict(frozen=True)

    for_s: int = 600


class Delivered(BaseModel):
    """What one watch came to.

    Attributes:
        passed_on: events that endpoints got deliveries of.
        delivered: deliveries that arrived.
        failed: tries that did not.
        given_up: deliveries whose last try that was.
    """

    model_config = ConfigDict(frozen=True)

    passed_on: int = 0
    delivered: int = 0
    failed: int = 0
    given_up: int = 0


class NotificationsContract:
    """Tells merchants' endpoints what happened; changes nothing else."""

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Deliver) -> Delivered:
        """Pass new events on, and send every delivery whose turn it is."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All, as a worker takes them."""
        return [self.deliver]
