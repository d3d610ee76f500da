"""One credit on a server, stand-ins for its activities, the order that it tells, and a clock to move."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from activities.contracts.credits import (
    COUNT_CREDIT,
    OPEN_CREDIT,
    RECORD_CREDIT,
    CountCredit,
    CreditsContract,
    OpenCredit,
    OpenCreditResult,
    RecordCredit,
)
from domain.credit import CreditState
from domain.money import Money
from runtime.codec import KeyRing
from runtime.temporal import teiki_plugin
from starter.simulate.rest import Onlooker
from tests.workflows.clock import skip_to
from tests.workflows.fake_blocking import FakeBlocking
from tests.workflows.fakes import FakeBilling
from tests.workflows.told_order import ToldOrder
from workflows.blocking import Blocking
from workflows.credit import Credit
from workflows.credit_messages import AskCredit, CreditInput, CreditOpened

START = datetime.fromisoformat("2023-08-01T12:00:00+09:00")
ORDER = "ord_told"


@dataclass
class FakeCredits(CreditsContract):
    """Accepts every credit of 1,000 yen, unless `refuse` says otherwise, and keeps what was written."""

    order_id: str | None = None
    refuse: OpenCreditResult | None = None
    opened: list[OpenCredit] = field(default_factory=list)
    said: list[RecordCredit] = field(default_factory=list)
    counted: list[CountCredit] = field(default_factory=list)

    @activity.defn(name=OPEN_CREDIT)
    async def open(self, order: OpenCredit) -> OpenCreditResult:
        if self.refuse is not None:
            return self.refuse
        self.opened.append(order)
        amount = order.amount or Money(minor=1000, currency="JPY")
        return OpenCreditResult(
            outcome="opened",
            credit_id=order.credit_id,
            amount=amount,
            order_id=self.order_id,
            customer_id="cus_1",
        )

    @activity.defn(name=RECORD_CREDIT)
    async def record(self, order: RecordCredit) -> None:
        self.said.append(order)

    @activity.defn(name=COUNT_CREDIT)
    async def count_on_ended_order(self, order: CountCredit) -> None:
        self.counted.append(order)


@dataclass
class CreditStage:
    """`ask` for it, move the clock with `until`, and look at `billing` and `credits`."""

    environment: WorkflowEnvironment
    billing: FakeBilling = field(default_factory=FakeBilling)
    credits: FakeCredits = field(default_factory=FakeCredits)
    blocking: FakeBlocking = field(default_factory=FakeBlocking)
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4()}")
    start: datetime = START

    @property
    def client(self) -> Client:
        return self.environment.client

    async def ask(self, minor: int | None = 300, **more: Any) -> CreditOpened:
        amount = None if minor is None else Money(minor=minor, currency="JPY")
        ask = AskCredit(
            object_id="sub_1", number=1, amount=amount, request_id="r-1", actor="operator:test", **more
        )
        credit_id = f"crd_{uuid.uuid4().hex}"
        self.handle: WorkflowHandle[Any, Any] = await self.client.start_workflow(
            Credit.run,
            CreditInput(id=credit_id, ask=ask, scenario_start=self.start),
            id=f"credit/{credit_id}",
            task_queue=self.queue,
        )
        opened = await self._answer()
        self.offset = self.start - await self.environment.get_current_time()
        await self.quiet()
        return opened

    async def go_on(self, state: CreditState) -> None:
        """A later run of one whose history was cut."""
        self.handle = await self.client.start_workflow(
            Credit.run,
            CreditInput(id=state.id, state=state, clock_offset=timedelta()),
            id=f"credit/{state.id}",
            task_queue=self.queue,
        )
        await self.quiet()

    async def _answer(self) -> CreditOpened:
        try:
            opened: CreditOpened = await self.handle.execute_update(Credit.await_answer)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            # It was over before it was asked; the SDK starts and asks in one call.
            result: CreditOpened = await self.handle.result()
            return result
        return opened

    async def until(self, instant: str) -> None:
        await skip_to(self.environment, datetime.fromisoformat(instant) - self.offset)
        await self.quiet()

    async def quiet(self) -> None:
        await Onlooker(self.client).wait_for_rest([self.handle.id])

    async def do(self, update: Any, command: Any) -> str:
        answer: str = await self.handle.execute_update(update, command)
        await self.quiet()
        return answer

    async def refusal(self, update: Any, command: Any) -> str:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.handle.execute_update(update, command)
        assert isinstance(refused.value.cause, ApplicationError)
        return str(refused.value.cause.type)

    async def is_over(self) -> bool:
        return (await self.handle.describe()).close_time is not None

    async def order_runs(self) -> WorkflowHandle[Any, Any]:
        """An order that is told; `end` it to hear what it heard."""
        order_id = f"{ORDER}_{uuid.uuid4().hex[:8]}"
        self.credits.order_id = order_id
        return await self.client.start_workflow(ToldOrder.run, id=f"order/{order_id}", task_queue=self.queue)


@asynccontextmanager
async def crediting(
    environment: WorkflowEnvironment, keys: KeyRing | None, stage: CreditStage | None = None
) -> AsyncIterator[CreditStage]:
    """A worker with stand-ins; in the end the history is replayed and what still runs is terminated."""
    stage = stage or CreditStage(environment)
    worker = Worker(
        environment.client,
        task_queue=stage.queue,
        workflows=[Credit, Blocking, ToldOrder],
        activities=[
            *stage.billing.registered(),
            *stage.credits.registered(),
            *stage.blocking.registered(),
        ],
    )
    async with worker:
        yield stage
        await stage.quiet()  # without a first task in the history the replayer would wait for ever
        replayer = Replayer(workflows=[Credit], plugins=[teiki_plugin(keys)])
        await replayer.replay_workflow(await stage.handle.fetch_history())
        if not await stage.is_over():
            await stage.handle.terminate("the test is over")
