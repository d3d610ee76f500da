"""A small real stand-in for the courier: one watch came to what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio import activity

from activities.contracts.notifications import DELIVER, Deliver, Delivered, NotificationsContract


@dataclass
class FakeNotifications(NotificationsContract):
    """Remembers for how long it was to watch."""

    watched_s: list[int] = field(default_factory=list)

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Deliver) -> Delivered:
        self.watched_s.append(order.for_s)
        return Delivered(passed_on=1, delivered=2)
