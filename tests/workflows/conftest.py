"""The workflow on the time-skipping server, with small real stand-ins for its activities.

The server's clock is one for all, so the tests of this folder share one server and run one after another.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from domain.terms import SubscriptionSpec
from runtime.codec import KeyRing
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.temporal import teiki_plugin
from starter.simulate.rest import Onlooker
from tests.workflows.clock import skip_to
from tests.workflows.fake_exports import FakeExports
from tests.workflows.fakes import FakeBilling, FakeRecords
from workflows import messages
from workflows.subscription import Subscription

KEYS = KeyRing.parse("test:" + base64.b64encode(bytes(32)).decode())
START = datetime.fromisoformat("2023-08-01T07:00:00+09:00")


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with TimeSkippingServer(KEYS) as environment:
        yield environment


@dataclass
class Stage:
    """One subscription on the server, its stand-ins, and a clock to move."""

    environment: WorkflowEnvironment
    billing: FakeBilling = field(default_factory=FakeBilling)
    records: FakeRecords = field(default_factory=FakeRecords)
    exports: FakeExports = field(default_factory=FakeExports)
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4()}")
    start: datetime = START

    async def open(self, *, cycles_per_run: int = 6, **terms: Any) -> messages.Opened:
        spec = SubscriptionSpec.model_validate(
            {
                "customer_id": "cus_1",
                "product_id": "prd_1",
                "payment_method_id": "pm_1",
                "amount": {"minor": 1000, "currency": "JPY"},
                "period": "monthly",
                **terms,
            }
        )
        create = messages.Create(request_id="create-1", actor="service:test", spec=spec)
        subscription_id = f"sub_{uuid.uuid4().hex}"
        self.handle: WorkflowHandle[Any, Any] = await self.environment.client.start_workflow(
            Subscription.run,
            messages.SubscriptionInput(
                id=subscription_id, create=create, scenario_start=self.start, cycles_per_run=cycles_per_run
            ),
            id=f"subscription/{subscription_id}",
            task_queue=self.queue,
        )
        opened: messages.Opened = await self.handle.execute_update(Subscription.await_opened)
        if opened.outcome == "opened":
            # Not asked from the workflow: on this server a query that meets a run just being continued as new is
            # never answered and stops the clock for good.
            self.offset = self.start - await self.environment.get_current_time()
        return opened

    async def until(self, instant: str) -> None:
        """Let time pass until the subscription's clock shows `instant`, and what was due is done."""
        await skip_to(self.environment, datetime.fromisoformat(instant) - self.offset)
        await self.quiet()

    async def quiet(self) -> None:
        await Onlooker(self.environment.client).wait_for_rest([self.handle.id])

    async def do(self, update: Any, command: messages.Command) -> messages.Answer:
        answer: messages.Answer = await self.handle.execute_update(update, command)
        await self.quiet()
        return answer

    async def refusal(self, update: Any, command: messages.Command) -> str:
        """The code with which an operation is refused."""
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.handle.execute_update(update, command)
        assert isinstance(refused.value.cause, ApplicationError)
        return str(refused.value.cause.type)

    async def state(self) -> Any:
        return (await self.handle.query(Subscription.snapshot)).state


@pytest.fixture
def deployed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every first run learns at once that another version of the code has become the current one."""
    monkeypatch.setattr(
        workflow.Info,
        "is_target_worker_deployment_version_changed",
        lambda info: info.continued_run_id is None,
    )


@pytest.fixture
async def stage(server: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """A worker with stand-ins; in the end every run's history is replayed."""
    stage = Stage(server)
    worker = Worker(
        server.client,
        task_queue=stage.queue,
        workflows=[Subscription],
        activities=[*stage.billing.registered(), *stage.records.registered()],
    )
    async with worker:
        yield stage
        if hasattr(stage, "handle"):
            await _replay(stage)
            described = await stage.handle.describe()
            if described.close_time is None:
                await stage.handle.terminate("the test is over")


async def _replay(stage: Stage) -> None:
    await stage.quiet()  # without a first task in the history the replayer would wait for ever
    history = await stage.handle.fetch_history()
    await Replayer(workflows=[Subscription], plugins=[teiki_plugin(KEYS)]).replay_workflow(history)
