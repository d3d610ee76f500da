"""A real sandbox process per test session, and the gateways that must keep the port's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from aiohttp import web

from gateways import sandbox_till
from gateways.port import PaymentGateway
from gateways.sandbox.launch import RunningSandbox, start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway
from tests.gateways.receiver import Receiver


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


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A merchant's end of the webhooks, not registered yet."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hooks", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield receiver
    await runner.cleanup()


@dataclass(frozen=True)
class Candidate:
    """A gateway that claims to keep the contract, and a way to tell it what the next attempts meet."""

    gateway: PaymentGateway
    script: Callable[..., Awaitable[str]]
    """`await script("approve", {"decline": "lost_card"})` → a token whose attempts meet these in order."""
    till: Callable[..., Awaitable[object]]
    """`await till(slip)`: somebody pays it; `await till(slip, "preliminary")` gives another notice of the store."""


@pytest.fixture(params=["sandbox"])
async def candidate(
    request: pytest.FixtureRequest,
    gateway: SandboxGateway,
    remote: SandboxRemote,
    sandbox: RunningSandbox,
) -> Candidate:
    """Every adapter adds its name above and its branch here, and test_gateway_contract.py judges it."""
    assert request.param == "sandbox"

    async def script(*items: object) -> str:
        return await remote.script(items)

    async def till(slip: str, notice: str = "confirmed") -> object:
        return await sandbox_till.pay(sandbox.base_url, slip, notice=notice)

    return Candidate(gateway, script, till)
