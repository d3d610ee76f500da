"""A real Temporal, Postgres and sandbox, and a worker in this process: for races that are decided there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.billing import BillingActivities
from activities.blocking import BlockingActivities
from activities.credits import CreditsActivities
from activities.engine_commands import EngineCommands
from activities.orders import OrdersActivities
from activities.records import RecordsActivities
from db import migrate
from db.engine import Database
from domain.errors import TeikiError
from domain.order_projection import row_of
from domain.order_state import State
from domain.order_terms import OrderSpec
from gateways import sandbox_till
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.temporal_servers import DevServer
from runtime.settings import Settings
from starter.orders import Order
from starter.teiki import Teiki
from tests.activities.order_desk import KONBINI, SOLD, OrderDesk
from tests.db.house import House, Tenant
from tests.workflows.conftest import KEYS
from worker import WORKFLOWS, options_of
from workflows import order_messages as messages
from workflows.order import Order as OrderWorkflow

PATIENCE_S = 30.0
LOOK_EVERY_S = 0.2
"""Whoever looks all the time slows the race down."""


@dataclass
class Hall:
    """Orders that live on a real server, and both books beside them."""

    teiki: Teiki
    client: Client
    desk: OrderDesk
    tenant: Tenant
    settings: Settings
    url: str

    async def place(self, pay: str = "card", **product: Any) -> Order:
        product_id = await self.desk.product(sales_method=SOLD[pay], **product)
        given: dict[str, Any] = {"customer_id": self.tenant.customer_id, "product_id": product_id, "pay": pay}
        given |= {"konbini": KONBINI} if pay == "konbini" else {"payment_method_id": self.tenant.card_id}
        return await self.teiki.orders.place(OrderSpec.model_validate(given))

    async def state(self, order: Order) -> State:
        handle = self.client.get_workflow_handle(f"order/{order.id}")
        snapshot = await handle.query(OrderWorkflow.snapshot)
        assert snapshot.state is not None
        return snapshot.state

    async def status(self, order: Order) -> str:
        row = await self.desk.house.row("SELECT status FROM orders WHERE id = %s", order.id)
        return str(row["status"])

    async def slip(self, order: Order) -> str:
        """The slip's id at the payment company, as soon as it is issued."""
        sql = "SELECT gateway_id FROM deposits WHERE order_id = %s AND gateway_id IS NOT NULL"
        return str((await self.eventually(lambda: self.desk.house.rows(sql, order.id)))[0]["gateway_id"])

    async def pay(self, slip: str) -> None:
        await sandbox_till.pay(self.url, slip)

    async def later(self, order: Order, by: timedelta) -> None:
        """The same order, its clock moved on: its workflow goes on with another offset."""
        state = await self.state(order)
        handle = self.client.get_workflow_handle(f"order/{order.id}")
        await handle.terminate("its clock is moved")
        again = messages.OrderInput(
            id=order.id,
            state=state,
            clock_offset=by,
            written=row_of(state, state.completed_at or self.teiki.now()),
        )
        await self.client.start_workflow(
            OrderWorkflow.run, again, id=handle.id, task_queue=self.settings.task_queue
        )

    async def eventually(self, look: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if seen := await look():
                    return seen
                await asyncio.sleep(LOOK_EVERY_S)

    async def books_agree(self, order: Order, kept: int) -> None:
        """Both books come to hold exactly this of the order's money."""

        async def settled() -> bool:
            return await self.desk.books(order.id) == (kept, kept)

        try:
            await self.eventually(settled)
        except TimeoutError:
            assert await self.desk.books(order.id) == (kept, kept)


async def said(call: Awaitable[Any]) -> str:
    """`done`, or the code of the refusal; any other error is a failure of the test."""
    try:
        await call
    except TeikiError as error:
        return error.code.value
    return "done"


@pytest.fixture(scope="module")
async def hall() -> AsyncIterator[Hall]:
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(EmbeddedPostgres(durable=False))
        server = await stack.enter_async_context(DevServer())
        sandbox = await start_sandbox(":memory:")
        stack.push_async_callback(sandbox.stop)
        url = await postgres.ensure_database("teiki")
        await asyncio.to_thread(migrate.upgrade, url)
        settings = Settings.load(database_url=url, gateway_url=sandbox.base_url)
        database = Database.connect(url, pool_size=8)
        stack.push_async_callback(database.close)
        gateway = SandboxGateway(sandbox.base_url, timeout=timedelta(seconds=10))
        stack.push_async_callback(gateway.close)
        remote = await stack.enter_async_context(SandboxRemote(sandbox.base_url))
        client = await server.client(KEYS)
        house, commands = House(database), EngineCommands(client)
        worker = Worker(
            client,
            workflows=WORKFLOWS,
            activities=[
                *BillingActivities(database, gateway).registered(),
                *RecordsActivities(database, gateway).registered(),
                *OrdersActivities(database, gateway, commands).registered(),
                *BlockingActivities(database, commands).registered(),
                *CreditsActivities(database, gateway).registered(),
            ],
            **options_of(settings),
        )
        await stack.enter_async_context(worker)
        teiki = await stack.enter_async_context(Teiki(client, settings))
        yield Hall(
            teiki=teiki,
            client=client,
            desk=OrderDesk(database, gateway, remote, house, url=sandbox.base_url),
            tenant=await house.tenant(token="tok_ok"),
            settings=settings,
            url=sandbox.base_url,
        )
