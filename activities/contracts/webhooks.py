"""What the workflow of the webhooks' inbox may ask for (spec: charging.md §4).

Both can run twice: a row is claimed before anybody is told, and whoever is told twice asks twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from temporalio import activity

HAND_OVER: Final = "webhooks.hand_over"
CLEAR_OUT: Final = "webhooks.clear_out"


class HandOver(BaseModel):
    """`parked_too`: those that were left to people are tried anew."""

    model_config = ConfigDict(frozen=True)

    parked_too: bool = False


class HandedOver(BaseModel):
    """What one working off came to.

    Attributes:
        handled: rows that are done with.
        waiting: rows that are tried again later.
        parked: rows that were given up and wait for people.
        has_old: handled rows are old enough to be deleted.
    """

    handled: int = 0
    waiting: int = 0
    parked: int = 0
    has_old: bool = False


class WebhooksContract:
    """Works off the inbox; changes nothing else."""

    @activity.defn(name=HAND_OVER)
    async def hand_over(self, order: HandOver) -> HandedOver:
        """Let the workflows concerned hear of every row whose turn it is."""
        raise NotImplementedError

    @activity.defn(name=CLEAR_OUT)
    async def clear_out(self) -> int:
        """Delete what was handled more than 30 days ago; says how many."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """Both, as a worker takes them."""
        return [self.hand_over, self.clear_out]
