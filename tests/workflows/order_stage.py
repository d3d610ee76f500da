"""One order on a server, with its slips and subscription, stand-ins for the activities, and a clock to move."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from domain.identifiers import deposit_id, deposit_workflow_id
from domain.order_terms import OrderSpec
from runtime.codec import KeyRing
from runtime.temporal import teiki_plugin
from starter.simulate.rest import Onlooker
from tests.workflows.clock import skip_to
from tests.workflows.fakes import FakeRecords
from tests.workflows.order_fakes import FakeOrders, FakeSlip, FakeTill
from workflows import order_messages as messages
from workflows.konbini_deposit import KonbiniDeposit
from workflows.messages import Command, GatewayNotice
from workflows.order import Order
from workflows.subscription import Subscription

START = datetime.fromisoformat("2023-08-01T12:00:00+09:00")
WORKFLOWS = [Order, KonbiniDeposit, Subscription]
SOLD = {"card": "one_time", "konbini": "one_time", "recurring": "recurring", "none": "token_auth"}
KONBINI = {"store": "lawson", "customer_name": "Test Customer", "phone": "090-0000-0000"}
LOOKS_MAX = 100
YEN_1000 = {"minor": 1000, "currency": "JPY"}


def by(request_id: str, actor: str = "operator:test") -> dict[str, str]:
    return {"request_id": request_id, "actor": actor, "comment": ""}


@dataclass
class OrderStage:
    """`place` it, move the clock with `until`, do things, and look at `orders` (what was written) and `till`."""

    environment: WorkflowEnvironment
    till: FakeTill = field(default_factory=FakeTill)
    orders: FakeOrders = field(default_factory=FakeOrders)
    records: FakeRecords = field(default_factory=FakeRecords)
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4()}")
    start: datetime = START

    @property
    def client(self) -> Client:
        return self.environment.client

    async def place(self, pay: str = "konbini", **more: Any) -> messages.OrderOpened:
        """`more` goes to the product, or to the spec where it is a field of it."""
        of_spec = {name: more.pop(name) for name in ("preliminary_completes", "konbini") if name in more}
        price = None if pay == "none" else YEN_1000
        self.orders.product = {"sales_method": SOLD[pay], "price": price, "point_rate": "0.01"} | more
        self.orders.client = self.client
        given: dict[str, Any] = {"customer_id": "cus_1", "product_id": "prd_1", "pay": pay} | of_spec
        if pay == "konbini":
            given["konbini"] = KONBINI | given.get("konbini", {})
        if pay in ("card", "recurring"):
            given["payment_method_id"] = "pm_1"
        if pay == "recurring":
            given["subscription"] = {"period": "monthly"}
        self.id = f"ord_{uuid.uuid4().hex}"
        place = messages.PlaceOrder(spec=OrderSpec.model_validate(given), **by("place-1", "customer:cus_1"))
        self.handle: WorkflowHandle[Any, Any] = await self.client.start_workflow(
            Order.run,
            messages.OrderInput(id=self.id, place=place, scenario_start=self.start),
            id=f"order/{self.id}",
            task_queue=self.queue,
        )
        opened: messages.OrderOpened = await self.handle.execute_update(Order.await_placed)
        if opened.outcome == "opened":
            self.offset = self.start - await self.environment.get_current_time()
        await self.quiet()
        return opened

    # ------------------------------------------------------------------ time

    async def until(self, instant: str) -> None:
        await skip_to(self.environment, datetime.fromisoformat(instant) - self.offset)
        await self.quiet()

    async def quiet(self) -> None:
        """Until neither the order nor what it started has anything to do at once."""
        await Onlooker(self.client).wait_for_rest([handle.id for handle in self.handles()])

    def handles(self) -> list[WorkflowHandle[Any, Any]]:
        children = [deposit_workflow_id(deposit_id(self.id, number)) for number in (1, 2, 3)]
        children.append(f"subscription/sub_{self.id.removeprefix('ord_')}")
        return [self.handle, *(self.client.get_workflow_handle(child) for child in children)]

    # ------------------------------------------------------------------ people and the payment company

    async def do(self, update: Any, command: Command) -> messages.OrderAnswer:
        answer: messages.OrderAnswer = await self.handle.execute_update(update, command)
        await self.quiet()
        return answer

    async def refusal(self, update: Any, command: Command) -> str:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.handle.execute_update(update, command)
        assert isinstance(refused.value.cause, ApplicationError)
        return str(refused.value.cause.type)

    def slip(self, number: int = 1) -> FakeSlip:
        return self.till.slips[f"{self.id}/{number}"]

    def deposit(self, number: int = 1) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(deposit_workflow_id(deposit_id(self.id, number)))

    async def notify(self, number: int = 1) -> None:
        notice = GatewayNotice(gateway_id="", reference=f"{self.id}/{number}/1")
        await self.deposit(number).signal(KonbiniDeposit.gateway_notified, notice)
        await self.quiet()

    async def pay(self, number: int = 1, *, told: bool = True) -> None:
        self.slip(number).payments += 1
        self.slip(number).preliminary = False
        if told:
            await self.notify(number)

    async def state(self) -> Any:
        return (await self.handle.query(Order.snapshot)).state

    async def shown(self) -> tuple[str, str, str | None]:
        """Order, payment, permission."""
        state = await self.state()
        permission = state.permission.status.value if state.permission else None
        return state.status.value, state.payment_status.value, permission

    async def comes_to_show(self, *expected: str | None) -> None:
        """As `shown`, on a real server, where news take their time."""
        for _ in range(LOOKS_MAX):
            if await self.shown() == expected:
                return
            await self.quiet()
        assert await self.shown() == expected

    async def is_over(self) -> bool:
        return (await self.handle.describe()).close_time is not None


@asynccontextmanager
async def playing(
    environment: WorkflowEnvironment, keys: KeyRing | None, stage: OrderStage | None = None
) -> AsyncIterator[OrderStage]:
    """A worker with stand-ins; in the end every history is replayed and what still runs is terminated."""
    stage = stage or OrderStage(environment)
    worker = Worker(
        environment.client,
        task_queue=stage.queue,
        workflows=WORKFLOWS,
        activities=[
            *stage.till.registered(),
            *stage.orders.registered(),
            *stage.records.registered(),
        ],
    )
    async with worker:
        yield stage
        if hasattr(stage, "handle"):
            await _close(stage, keys)


async def _close(stage: OrderStage, keys: KeyRing | None) -> None:
    # A run that has only begun cannot be replayed: without a first task in its history the replayer waits for ever.
    await stage.quiet()
    replayer = Replayer(workflows=WORKFLOWS, plugins=[teiki_plugin(keys)])
    for handle in stage.handles():
        try:
            described = await handle.describe()
        except RPCError:
            continue
        await replayer.replay_workflow(await handle.fetch_history())
        if described.close_time is None:
            with contextlib.suppress(RPCError):  # it ended by itself meanwhile
                await handle.terminate("the test is over")
