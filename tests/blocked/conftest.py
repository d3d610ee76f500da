"""A real Temporal, Postgres and sandbox, and workers that are processes and may die while they block somebody."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from db import migrate
from db.engine import Database
from domain.money import Money
from domain.order_terms import OrderSpec
from domain.product import ProductTerms
from domain.terms import SubscriptionSpec
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from runtime.codec import new_key
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.supervisor import file_ready
from runtime.embedded.temporal_servers import DevServer
from runtime.settings import Settings
from starter.teiki import Teiki
from tests.activities.order_desk import KONBINI
from tests.architecture.reading import ROOT
from tests.db.house import House

READY_S = 30.0
PATIENCE_S = 90.0
LOOK_EVERY_S = 0.1
YEN = Money(minor=1000, currency="JPY")


@dataclass
class Street:
    """Customers with everything they have, workers that may die, and the questions a test asks."""

    teiki: Teiki
    house: House
    remote: SandboxRemote
    settings: Settings
    home: Path
    deaths: list[str] = field(default_factory=list)

    # ------------------------------------------------------------------ who lives here

    async def customer(self) -> str:
        return await self.teiki.customers.put(email=f"{uuid.uuid4().hex}@example.com", name="Ann")

    async def card(self, customer: str, *script: Any) -> str:
        token = await self.remote.script(list(script) or ["approve"])
        return await self.teiki.payment_methods.add(customer_id=customer, token=token)

    async def subscription(self, customer: str, card: str, **more: Any) -> Any:
        product = await self.teiki.products.put(name="Box", price=YEN)
        given: dict[str, Any] = {"period": "monthly", "amount": YEN} | more
        spec = SubscriptionSpec(customer_id=customer, product_id=product, payment_method_id=card, **given)
        return await self.teiki.subscriptions.create(spec)

    async def slip(self, customer: str) -> str:
        """A Konbini order whose slip is issued; answers the order's id."""
        terms = ProductTerms.model_validate({"price": YEN.model_dump()})
        product = await self.teiki.products.put_terms(name="Replay", terms=terms)
        spec = OrderSpec(customer_id=customer, product_id=product, pay="konbini", konbini=KONBINI)
        order = await self.teiki.orders.place(spec)
        await self.eventually("SELECT 1 FROM deposits WHERE order_id = %s AND status = 'issued'", order.id)
        return str(order.id)

    # ------------------------------------------------------------------ what is asked afterwards

    async def statuses(self, customer: str) -> dict[str, tuple[str, str]]:
        rows = await self.house.rows(
            "SELECT id, status, reason FROM subscriptions WHERE customer_id = %s ORDER BY id", customer
        )
        return {row["id"]: (row["status"], row["reason"]) for row in rows}

    async def eventually(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows, as soon as there are any."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if rows := await self.house.rows(query, *parameters):
                    return rows
                await asyncio.sleep(LOOK_EVERY_S)

    async def reached_the_gateway(self, customer: str) -> int:
        """Charges that the payment company has heard of from this customer's objects."""
        objects = await self.house.rows(
            "SELECT id FROM subscriptions WHERE customer_id = %s UNION ALL SELECT id FROM orders"
            " WHERE customer_id = %s",
            customer,
            customer,
        )
        asked = [
            await self.remote.requests(f"{row['id']}/{number}/1") for row in objects for number in (1, 2)
        ]
        return sum(line["route"] in ("charge", "konbini") for lines in asked for line in lines)

    # ------------------------------------------------------------------ workers

    def fuse(self, *points: str) -> None:
        """So many deaths to come."""
        for number, point in enumerate(points):
            (self.home / "fuses" / f"{point}.{number}").touch()

    def fuses_left(self) -> list[str]:
        return sorted(path.name for path in (self.home / "fuses").iterdir())

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[None]:
        """One worker after another: whoever dies by a fuse is followed by the next."""
        first = asyncio.get_running_loop().create_future()
        keeping = asyncio.create_task(self._keep(first))
        try:
            await first
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, first: asyncio.Future[None]) -> None:
        while True:
            ready = self.home / f"{uuid.uuid4().hex}.ready"
            _, serves = file_ready(ready)
            process = await spawn(
                [sys.executable, "-m", "tests.blocked.fused_worker"],
                log=self.home / "worker.log",
                env={**self._environment(), "TEIKI_READY_FILE": str(ready)},
            )
            try:
                async with asyncio.timeout(READY_S):
                    while True:
                        if process.returncode is not None or await serves():
                            break
                        await asyncio.sleep(LOOK_EVERY_S)
                if not first.done():
                    first.set_result(None)
                await process.wait()
            finally:
                await end(process)
            assert process.returncode == -signal.SIGKILL, tail(self.home / "worker.log")
            self.deaths.append("killed")

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("TEIKI_", "TEMPORAL_"))
        }
        keys = self.settings.codec_keys
        assert keys is not None
        return {
            **inherited,
            "TEIKI_DATABASE_URL": self.settings.database,
            "TEIKI_CODEC_KEYS": keys.get_secret_value(),
            "TEIKI_GATEWAY_URL": self.settings.gateway_url,
            "TEIKI_STATE_DIR": str(self.home),
            "TEIKI_STICKY_SECONDS": "5",  # of who was killed
            "TEMPORAL_ADDRESS": str(self.settings.temporal_address),
            "TEST_FUSES": str(self.home / "fuses"),
            "PYTHONPATH": str(ROOT),
        }


@pytest.fixture(scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """Servers for all tests of a module; each starts its own workers."""
    home = tmp_path_factory.mktemp("street")
    (home / "fuses").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in list(os.environ):
            if name.startswith(("TEIKI_", "TEMPORAL_")):
                monkeypatch.delenv(name)
        async with AsyncExitStack() as stack:
            postgres = await stack.enter_async_context(EmbeddedPostgres(durable=False))
            server = await stack.enter_async_context(DevServer())
            sandbox = await start_sandbox(":memory:")
            stack.push_async_callback(sandbox.stop)
            url = await postgres.ensure_database("teiki")
            await asyncio.to_thread(migrate.upgrade, url)
            settings = Settings.load(
                database_url=url,
                codec_keys=new_key("k1"),
                gateway_url=sandbox.base_url,
                state_dir=home,
                temporal_address=server.address,
            )
            database = Database.connect(url, pool_size=4)
            stack.push_async_callback(database.close)
            remote = await stack.enter_async_context(SandboxRemote(sandbox.base_url))
            teiki = await stack.enter_async_context(await Teiki.connect(settings))
            yield Street(teiki, House(database), remote, settings, home)
