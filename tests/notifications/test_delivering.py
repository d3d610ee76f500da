"""Each event once to each endpoint that was there, in the order of its object, until it arrives or is given up."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter as Counted
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from standardwebhooks import Webhook

from activities.contracts.notifications import Delivered
from db import deliveries, endpoints
from db.engine import Database
from db.reads.endpoints import get_endpoint
from db.reads.notifications import NotificationFilter, get_notification, list_notifications
from domain.errors import ErrorCode, TeikiError
from domain.notifications import Answer
from tests.notifications.conftest import OTHER_SECRET, SEALER, SECRET, ids, said
from tests.notifications.merchant import merchant


async def test_an_event_arrives_signed_once_with_its_type_its_instant_and_its_data(counter):
    async with merchant(secret=SECRET) as shop:
        await counter.endpoint(shop.url)
        event = await counter.happens("sub_1", subscription_id="sub_1", number=7, note="定期")
        assert await counter.told() == Delivered(passed_on=1, delivered=1)
        assert await counter.told() == Delivered()
        [seen] = shop.arrived
    assert seen["id"] == f"ntf_{event}"
    assert (seen["type"], seen["data"]) == (
        "payment.settled",
        {"subscription_id": "sub_1", "number": 7, "note": "定期"},
    )
    assert seen["timestamp"].endswith("+00:00")
    assert abs(int(seen["at"]) - time.time()) < 60
    view = await get_notification(counter.db, event)
    assert view.body.encode() == seen["body"]
    [at_shop] = view.deliveries
    assert (at_shop.state, [(one.number, one.status) for one in at_shop.tries]) == ("delivered", [(1, 204)])


async def test_every_endpoint_gets_what_was_written_while_it_was_there_and_what_it_asked_for(counter):
    async with merchant() as early, merchant() as late, merchant() as choosy:
        await counter.endpoint(early.url)
        await counter.endpoint(choosy.url, "payment.failed", "order.*")
        first = await counter.happens("sub_1")
        failed = await counter.happens("sub_2", "payment.failed")
        await counter.endpoint(late.url)
        ordered = await counter.happens("ord_1", "order.status")
        done = await counter.told()
    assert ids(early) == [f"ntf_{event}" for event in (first, failed, ordered)]
    assert ids(late) == [f"ntf_{ordered}"]
    assert ids(choosy) == [f"ntf_{failed}", f"ntf_{ordered}"]
    assert done == Delivered(passed_on=3, delivered=6)


async def test_without_an_endpoint_events_are_passed_on_to_nobody_and_never_again(counter):
    await counter.happens("sub_1")
    assert await counter.told() == Delivered(passed_on=1)
    async with merchant() as shop:
        await counter.endpoint(shop.url)
        assert await counter.told() == Delivered()
    assert shop.arrived == []


async def test_endpoints_made_while_events_are_written_and_passed_on_miss_none_and_get_none_too_many(counter):
    async with merchant() as shop:
        written: list[int] = []

        async def writing() -> None:
            for _ in range(120):
                written.append(await counter.happens(f"sub_{len(written) % 7}"))

        async def making() -> None:
            for _ in range(10):
                await counter.endpoint(shop.url)

        async def passing() -> None:
            for _ in range(40):
                await deliveries.pass_on(counter.db, limit=5)

        await asyncio.gather(writing(), making(), passing(), passing())
        while await deliveries.pass_on(counter.db, limit=50):
            pass
    wanted = await counter.rows(
        "SELECT e.id, o.id AS event FROM endpoints e JOIN outbox o ON o.created_at >= e.created_at"
    )
    given = await counter.rows("SELECT endpoint_id AS id, event_id AS event FROM deliveries")
    assert Counted(map(str, given)) == Counted(map(str, wanted))
    assert {len(await counter.states(row["id"])) for row in wanted} != {120}, "nothing happened meanwhile"


class Hesitant(Database):
    """Stops before each commit until it is let go."""

    about_to_commit = asyncio.Event()
    let_go = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as cursor:
            yield cursor
            self.about_to_commit.set()
            await self.let_go.wait()


async def test_what_is_written_while_an_endpoint_is_being_made_waits_for_it(counter, db):
    slow = Hesitant.connect(db.engine.url.render_as_string(hide_password=False), pool_size=1)
    async with merchant() as shop:
        making = asyncio.create_task(
            endpoints.create_endpoint(
                slow,
                "end_slow",
                url=shop.url,
                topics=(),
                sealed_secret=SEALER.seal(SECRET, "end_slow"),
                said=said(),
            )
        )
        await slow.about_to_commit.wait()
        event = await counter.happens("sub_1")
        passing = asyncio.create_task(deliveries.pass_on(db, limit=10))
        assert not (await asyncio.wait({passing}, timeout=0.3))[0], (
            "it was passed on without the new endpoint"
        )
        slow.let_go.set()
        await asyncio.gather(making, passing)
        await counter.told()
    await slow.close()
    assert ids(shop) == [f"ntf_{event}"]


async def test_a_later_event_of_an_object_waits_for_the_earlier_one_and_others_do_not(counter):
    faults = iter([500])
    async with merchant(fault=lambda: next(faults, None)) as shop:
        endpoint = await counter.endpoint(shop.url)
        first, second = await counter.happens("sub_1"), await counter.happens("sub_1")
        await counter.told()
        other = await counter.happens("sub_2")
        assert await counter.states(endpoint) == ["waiting", "held"]
        await counter.told()
        assert await counter.states(endpoint) == ["waiting", "held", "delivered"]
        third = await counter.happens("sub_1")
        await counter.told()
        assert ids(shop) == [f"ntf_{other}"]
        await counter.pauses_pass()
        await counter.told()
    assert ids(shop) == [f"ntf_{event}" for event in (other, first, second, third)]
    [failed, arrived] = [seen for seen in shop.arrived if seen["id"] == f"ntf_{first}"]
    assert failed["body"] == arrived["body"]


async def test_after_three_days_it_is_given_up_and_later_events_go_on(counter):
    async with merchant(fault=lambda: 503) as shop:
        endpoint = await counter.endpoint(shop.url)
        await counter.happens("sub_1")
        await counter.told()
        await counter.happens("sub_1")
        gaps = []
        while (await counter.states(endpoint))[0] == "waiting":
            [row] = await counter.rows(
                "SELECT extract(epoch FROM next_at - clock_timestamp())::float8 AS gap,"
                " extract(epoch FROM tried_until - clock_timestamp())::float8 AS left"
                " FROM deliveries WHERE state = 'waiting'"
            )
            gaps.append(row["gap"])
            # Time passes: the deadline comes nearer by the pause, and the turn has come.
            await counter.rows(
                "UPDATE deliveries SET next_at = clock_timestamp(),"
                " tried_until = tried_until - make_interval(secs => %s) WHERE state = 'waiting' RETURNING 1 AS n",
                row["gap"],
            )
            await counter.told()
    hours = [round(gap / 3600, 1) for gap in gaps]
    assert len(gaps) == 9
    assert gaps[0] < 5.1
    assert hours[:8] == sorted(hours[:8])
    assert hours[7:] == pytest.approx([20, 20], abs=2.1)
    assert 2.2 * 24 < sum(hours) <= 3 * 24
    assert (await counter.states(endpoint))[0] == "given_up"
    assert (await counter.states(endpoint))[1] == "waiting"
    item = await get_endpoint(counter.db, endpoint)
    assert (item.given_up, item.waiting, item.state) == (1, 1, "enabled")
    assert item.failing_since is not None
    assert item.last_failure is not None
    assert item.last_failure.status == 503


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (302, 302, ""),
        (410, 410, ""),
        (500, 500, ""),
        ("hang up", None, "connection_lost"),
        ("hang", None, "timeout"),
        ("endless", 200, "answer_too_large"),
    ],
)
async def test_only_a_2xx_that_was_read_is_success_and_everything_else_is_shown(
    counter, fault, status, error
):
    async with merchant(fault=lambda: fault) as shop:
        endpoint = await counter.endpoint(shop.url)
        event = await counter.happens("sub_1")
        assert (await counter.told()).failed == 1
        assert [seen["id"] for seen in shop.arrived] == [f"ntf_{event}"], (
            "a redirect was followed, or a retry made"
        )
    [at_shop] = (await get_notification(counter.db, event)).deliveries
    assert [(one.status, one.error) for one in at_shop.tries] == [(status, error)]
    assert await counter.states(endpoint) == ["waiting"]
    assert (await get_endpoint(counter.db, endpoint)).failing_since is not None


async def test_nobody_there_is_a_failure_too(counter):
    async with merchant() as shop:
        await counter.endpoint(shop.url)
    event = await counter.happens("sub_1")
    await counter.told()
    [at_shop] = (await get_notification(counter.db, event)).deliveries
    assert [one.error for one in at_shop.tries] == ["connect_failed"]


async def test_a_slow_endpoint_holds_up_no_other(counter):
    async with merchant(fault=lambda: "hang") as slow, merchant() as quick:
        await counter.endpoint(slow.url)
        await counter.endpoint(quick.url)
        for number in range(60):
            await counter.happens(f"sub_{number}")
        telling = asyncio.create_task(counter.told())
        await quick.has(lambda shop: len(shop.taken) == 60, within_s=1.9)  # before the first one times out
        assert len(slow.arrived) == 8
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def test_couriers_beside_each_other_send_each_delivery_once(counter):
    async with merchant(fault=lambda: 0.01) as shop:
        await counter.endpoint(shop.url)
        for number in range(200):
            await counter.happens(f"sub_{number % 40}", n=number)
        await asyncio.gather(*(counter.told() for _ in range(4)))
        await counter.told()
    assert Counted(ids(shop)) == Counted(set(ids(shop)))
    assert len(shop.arrived) == 200
    for subject in range(40):
        numbers = [seen["data"]["n"] for seen in shop.arrived if seen["data"]["n"] % 40 == subject]
        assert numbers == sorted(numbers)


async def test_a_courier_that_died_leaves_its_delivery_to_the_next_after_the_lease(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        await counter.happens("sub_1")
        await deliveries.pass_on(counter.db, limit=10)
        [claimed] = await deliveries.claim(counter.db, lane=8, busy={})
        assert await deliveries.claim(counter.db, lane=8, busy={}) == []
        assert await counter.told() == Delivered()
        await counter.pauses_pass()
        assert await counter.told() == Delivered(delivered=1)
        # The dead one was only slow: what it says now changes nothing.
        assert await deliveries.record(counter.db, claimed, Answer(error="timeout")) is None
        assert await counter.states(endpoint) == ["delivered"]


async def test_a_failure_told_late_does_not_put_off_the_try_that_is_under_way(counter):
    async with merchant() as shop:
        await counter.endpoint(shop.url)
        await counter.happens("sub_1")
        await deliveries.pass_on(counter.db, limit=10)
        [first] = await deliveries.claim(counter.db, lane=8, busy={})
        await counter.pauses_pass()
        [second] = await deliveries.claim(counter.db, lane=8, busy={})
        assert await deliveries.record(counter.db, first, Answer(error="timeout")) is None
        assert await deliveries.record(counter.db, second, Answer(status=200)) == "delivered"
        assert await deliveries.record(counter.db, second, Answer(status=200)) is None


async def test_nothing_is_held_behind_what_is_finished_at_the_same_moment(counter):
    """Passing on and finishing meet, again and again; whatever wins, the last event arrives."""
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        for _ in range(25):
            await counter.happens("sub_1")
            await deliveries.pass_on(counter.db, limit=10)
            [claimed] = await deliveries.claim(counter.db, lane=8, busy={})
            await counter.happens("sub_1")
            await asyncio.gather(
                deliveries.record(counter.db, claimed, Answer(status=200)),
                deliveries.pass_on(counter.db, limit=10),
            )
            await counter.told()
            assert set(await counter.states(endpoint)) == {"delivered"}


async def test_a_rotated_secret_and_the_one_before_both_sign_for_a_day(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        new = SEALER.seal(OTHER_SECRET, endpoint)
        assert await endpoints.rotate_secret(counter.db, endpoint, sealed_secret=new, said=said())
        await counter.happens("sub_1")
        await counter.told()
        await counter.rows(
            "UPDATE endpoints SET old_secret_until = old_secret_until - interval '24 hours' RETURNING 1 AS n"
        )
        await counter.happens("sub_1")
        await counter.told()
    during, after = shop.arrived
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(during["body"], during["headers"])
    Webhook(OTHER_SECRET).verify(after["body"], after["headers"])
    assert len(after["headers"]["webhook-signature"].split()) == 1


async def test_a_secret_that_cannot_be_opened_sends_nothing_and_is_shown(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        await counter.rows("UPDATE endpoints SET id = id, sealed_secret = %s RETURNING 1 AS n", b"\x00" * 40)
        await counter.happens("sub_1")
        assert (await counter.told()).failed == 1
    assert shop.arrived == []
    failure = (await get_endpoint(counter.db, endpoint)).last_failure
    assert failure is not None
    assert failure.error == "secret_unreadable"


async def test_a_sealed_secret_opens_for_its_own_endpoint_only(counter):
    async with merchant() as shop:
        one, two = await counter.endpoint(shop.url), await counter.endpoint(shop.url)
        await counter.rows(
            "UPDATE endpoints SET sealed_secret = (SELECT sealed_secret FROM endpoints WHERE id = %s)"
            " WHERE id = %s RETURNING 1 AS n",
            one,
            two,
        )
        await counter.happens("sub_1")
        assert await counter.told() == Delivered(passed_on=1, delivered=1, failed=1)


async def test_what_is_switched_off_waits_and_comes_in_order_when_it_is_switched_on(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        await endpoints.disable_endpoint(counter.db, endpoint, said=said())
        events = [await counter.happens("sub_1") for _ in range(3)]
        assert await counter.told() == Delivered(passed_on=3)
        assert shop.arrived == []
        await endpoints.enable_endpoint(counter.db, endpoint, said=said())
        await counter.told()
    assert ids(shop) == [f"ntf_{event}" for event in events]


async def test_a_removed_endpoint_gets_nothing_and_forgets_its_secret(counter):
    async with merchant(fault=lambda: 500) as shop:
        endpoint = await counter.endpoint(shop.url)
        await counter.happens("sub_1")
        await counter.told()
        await counter.happens("sub_1")
        await counter.told()
        await endpoints.remove_endpoint(counter.db, endpoint, said=said())
        await counter.happens("sub_1")
        await counter.pauses_pass()
        await counter.told()
    assert len(shop.arrived) == 1
    assert await counter.states(endpoint) == ["dropped", "dropped"]
    [row] = await counter.rows("SELECT sealed_secret FROM endpoints WHERE id = %s", endpoint)
    assert row["sealed_secret"] == b""
    with pytest.raises(TeikiError) as refused:
        await endpoints.enable_endpoint(counter.db, endpoint, said=said())
    assert refused.value.code is ErrorCode.ENDPOINT_NOT_FOUND


async def test_a_person_sends_again_what_was_given_up_and_history_says_who(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        event = await counter.happens("sub_1")
        await counter.told()
        asked = said(actor="operator:mia", comment="their database was restored")
        for _ in range(2):  # the same request again sends nothing more
            assert await endpoints.resend(counter.db, event, endpoint_id=None, said=asked) == [endpoint]
            await counter.told()
        assert ids(shop) == [f"ntf_{event}"] * 2
        with pytest.raises(TeikiError) as refused:
            await endpoints.resend(counter.db, event, endpoint_id="end_other", said=said())
        assert refused.value.code is ErrorCode.NOTIFICATION_NOT_FOUND
    told = await counter.rows(
        "SELECT actor, comment, data FROM history WHERE subject_id = %s AND data->>'do' = 'resend'", endpoint
    )
    assert [(one["actor"], one["comment"]) for one in told] == [
        ("operator:mia", "their database was restored")
    ]
    assert told[0]["data"]["arguments"] == {"notification_id": f"ntf_{event}"}


async def test_lists_filter_by_object_payment_endpoint_and_state_page_by_page(counter):
    async with merchant() as shop:
        endpoint = await counter.endpoint(shop.url)
        for number in range(1, 6):
            await counter.happens("sub_1", number=number)
        await counter.happens("sub_2", number=1)
        await counter.told()
    pages, cursor = [], None
    while True:
        page = await list_notifications(
            counter.db, NotificationFilter(object_id="sub_1", state="delivered"), cursor=cursor, limit=2
        )
        pages.append([item.number for item in page.items])
        if (cursor := page.next_cursor) is None:
            break
    assert pages == [[5, 4], [3, 2], [1]]
    one = await list_notifications(counter.db, NotificationFilter(object_id="sub_1", number=4))
    assert [(item.number, item.endpoint_id, item.status) for item in one.items] == [(4, endpoint, 204)]
    nothing = await list_notifications(counter.db, NotificationFilter(endpoint_id=endpoint, state="given_up"))
    assert nothing.items == []
    assert json.loads(nothing.model_dump_json())["next_cursor"] is None
