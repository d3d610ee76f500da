"""One Postgres per module, with a migrated database that others are made from, and worlds in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from db import migrate
from runtime.embedded.postgres import EmbeddedPostgres
from tests.chaos.world import World, a_world


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(durable=False) as server:
        await server.create_database("migrated")
        migrate.upgrade(server.url("migrated").replace("postgresql://", "postgresql+psycopg://", 1))
        yield server


@pytest.fixture
async def world(postgres: EmbeddedPostgres) -> AsyncIterator[World]:
    """One of the test's own, with a gateway that it may break."""
    async with a_world(postgres) as made:
        yield made
