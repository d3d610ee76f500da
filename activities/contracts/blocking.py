"""What the workflow `Blocking` may ask for (spec: customers.md §2). Each can run twice with the same effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

CHANGE: Final = "blocking.change"
CONCERNED: Final = "blocking.concerned"
TELL: Final = "blocking.tell"

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


class FindConcerned(_Frozen):
    """Who has to hear of it, page by page. `after`: the last id of the page before."""

    customer_id: str
    do: Do
    details: tuple[str, ...] = ()
    at: datetime
    after: str = ""


class Concerned(_Frozen):
    """Ids of subscriptions and slips. `is_last`: no page follows."""

    ids: tuple[str, ...] = ()
    is_last: bool = True


class Tell(_Frozen):
    """Let these hear of it. `run_id` makes it once; `done`: how many have heard before, for people who watch."""

    run_id: str
    do: Do
    ids: tuple[str, ...]
    actor: str
    comment: str = ""
    done: int = 0


class Told(_Frozen):
    """What came of it.

    Attributes:
        subscriptions: suspended, or put back.
        slips: told that they are not wanted any more.
        left: had ended meanwhile, or another command had come first.
    """

    subscriptions: int = 0
    slips: int = 0
    left: int = 0


class BlockingContract:
    """Activities of a block and an unblock."""

    @activity.defn(name=CHANGE)
    async def change(self, order: ChangeBlocks) -> BlocksChanged:
        """Write the block down: from its commit on nothing is charged."""
        raise NotImplementedError

    @activity.defn(name=CONCERNED)
    async def concerned(self, order: FindConcerned) -> Concerned:
        """Read who is next. What was read is kept: who has heard looks different afterwards."""
        raise NotImplementedError

    @activity.defn(name=TELL)
    async def tell(self, order: Tell) -> Told:
        """Tell each exactly once."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.change, self.concerned, self.tell]
