"""A real sandbox process per test session, and the gateways that must keep the port's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateways.port import PaymentGateway
from gateways.sandbox.launch import RunningSandbox, start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[RunningSandbox]:
    running = await start_sandbox(":memory:")
    yield running
    assert await running.stop() == 0


@pytest.fixture
async def remote(sandbox: RunningSandbox) -> AsyncIterator[SandboxRemote]:
    """The session's sandbox under remote control; whatever a test switched is switched back."""
    async with SandboxRemote(sandbox.base_url) as control:
        yield control
        await control.faults()
        await control.webhooks(None)
        await control.idempotency("strict", key_ttl_seconds=86_400)
        await control.remittances()


@pytest.fixture
async def gateway(sandbox: RunningSandbox) -> AsyncIterator[SandboxGateway]:
    adapter = SandboxGateway(sandbox.base_url, timeout=timedelta(seconds=10))
    yield adapter
    await adapter.close()


@dataclass(frozen=True)
class Candidate:
    """A gateway that claims to keep the contract, and a way to tell it what the next attempts meet."""

    gateway: PaymentGateway
    script: Callable[..., Awaitable[str]]
    """`await script("approve", {"decline": "lost_card"})` → a token whose attempts meet these in order."""


@pytest.fixture(params=["sandbox"])
async def candidate(
    request: pytest.FixtureRequest, gateway: SandboxGateway, remote: SandboxRemote
) -> Candidate:
    """Every adapter adds its name above and its branch here, and test_gateway_contract.py judges it."""
    assert request.param == "sandbox"

    async def script(*items: object) -> str:
        return await remote.script(items)

    return Candidate(gateway, script)
