"""The activities of a block, each run twice: the same answer, and nothing more is changed or sent."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from activities.blocking import BlockingActivities
from activities.contracts.blocking import ChangeBlocks, FindConcerned, Tell
from activities.engine_commands import EngineCommands
from domain.declines import DeclineCode
from domain.unresolved import Mode
from tests.activities.conftest import Desk
from tests.db.house import NOW, unique


@dataclass
class Commands(EngineCommands):
    """What subscriptions and slips are told; one has ended, one cannot be reached at first."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    ended: str = "sub_ended"
    down: int = 0

    async def command_subscription(self, subscription_id: str, update: str, **command: str) -> bool:
        if self.down:
            self.down -= 1
            raise ConnectionError("the engine is away")
        if subscription_id == self.ended:
            return False
        said = (subscription_id, update, command["request_id"])
        if said not in self.told:
            self.told.append(said)
        return True

    async def drop_slip(self, deposit_id: str, *, reason: str) -> bool:
        self.told.append((deposit_id, "not_wanted", reason))
        return True


async def test_a_block_changes_its_details_once(desk: Desk):
    tenant = await desk.house.tenant(email=f"{unique('ann')}@example.com")
    blocking = BlockingActivities(desk.db, Commands())
    order = ChangeBlocks(
        run_id="run-1",
        request_id=unique("req"),
        customer_id=tenant.customer_id,
        do="block_all",
        at=NOW,
        actor="operator:desk",
    )
    first = await desk.run(blocking.change, order)
    events = "SELECT count(*) AS n FROM history WHERE data->>'do' IN ('block', 'block_all')"
    before = await desk.house.row(events)
    assert await desk.run(blocking.change, order) == first
    assert await desk.house.row(events) == before
    assert (first.outcome, len(first.changed)) == ("recorded", 3)


async def test_each_is_told_once_also_when_the_engine_was_away_half_way(desk: Desk):
    commands = Commands(down=1)
    blocking = BlockingActivities(desk.db, commands)
    ids = ("kon_1", "sub_1", "sub_2", "sub_ended")
    order = Tell(run_id="run-1", do="block_all", ids=ids, actor="operator:desk")
    with pytest.raises(ConnectionError):
        await desk.run(blocking.tell, order)
    first = await desk.run(blocking.tell, order)
    assert await desk.run(blocking.tell, order) == first
    assert (first.subscriptions, first.slips, first.left) == (2, 1, 1)
    to_subscriptions = [said for said in commands.told if said[0].startswith("sub_")]
    assert sorted(to_subscriptions) == [
        ("sub_1", "block", "blocking-run-1"),
        ("sub_2", "block", "blocking-run-1"),
    ]


async def test_who_is_concerned_is_read_and_nothing_else(desk: Desk):
    order = await desk.subscription("approve")
    asked = FindConcerned(customer_id=order.spec.customer_id, do="block_all", at=NOW)
    blocking = BlockingActivities(desk.db, Commands())
    found = await desk.run(blocking.concerned, asked)
    assert found == await desk.run(blocking.concerned, asked)
    assert (found.ids, found.is_last) == ((order.subscription_id,), True)


async def test_a_charge_that_was_in_flight_when_the_block_came_is_found_and_booked(desk: Desk):
    """It had left before: what the gateway charged is ours to know, and nothing is sent again."""
    order = await desk.subscription("timeout_then_approved")
    lost = await desk.charge(order)
    assert lost.outcome in ("unknown", "settled")
    await desk.house.block(order.spec.customer_id, do="block_all")
    routes = await desk.sent(order)
    found = await desk.charge_twice(order, Mode.ASK, turn=1)
    assert found.outcome == "settled"
    assert await desk.sent(order) == routes
    assert await desk.settled(order) == (1000, 1000)


async def test_a_block_that_commits_between_the_question_and_the_second_sending_holds_it_back(desk: Desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    real = desk.gateway

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        async def lookup(self, reference: str) -> object:
            found = await real.lookup(reference)
            await desk.house.block(order.spec.customer_id, order.spec.payment_method_id)
            return found

    desk.gateway = Slow()
    blocked = await desk.charge(order, Mode.RESEND, turn=1)
    assert (blocked.outcome, blocked.decline) == ("declined", DeclineCode.PAYMENT_METHOD_BLOCKED)
    desk.gateway = real
    assert await desk.sent(order) == ["charge"]
