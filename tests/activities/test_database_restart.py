"""Postgres dies at once (immediate shutdown) between two halves of an activity, and comes back."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.unresolved import Mode
from gateways.port import ChargeOutcome
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.postgres import EmbeddedPostgres

pytestmark = pytest.mark.xdist_group("activities")


@dataclass
class LastCall:
    """The gateway, and a database that dies while it answers."""

    gateway: SandboxGateway
    server: EmbeddedPostgres
    after_the_work: bool

    async def charge(self, **given) -> ChargeOutcome:
        if self.after_the_work:
            outcome = await self.gateway.charge(**given)
        await self._die()
        if not self.after_the_work:
            outcome = await self.gateway.charge(**given)
        return outcome

    async def _die(self) -> None:
        self.server.process.send_signal(signal.SIGQUIT)
        await self.server.process.wait()

    def __getattr__(self, name: str):
        return getattr(self.gateway, name)


@pytest.mark.parametrize("after_the_work", [True, False])
async def test_a_charge_whose_books_died_is_found_after_the_restart_and_booked_once(
    desk, server, after_the_work
):
    order = await desk.subscription("approve")
    real, desk.gateway = desk.gateway, LastCall(desk.gateway, server, after_the_work)
    with pytest.raises(TeikiError) as lost:
        await desk.charge(order)
    assert lost.value.code is ErrorCode.DATABASE_UNAVAILABLE
    desk.gateway = real
    await server.start()
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (1000, 1000)


async def test_nothing_is_sent_while_the_database_is_down(desk, server):
    order = await desk.subscription("approve")
    server.process.send_signal(signal.SIGQUIT)
    await server.process.wait()
    for mode in (Mode.SEND, Mode.RESEND):
        with pytest.raises(TeikiError) as lost:
            await desk.charge(order, mode, turn=1)
        assert lost.value.code is ErrorCode.DATABASE_UNAVAILABLE
    await server.start()
    assert await desk.sent(order) == []
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
