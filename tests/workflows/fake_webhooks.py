"""A small real stand-in for the activities of the webhooks' inbox: remembers in which order it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio import activity

from activities.contracts.webhooks import CLEAR_OUT, HAND_OVER, HandedOver, HandOver, WebhooksContract


@dataclass
class FakeWebhooks(WebhooksContract):
    """One row is handed over; with `has_old`, three others are old."""

    has_old: bool = True
    asked: list[str] = field(default_factory=list)

    @activity.defn(name=HAND_OVER)
    async def hand_over(self, order: HandOver) -> HandedOver:
        self.asked.append("hand_over, parked too" if order.parked_too else "hand_over")
        return HandedOver(handled=1, has_old=self.has_old)

    @activity.defn(name=CLEAR_OUT)
    async def clear_out(self) -> int:
        self.asked.append("clear_out")
        return 3
