"""One Postgres per module, with a migrated database that others are made from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from db import migrate
from runtime.embedded.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(durable=False) as server:
        await server.create_database("migrated")
        migrate.upgrade(server.url("migrated").replace("postgresql://", "postgresql+psycopg://", 1))
        yield server
