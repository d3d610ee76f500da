"""Record the histories of blocks: `python -m tests.replay.record_blocking [story …]`; `record.py` says when."""

from __future__ import annotations

import sys
from typing import Final

from runtime.lifecycle import run_cli
from tests.replay.record import Story, by, record
from tests.workflows.conftest import START, Stage
from workflows import messages
from workflows.blocking import Blocking, BlockingInput
from workflows.subscription import Subscription


async def blocked_and_unblocked(stage: Stage) -> None:
    """Blocked with every detail, unblocked after two due dates; then it goes on."""
    await stage.open()
    await stage.until("2023-08-15T12:00:00+09:00")
    await stage.do(Subscription.block, messages.Block(**by("b-1")))
    await stage.until("2023-10-05T12:00:00+09:00")
    await stage.do(Subscription.unblock, messages.Unblock(**by("u-1")))
    await stage.until("2023-11-15T00:00:00+09:00")


async def a_block(stage: Stage) -> None:
    """Two pages."""
    order = BlockingInput(
        customer_id="cus_1", do="block_all", request_id="q-8", actor="operator:recorder", at=START
    )
    stage.handle = await stage.environment.client.start_workflow(
        Blocking.run, order, id="blocking/cus_1/q-8", task_queue=stage.queue
    )
    await stage.handle.result()


STORIES: Final[dict[str, Story]] = {story.__name__: story for story in (blocked_and_unblocked, a_block)}

if __name__ == "__main__":
    run_cli(record(STORIES, sys.argv[1:]))
