"""Working off the webhooks' inbox: once each, by whoever comes first, also after a crash, and never for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.contracts.webhooks import HandedOver, HandOver
from activities.webhooks import WebhooksActivities
from db import webhook_inbox
from domain.errors import ErrorCode, TeikiError
from domain.notices import TRIES_MAX, GatewayNotice
from domain.unresolved import Mode


@dataclass
class Ear:
    """Stands for the workflows: remembers who was told what, and fails or is not there when told to."""

    failing: Exception | None = None
    running: bool = True
    heard: list[tuple[str, GatewayNotice]] = field(default_factory=list)

    async def tell(self, workflow_id: str, notice: GatewayNotice) -> bool:
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        self.heard.append((workflow_id, notice))
        return self.running


@pytest.fixture
async def ear(db) -> Ear:
    async with db.connection() as driver:
        await driver.execute("DELETE FROM webhook_inbox")
    return Ear()


async def arrived(db, reference: str, **more) -> int:
    stored = await webhook_inbox.store(
        db,
        **{
            "gateway": "sandbox",
            "event_id": f"evt_{uuid4().hex}",
            "kind": "charge.settled",
            "reference": reference,
            "gateway_id": "ch_1",
            "body": b"{}",
            **more,
        },
    )
    assert stored is not None
    return stored


async def worked_off(db, ear: Ear, **order) -> HandedOver:
    return await ActivityEnvironment().run(WebhooksActivities(db, ear.tell).hand_over, HandOver(**order))


async def row(db, inbox_id: int) -> dict:
    return await db.fetch_one(
        "SELECT *, extract(epoch FROM next_at - clock_timestamp())::float8 AS due_in_s"
        " FROM webhook_inbox WHERE id = %s",
        [inbox_id],
    )


async def let_pass(db) -> None:
    """Every pause is over."""
    async with db.connection() as driver:
        await driver.execute("UPDATE webhook_inbox SET next_at = clock_timestamp() WHERE state = 'waiting'")


async def test_run_twice_it_tells_once(db, ear):
    one, two = await arrived(db, "sub_1/1/1"), await arrived(db, "ord_2/1/1")
    assert await worked_off(db, ear) == HandedOver(handled=2)
    assert await worked_off(db, ear) == HandedOver(handled=0)
    assert [(who, notice.reference) for who, notice in ear.heard] == [
        ("subscription/sub_1", "sub_1/1/1"),
        ("order/ord_2", "ord_2/1/1"),
    ]
    for inbox_id in (one, two):
        found = await row(db, inbox_id)
        assert (found["state"], found["attempts"]) == ("told", 1)
        assert found["handled_at"]


async def test_many_at_once_tell_each_once(db, ear):
    for number in range(130):
        await arrived(db, f"sub_{number}/1/1")
    done = await asyncio.gather(*(worked_off(db, ear) for _ in range(4)))
    assert sum(one.handled for one in done) == 130
    assert set(Counter(who for who, _ in ear.heard).values()) == {1}


async def test_the_same_event_arrives_once_and_without_an_id_its_body_tells(db, ear):
    known = {"gateway": "sandbox", "kind": "", "reference": "", "gateway_id": ""}
    for event_id in ("evt_same", ""):
        first = await webhook_inbox.store(db, event_id=event_id, body=b"one", **known)
        again = await webhook_inbox.store(db, event_id=event_id, body=b"one", **known)
        assert (first is not None, again) == (True, None)
    assert await webhook_inbox.store(db, event_id="", body=b"two", **known) is not None
    elsewhere = {**known, "gateway": "another"}
    assert await webhook_inbox.store(db, event_id="evt_same", body=b"one", **elsewhere) is not None


async def test_a_run_that_died_after_its_claim_leaves_the_row_to_a_later_one(db, ear):
    inbox_id = await arrived(db, "sub_1/1/1")
    assert len(await webhook_inbox.claim(db, limit=10)) == 1  # … and dies
    assert await worked_off(db, ear) == HandedOver()
    assert 50 < (await row(db, inbox_id))["due_in_s"] <= 60
    await let_pass(db)
    assert await worked_off(db, ear) == HandedOver(handled=1)
    assert len(ear.heard) == 1


async def test_a_run_that_died_before_its_mark_tells_again(db, ear):
    await arrived(db, "sub_1/1/1")
    [claimed] = await webhook_inbox.claim(db, limit=10)
    await ear.tell("subscription/sub_1", GatewayNotice(gateway_id="ch_1", reference=claimed.reference))
    await let_pass(db)
    assert await worked_off(db, ear) == HandedOver(handled=1)
    assert len(ear.heard) == 2, "at least once; to be told twice is to ask twice"


async def test_pauses_grow_and_in_the_end_it_waits_for_people_who_may_try_anew(db, ear):
    inbox_id = await arrived(db, "sub_1/1/1")
    ear.failing = TeikiError(ErrorCode.ENGINE_UNAVAILABLE, "away")
    pauses = []
    for _ in range(TRIES_MAX):
        assert await worked_off(db, ear) == HandedOver(waiting=1)
        found = await row(db, inbox_id)
        assert found["last_error"] == "engine_unavailable"
        pauses.append(round(found["due_in_s"] / 60))
        await let_pass(db)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert await worked_off(db, ear) == HandedOver(parked=1)
    ear.failing = None
    assert await worked_off(db, ear) == HandedOver()
    assert (await row(db, inbox_id))["state"] == "parked"
    assert await worked_off(db, ear, parked_too=True) == HandedOver(handled=1)
    assert (await row(db, inbox_id))["last_error"] == ""


async def test_one_that_fails_does_not_hold_up_the_others(db, ear):
    class Picky(Ear):
        async def tell(self, workflow_id, notice):
            if workflow_id == "subscription/sub_1":
                raise ConnectionError("not this one")
            return await super().tell(workflow_id, notice)

    picky = Picky()
    bad, good = await arrived(db, "sub_1/1/1"), await arrived(db, "sub_2/1/1")
    assert await worked_off(db, picky) == HandedOver(handled=1, waiting=1)
    assert (await row(db, bad))["last_error"] == "ConnectionError"
    assert (await row(db, good))["state"] == "told"


@pytest.mark.parametrize(
    ("reference", "running", "state"),
    [
        ("sub_1/1/1", False, "nobody_waits"),
        ("", True, "unaddressed"),
        ("mine", True, "unaddressed"),
        ("cus_1/1/1", True, "unaddressed"),
        ("sub_A' OR 1/1/1", True, "unaddressed"),
        ("sub_", True, "unaddressed"),
    ],
)
async def test_who_cannot_hear_is_written_down(db, ear, reference, running, state):
    ear.running = running
    inbox_id = await arrived(db, reference)
    assert await worked_off(db, ear) == HandedOver(handled=1)
    assert (await row(db, inbox_id))["state"] == state


async def test_an_attempt_that_the_books_have_decided_wakes_nobody(desk, db, ear):
    order = await desk.subscription("approve")
    await desk.charge(order)
    inbox_id = await arrived(db, f"{order.subscription_id}/1/1")
    assert await worked_off(db, ear) == HandedOver(handled=1)
    assert (await row(db, inbox_id))["state"] == "decided"
    assert ear.heard == []


async def test_an_attempt_in_doubt_wakes_its_workflow(desk, db, ear):
    order = await desk.subscription("pending")
    await desk.charge(order, Mode.SEND)
    assert (await desk.attempt(order))["state"] == "pending"
    await arrived(db, f"{order.subscription_id}/1/1")
    assert await worked_off(db, ear) == HandedOver(handled=1)
    assert [who for who, _ in ear.heard] == [f"subscription/{order.subscription_id}"]


async def test_a_request_that_is_on_its_way_is_let_be_and_looked_at_again(desk, db, ear):
    order = await desk.subscription("pending")
    await desk.charge(order, Mode.SEND)
    async with db.connection() as driver:
        await driver.execute(
            "UPDATE attempts SET state = 'sent' WHERE object_id = %s", [order.subscription_id]
        )
    inbox_id = await arrived(db, f"{order.subscription_id}/1/1")
    assert await worked_off(db, ear) == HandedOver(waiting=1)
    assert ear.heard == []
    assert (await row(db, inbox_id))["state"] == "waiting"


async def test_only_handled_rows_that_are_old_are_deleted(db, ear):
    ages = {"sub_1/1/1": 31, "sub_2/1/1": 29}
    for reference in ages:
        await arrived(db, reference)
    await worked_off(db, ear)
    ages["sub_3/1/1"] = 90
    await arrived(db, "sub_3/1/1")  # never handled, however old
    async with db.connection() as driver:
        for reference, days in ages.items():
            await driver.execute(
                "UPDATE webhook_inbox SET received_at = received_at - make_interval(days => %(days)s),"
                " handled_at = handled_at - make_interval(days => %(days)s) WHERE reference = %(reference)s",
                {"days": days, "reference": reference},
            )
    assert (await worked_off(db, ear)).has_old
    clear_out = WebhooksActivities(db, ear.tell).clear_out
    assert [await ActivityEnvironment().run(clear_out) for _ in range(2)] == [1, 0]
    left = await db.fetch_one("SELECT array_agg(reference ORDER BY reference) AS refs FROM webhook_inbox", {})
    assert left["refs"] == ["sub_2/1/1", "sub_3/1/1"]
