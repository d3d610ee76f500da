"""Record the history of a watch: `python -m tests.replay.record_notifications`. As `record.py`; read there when."""

from __future__ import annotations

from typing import Final

from temporalio.worker import Worker

from activities.contracts.notifications import Deliver
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.lifecycle import run_cli
from tests.replay.record import save
from tests.workflows.fake_notifications import FakeNotifications
from workflows.notifications import Notifications

STORY: Final = "a_watch"


async def record() -> None:
    async with TimeSkippingServer(None) as environment:
        client, queue = environment.client, f"recording-{STORY}"
        async with Worker(
            client, task_queue=queue, workflows=[Notifications], activities=FakeNotifications().registered()
        ):
            handle = await client.start_workflow(
                Notifications.run, Deliver(), id="notifications", task_queue=queue
            )
            await handle.result()
        await save(client, handle, STORY)


if __name__ == "__main__":
    run_cli(record())
