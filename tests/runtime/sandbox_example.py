"""Two workflows for the plugin's tests: one as they should be, one that imports what it must not."""

import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from domain.money import Money


class Greeting(BaseModel):
    name: str
    amount: Money


@activity.defn(name="demo.fail")
async def fail(greeting: Greeting) -> None:
    raise ValueError(f"declined for {greeting.name}")


@workflow.defn(name="Demo")
class Demo:
    @workflow.run
    async def run(self, greeting: Greeting) -> Greeting:
        await workflow.sleep(timedelta(days=30), summary=f"wait for {greeting.name}")
        if greeting.name == "fail":
            await workflow.execute_activity(
                fail,
                greeting,
                start_to_close_timeout=timedelta(seconds=5),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        return greeting


@workflow.defn(name="Slow")
class Slow:
    """As on a machine on which its thread has to wait for its turn."""

    @workflow.run
    async def run(self) -> None:
        with workflow.unsafe.sandbox_unrestricted():
            time.sleep(2.5)  # noqa: ASYNC251 - longer than the SDK's own limit
