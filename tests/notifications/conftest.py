"""Endpoints, events and couriers over a real Postgres and real sockets; Temporal is left out until `alive`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.contracts.notifications import Deliver, Delivered
from activities.notifications import NotificationsActivities
from db import endpoints, migrate
from db.endpoints import Said
from db.engine import Database
from gateways.endpoint_client import EndpointClient
from runtime.codec import KeyRing, new_key
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.supervisor import file_ready
from runtime.sealing import ENDPOINT_SECRET, Sealer
from tests.architecture.reading import ROOT
from tests.db.house import unique
from tests.notifications.merchant import Merchant

KEYS = new_key("t")
SEALER = Sealer(KeyRing.parse(KEYS), ENDPOINT_SECRET)
SECRET = "whsec_" + "A" * 43 + "="
OTHER_SECRET = "whsec_" + "B" * 42 + "A="
_databases = itertools.count(1)


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(durable=False) as postgres:
        await postgres.create_database("template_migrated")
        migrate.upgrade(_driver(postgres.url("template_migrated")))
        yield postgres


@pytest.fixture
async def db(server: EmbeddedPostgres) -> AsyncIterator[Database]:
    """One for each test: a courier takes everything that it finds."""
    name = f"notified_{next(_databases)}"
    url = await server.create_database(name, template="template_migrated")
    database = Database.connect(_driver(url), pool_size=12)
    yield database
    await database.close()
    await server.drop_database(name)


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
async def post() -> AsyncIterator[EndpointClient]:
    client = EndpointClient(allow_private=True, connect_s=2, total_s=2)
    yield client
    await client.close()


def said(**given: Any) -> Said:
    asked = {"request_id": unique("req"), "actor": "operator:desk", "comment": "", "at": datetime.now(UTC)}
    return Said(**(asked | given))


@dataclass
class Counter:
    """What a test does and asks: the database is the counter over which everything goes."""

    db: Database
    post: EndpointClient

    async def endpoint(self, url: str, *topics: str, secret: str = SECRET) -> str:
        new = f"end_{uuid4().hex[:12]}"
        sealed = SEALER.seal(secret, new)
        return await endpoints.create_endpoint(
            self.db, new, url=url, topics=topics, sealed_secret=sealed, said=said()
        )

    async def happens(self, subject_id: str, topic: str = "payment.settled", **payload: Any) -> int:
        row = await self.db.fetch_one(
            "INSERT INTO outbox (topic, subject_id, payload) VALUES (%s, %s, %s::jsonb) RETURNING id",
            [topic, subject_id, json.dumps(payload)],
        )
        assert row is not None
        return int(row["id"])

    async def told(self, *, post: Any = None, unseal: Any = SEALER.unseal) -> Delivered:
        """All that is due now, by a courier."""
        activities = NotificationsActivities(self.db, post or self.post.post, unseal)
        return await ActivityEnvironment().run(activities.deliver, Deliver(for_s=0))

    async def states(self, endpoint_id: str) -> list[str]:
        """Of its deliveries, in the order of the events."""
        rows = await self.rows(
            "SELECT state FROM deliveries WHERE endpoint_id = %s ORDER BY event_id", endpoint_id
        )
        return [row["state"] for row in rows]

    async def pauses_pass(self) -> None:
        await self.rows(
            "UPDATE deliveries SET next_at = clock_timestamp() WHERE state = 'waiting' RETURNING 1 AS n"
        )

    async def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        async with self.db.transaction() as cursor:
            await cursor.execute(sql, parameters)  # type: ignore[arg-type]  # a test's own text
            return await cursor.fetchall()


@pytest.fixture
def counter(db: Database, post: EndpointClient) -> Counter:
    return Counter(db, post)


def ids(shop: Merchant) -> list[str]:
    return [seen["id"] for seen in shop.taken]


@asynccontextmanager
async def working(
    module: str, home: Path, variables: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that serves, or was killed already; ended at the end unless it has ended before."""
    ready = home / f"{uuid4().hex}.ready"
    _, serves = file_ready(ready)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TEIKI_", "TEMPORAL_"))}
    process = await spawn(
        [sys.executable, "-m", module],
        log=home / "worker.log",
        env={**inherited, **variables, "TEIKI_READY_FILE": str(ready), "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(40):
            while process.returncode != -signal.SIGKILL and not await serves():
                assert process.returncode is None, tail(home / "worker.log")
                await asyncio.sleep(0.05)
        yield process
    finally:
        await end(process)
