"""What the workflow `Blocking` may ask for (spec: customers.md §2). Both can run twice with the same effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

CHANGE: Final = "blocking.change"
CARRY_OUT: Final = "blocking.carry_out"

Do = Literal["block", "unblock", "block_all", "unblock_all"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ChangeBlocks(_Frozen):
    """Which details of a customer change.

    Attributes:
        run_id: of the workflow's first run; by it a second run of the activity is told from a repeated request.
        details: ids, or addresses and numbers as people write them; none with `…_all`.
    """

    run_id: str
    request_id: str
    customer_id: str
    do: Do
    details: tuple[str, ...] = ()
    at: datetime
    actor: str
    comment: str = ""


class BlocksChanged(_Frozen):
    """`recorded`, `duplicate` of an earlier request, or `refused` with a code; ids as in `db.blocking`."""

    outcome: Literal["recorded", "duplicate", "refused"]
    named: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    card_links: int = 0
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class CarryOut(_Frozen):
    """Let the next subscriptions and slips hear of it. `after`: the last id that has; `done`: how many have."""

    run_id: str
    customer_id: str
    do: Do
    details: tuple[str, ...] = ()
    at: datetime
    actor: str
    comment: str = ""
    after: str = ""
    done: int = 0


class CarriedOut(_Frozen):
    """What one page came to.

    Attributes:
        subscriptions: suspended, or put back.
        slips: told that they are not wanted any more.
        left: had ended meanwhile, or another command had come first.
        after: the page's last id; None: there is nothing more.
    """

    subscriptions: int = 0
    slips: int = 0
    left: int = 0
    after: str | None = None


class BlockingContract:
    """Activities of a block and an unblock."""

    @activity.defn(name=CHANGE)
    async def change(self, order: ChangeBlocks) -> BlocksChanged:
        """Write the block down: from its commit on nothing is charged."""
        raise NotImplementedError

    @activity.defn(name=CARRY_OUT)
    async def carry_out(self, order: CarryOut) -> CarriedOut:
        """Tell one page of subscriptions and slips, each exactly once."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """Both, as a worker takes them."""
        return [self.change, self.carry_out]
