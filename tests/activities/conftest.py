"""The real activities over a real Postgres and a real sandbox gateway; only Temporal is left out.

One server per session, one database per module made from a migrated template. Tests keep apart by their own ids.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import ChargeInput, RefundInput, VerifyInput
from activities.contracts.records import OpenInput
from activities.records import RecordsActivities
from db import migrate
from db.engine import Database
from domain.identifiers import charge_reference, refund_reference
from domain.unresolved import Mode
from gateways.sandbox.launch import RunningSandbox, start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.ports import free_ports
from runtime.embedded.postgres import EmbeddedPostgres
from tests.db.house import NOW, House, transition

_databases = itertools.count(1)


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[EmbeddedPostgres]:
    # A port that stays: a test restarts the server under our pool.
    async with EmbeddedPostgres(durable=False, port=free_ports(1)[0]) as postgres:
        await postgres.create_database("template_migrated")
        migrate.upgrade(_driver(postgres.url("template_migrated")))
        yield postgres


@pytest.fixture(scope="module")
async def db(server: EmbeddedPostgres) -> AsyncIterator[Database]:
    name = f"module_{next(_databases)}"
    url = await server.create_database(name, template="template_migrated")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        # What is committed must survive a server that dies (one test kills it); the machine may not die.
        await connection.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(name))
        )
    database = Database.connect(_driver(url), pool_size=8)
    yield database
    await database.close()
    await server.drop_database(name)


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[RunningSandbox]:
    running = await start_sandbox(":memory:")
    yield running
    assert await running.stop() == 0


@pytest.fixture
async def remote(sandbox: RunningSandbox) -> AsyncIterator[SandboxRemote]:
    async with SandboxRemote(sandbox.base_url) as control:
        yield control
        await control.faults()
        await control.idempotency("strict")


@pytest.fixture
async def gateway(sandbox: RunningSandbox) -> AsyncIterator[SandboxGateway]:
    adapter = SandboxGateway(sandbox.base_url, timeout=timedelta(seconds=10))
    yield adapter
    await adapter.close()


@dataclass
class Desk:
    """The activities, what they work on, and the questions a test asks afterwards."""

    db: Database
    gateway: Any
    remote: SandboxRemote
    house: House

    @property
    def billing(self) -> BillingActivities:
        return BillingActivities(self.db, self.gateway)

    @property
    def records(self) -> RecordsActivities:
        return RecordsActivities(self.db, self.gateway)

    async def run(self, activity: Any, order: Any) -> Any:
        return await ActivityEnvironment().run(activity, order)

    async def twice(self, activity: Any, order: Any) -> Any:
        """The result, when a second run gives the same one and leaves every row as it was."""
        first = await self.run(activity, order)
        subject = getattr(order, "object_id", None) or order.subscription_id
        before = await self._everything(subject)
        second = await self.run(activity, order)
        assert second == first
        assert await self._everything(subject) == before
        return first

    async def _everything(self, subscription_id: str) -> dict[str, list[dict[str, Any]]]:
        """All that is stored but the hint, which says what was last seen, for people."""
        stored = await self.house.everything(subscription_id)
        return stored | {"attempts": [{**row, "hint": ""} for row in stored["attempts"]]}

    async def subscription(self, *script: Any) -> OpenInput:
        """An open subscription whose card meets these outcomes in turn."""
        tenant = await self.house.tenant(token=await self.remote.script(list(script)))
        return await self.house.subscription(tenant)

    async def charge(self, order: OpenInput, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.run(self.billing.charge, charge_of(order, mode, **more))

    async def charge_twice(self, order: OpenInput, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.twice(self.billing.charge, charge_of(order, mode, **more))

    async def refund(self, order: OpenInput, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.run(self.billing.refund, refund_of(order, mode, **more))

    async def refund_twice(self, order: OpenInput, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.twice(self.billing.refund, refund_of(order, mode, **more))

    async def verify_twice(self, order: OpenInput, attempt: int = 1) -> Any:
        asked = VerifyInput(
            object_id=order.subscription_id, number=1, attempt=attempt, at=NOW + timedelta(minutes=20)
        )
        return await self.twice(self.billing.verify, asked)

    async def sent(self, order: OpenInput, number: int = 1, attempt: int = 1) -> list[str]:
        """The routes of all requests about an attempt, in order: `["charge", "charge", "void"]`."""
        reference = charge_reference(order.subscription_id, number, attempt)
        return [request["route"] for request in await self.remote.requests(reference)]

    async def sent_refunds(self, order: OpenInput) -> int:
        return len(await self.remote.requests(refund_reference(order.subscription_id, 1)))

    async def settled(self, order: OpenInput) -> tuple[int, int]:
        """Minor units: what the gateway's book has left for this subscription, and what ours has."""
        book = (await self.remote.ledger())["references"]
        nets = [
            seen["net"].get("JPY", 0)
            for reference, seen in book.items()
            if reference.startswith(order.subscription_id + "/")
        ]
        ours = await self.house.row(
            "SELECT coalesce(sum(CASE debit_account WHEN 'gateway_receivable' THEN l.amount_minor"
            " ELSE -l.amount_minor END), 0)::int AS minor"
            " FROM ledger l JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s",
            order.subscription_id,
        )
        return sum(nets), ours["minor"]

    async def attempt(self, order: OpenInput, attempt: int = 1, purpose: str = "charge") -> dict[str, Any]:
        sql = "SELECT * FROM attempts WHERE object_id = %s AND attempt = %s AND purpose = %s"
        return await self.house.row(sql, order.subscription_id, attempt, purpose)

    async def kinds(self, order: OpenInput) -> list[str]:
        """History, by kind, without the two events of the creation."""
        sql = "SELECT kind FROM history WHERE subject_id = %s ORDER BY seq"
        return [row["kind"] for row in await self.house.rows(sql, order.subscription_id)][2:]


def charge_of(order: OpenInput, mode: Mode = Mode.SEND, *, attempt: int = 1, **more: Any) -> ChargeInput:
    given: dict[str, Any] = {
        "row": {
            "status": "current",
            "reason": "first_payment_succeeded",
            "charges": 1,
            "charged_minor": 1000,
        },
        "moves": [transition("unverified", "current", "first_payment_succeeded")],
        "at": NOW,
    }
    if mode is not Mode.SEND:
        given["learned_at"] = NOW + timedelta(minutes=10)
    return ChargeInput(
        object_id=order.subscription_id,
        number=1,
        attempt=attempt,
        due_at=order.terms.calendar.due(0),
        amount_minor=order.terms.amount_minor,
        currency=order.terms.currency,
        mode=mode,
        **(given | more),
    )


def refund_of(order: OpenInput, mode: Mode = Mode.SEND, **more: Any) -> RefundInput:
    given: dict[str, Any] = {"at": later(), "reason": "settled_after_the_end"} | more
    return RefundInput(object_id=order.subscription_id, number=1, mode=mode, **given)


def later() -> datetime:
    return NOW + timedelta(hours=1)


@pytest.fixture
def house(db: Database) -> House:
    return House(db)


@pytest.fixture
def desk(db: Database, gateway: SandboxGateway, remote: SandboxRemote, house: House) -> Desk:
    return Desk(db, gateway, remote, house)
