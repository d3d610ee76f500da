"""Shared by the tests of `runtime`: a key ring, and servers that many tests use."""

import os

import pytest

from runtime.codec import KeyRing
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.temporal_servers import DevServer, TimeSkippingServer


@pytest.fixture(scope="session", autouse=True)
def _no_outside_configuration():
    """A developer's own TEIKI_* or Temporal profile must not reach a test."""
    kept = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("TEIKI_", "TEMPORAL_"))
    }
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def keys():
    return KeyRing.of([("k1", bytes(range(32)))])


@pytest.fixture(scope="session")
async def postgres():
    async with EmbeddedPostgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
async def dev_server():
    async with DevServer() as server:
        yield server


@pytest.fixture(scope="session")
async def time_skipping(keys):
    async with TimeSkippingServer(keys) as environment:
        yield environment
