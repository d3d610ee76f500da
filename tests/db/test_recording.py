"""Opening and recording: refused by name, written once, whatever is asked twice."""

import asyncio
from datetime import timedelta

import pytest

from activities.contracts.records import CardLink
from db.attempts import decline_attempt
from db.reads.requests import find_request
from db.requests import CREATE_SCOPE, operation_scope
from db.subscriptions import attach_card_form, find_card_link, open_subscription, record, use_card_link
from domain.errors import ErrorCode, TeikiError
from domain.resume import Skipped
from tests.db.house import NOW, House, charge_key, happening, transition, unique


async def test_opening_writes_the_row_its_history_and_the_outbox(house: House):
    order = await house.subscription(metadata={"plan": "gold"}, zone="Europe/Berlin")
    stored = await house.everything(order.subscription_id)
    (row,) = stored["subscription"]
    assert (row["status"], row["currency"], row["period"], row["zone"]) == (
        "unverified",
        "JPY",
        "monthly",
        "Europe/Berlin",
    )
    assert (row["metadata"], row["next_kind"], row["created_at"]) == ({"plan": "gold"}, "payment", NOW)
    assert row["terms"] == order.terms.model_dump(mode="json")
    operation, status = stored["history"]
    assert (operation["kind"], operation["data"]["do"], operation["actor"]) == (
        "operation",
        "create",
        "operator:desk",
    )
    assert status["data"] == {"from": None, "to": "unverified", "reason": "created"}
    assert [n["topic"] for n in stored["outbox"]] == ["subscription.operation", "subscription.status"]


async def test_opening_twice_is_opened_twice_and_written_once(house: House):
    order = await house.subscription()
    before = await house.everything(order.subscription_id)
    again = await open_subscription(house.db, order)
    assert (again.outcome, again.subscription_id) == ("opened", order.subscription_id)
    assert await house.everything(order.subscription_id) == before


async def test_a_repeated_request_finds_the_earlier_subscription(house: House):
    order = await house.subscription()
    repeated = order.model_copy(update={"subscription_id": unique("sub")})
    answer = await open_subscription(house.db, repeated)
    assert (answer.outcome, answer.subscription_id) == ("duplicate", order.subscription_id)
    found = await find_request(house.db, CREATE_SCOPE, order.request_id)
    assert found is not None
    assert found.subject_id == order.subscription_id


async def test_the_same_request_id_with_another_content_is_refused(house: House):
    tenant = await house.tenant()
    order = await house.subscription(tenant)
    other = house.opening(tenant, request_id=order.request_id, period="weekly")
    answer = await open_subscription(house.db, other)
    assert (answer.outcome, answer.code) == ("refused", "request_id_conflict")


async def test_of_many_same_requests_at_once_one_opens(house: House):
    order = house.opening(await house.tenant())
    orders = [order.model_copy(update={"subscription_id": unique("sub")}) for _ in range(6)]
    answers = await asyncio.gather(*(open_subscription(house.db, each) for each in orders))
    assert sorted(answer.outcome for answer in answers) == ["duplicate"] * 5 + ["opened"]
    assert len({answer.subscription_id for answer in answers}) == 1


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"customer_id": "cus_none"}, "customer_not_found"),
        ({"product_id": "prod_none"}, "product_not_found"),
        ({"payment_method_id": "pm_none"}, "payment_method_not_found"),
        ({"payment_method_id": "other"}, "payment_method_of_other_customer"),
        ({"payment_method_id": "konbini"}, "payment_method_not_card"),
        ({"payment_method_id": "blocked"}, "payment_method_blocked"),
    ],
)
async def test_an_opening_that_cannot_be_is_refused_and_leaves_nothing(house: House, spec, code):
    tenant = await house.tenant()
    named = {
        "other": (await house.tenant()).card_id,
        "konbini": await house.card(tenant.customer_id, kind="konbini", brand="", last_four=""),
        "blocked": await house.card(tenant.customer_id),
    }
    await house.block(tenant.customer_id, named["blocked"])
    order = house.opening(tenant)
    changed = {name: named.get(value, value) for name, value in spec.items()}
    wrong = order.model_copy(update={"spec": order.spec.model_copy(update=changed)})
    answer = await open_subscription(house.db, wrong)
    assert (answer.outcome, answer.code) == ("refused", code)
    assert answer.facts
    assert not any((await house.everything(order.subscription_id)).values())
    # The request id is free again: the corrected request goes through.
    assert (await open_subscription(house.db, order)).outcome == "opened"


async def test_a_blocked_customer_opens_nothing(house: House):
    tenant = await house.tenant()
    await house.block(tenant.customer_id, tenant.customer_id)
    assert (await open_subscription(house.db, house.opening(tenant))).code == "customer_blocked"


async def test_an_operation_is_recorded_with_what_it_changed(house: House):
    order = await house.subscription()
    suspend = happening(
        order,
        request_id=unique("req"),
        operation="suspend",
        comment="asked by phone",
        arguments={"reason": "moving"},
        row={"status": "suspended", "reason": "suspended_by_operator", "next_kind": None, "next_at": None},
        moves=[transition("current", "suspended", "suspended_by_operator")],
    )
    assert (await record(house.db, suspend, event_key=unique("event"))).outcome == "recorded"
    stored = await house.everything(order.subscription_id)
    assert (stored["subscription"][0]["status"], stored["subscription"][0]["next_at"]) == ("suspended", None)
    operation, status = stored["history"][-2:]
    assert operation["data"] == {
        "do": "suspend",
        "arguments": {"reason": "moving"},
        "request_id": suspend.request_id,
    }
    assert (operation["comment"], operation["actor"]) == ("asked by phone", "operator:desk")
    assert status["data"] == {"from": "current", "to": "suspended", "reason": "suspended_by_operator"}
    topics = [notice["topic"] for notice in stored["outbox"][-2:]]
    assert topics == ["subscription.operation", "subscription.status"]


async def test_recording_twice_under_one_event_key_changes_nothing(house: House):
    order = await house.subscription()
    key = unique("event")
    first = happening(order, row={"status": "unpaid"}, moves=[transition("current", "unpaid")], payment=3)
    await record(house.db, first, event_key=key)
    before = await house.everything(order.subscription_id)
    late = happening(order, row={"status": "current"}, moves=[transition("unpaid", "current")])
    assert (await record(house.db, late, event_key=key)).outcome == "recorded"
    assert await house.everything(order.subscription_id) == before


async def test_skips_alone_are_guarded_by_the_event_key_too(house: House):
    order = await house.subscription()
    key = unique("event")
    await house.settled(order, 1)
    skip = happening(order, skipped=[Skipped(first=1, last=4, reason="next_cycle")])
    await asyncio.gather(*(record(house.db, skip, event_key=key) for _ in range(4)))
    events = (await house.everything(order.subscription_id))["history"]
    assert [event["event_key"] for event in events if event["event_key"]] == [key]
    assert [event["number"] for event in events if event["kind"] == "skip"] == [2, 3, 4]


async def test_a_repeated_operation_is_a_duplicate_and_another_one_a_conflict(house: House):
    order = await house.subscription()
    asked = happening(order, request_id=unique("req"), operation="suspend", row={"status": "suspended"})
    assert (await record(house.db, asked, event_key=unique("event"))).outcome == "recorded"
    before = await house.everything(order.subscription_id)
    assert (await record(house.db, asked, event_key=unique("event"))).outcome == "duplicate"
    other = asked.model_copy(update={"operation": "cancel"})
    refused = await record(house.db, other, event_key=unique("event"))
    assert (refused.outcome, refused.code) == ("refused", "request_id_conflict")
    assert await house.everything(order.subscription_id) == before
    assert asked.request_id is not None
    assert await find_request(house.db, operation_scope(order.subscription_id), asked.request_id)


async def test_skipped_payments_are_dated_by_the_terms_and_the_open_one_is_given_up(house: House):
    order = await house.subscription()
    await house.settled(order, 1)
    await house.begin(order, 2)
    await decline_attempt(
        house.db, key=charge_key(order.subscription_id, 2, 1), decline="insufficient_funds", at=NOW
    )
    skip = happening(order, skipped=[Skipped(first=1, last=2500, reason="next_cycle")])
    await record(house.db, skip, event_key=unique("event"))
    stored = await house.everything(order.subscription_id)
    states = [payment["state"] for payment in stored["payments"]]
    assert states == ["settled"] + ["skipped"] * 2499
    assert stored["payments"][2]["due_at"] == order.terms.calendar.due(2)
    assert stored["payments"][2499]["due_at"] == order.terms.calendar.due(2499)
    skips = [event for event in stored["history"] if event["kind"] == "skip"]
    assert [event["number"] for event in skips] == list(range(2, 2501))
    assert skips[0]["data"]["reason"] == "next_cycle"


async def test_a_cancellation_fails_what_was_being_collected_unless_it_is_in_flight(house: House):
    order = await house.subscription()
    await house.begin(order, 1)
    await decline_attempt(
        house.db, key=charge_key(order.subscription_id, 1, 1), decline="insufficient_funds", at=NOW
    )
    await house.begin(order, 2)
    cancel = happening(order, row={"status": "canceled"}, moves=[transition("unpaid", "canceled")])
    await record(house.db, cancel, event_key=unique("event"))
    payments = (await house.everything(order.subscription_id))["payments"]
    assert [payment["state"] for payment in payments] == ["failed", "collecting"]


async def test_a_block_that_stopped_a_charge_is_told_by_history(house: House):
    order = await house.subscription()
    stop = happening(
        order,
        actor="system",
        payment=1,
        decline="customer_blocked",
        row={"status": "suspended"},
        moves=[transition("current", "suspended", "blocked")],
    )
    await record(house.db, stop, event_key=unique("event"))
    payment, status = (await house.everything(order.subscription_id))["history"][-2:]
    assert (payment["kind"], payment["data"]) == (
        "payment",
        {"outcome": "blocked", "decline": "customer_blocked"},
    )
    assert (status["number"], status["data"]["decline"]) == (1, "customer_blocked")


async def test_a_new_card_is_checked_before_it_is_taken(house: House):
    order = await house.subscription()
    mine = await house.card(order.spec.customer_id)
    theirs = (await house.tenant()).card_id
    refused = await record(house.db, happening(order, payment_method_id=theirs), event_key=unique("event"))
    assert (refused.outcome, refused.code) == ("refused", "payment_method_of_other_customer")
    changed = happening(order, operation="change_card", payment_method_id=mine)
    assert (await record(house.db, changed, event_key=unique("event"))).outcome == "recorded"
    assert (await house.everything(order.subscription_id))["subscription"][0]["payment_method_id"] == mine


async def test_recording_for_nobody_is_refused(house: House):
    order = house.opening(await house.tenant())
    answer = await record(house.db, happening(order), event_key=unique("event"))
    assert answer.code == "subscription_not_found"


async def link(house: House, order, *, days=7) -> str:
    token_hash = unique("hash")
    issued = CardLink(token_hash=token_hash, expires_at=NOW + timedelta(days=days))
    asked = happening(order, operation="card_change_link", link=issued)
    assert (await record(house.db, asked, event_key=unique("event"))).outcome == "recorded"
    return token_hash


async def why_unusable(house: House, token_hash, now=NOW):
    with pytest.raises(TeikiError) as caught:
        await use_card_link(house.db, token_hash, now)
    assert caught.value.code is ErrorCode.LINK_NOT_USABLE
    return caught.value.facts["why"]


async def test_a_card_link_works_once_and_looking_does_not_use_it(house: House):
    order = await house.subscription()
    token_hash = await link(house, order)
    for _ in range(2):
        found = await find_card_link(house.db, token_hash)
        assert found is not None
        assert found.why_unusable(NOW) is None
    await attach_card_form(house.db, token_hash, "form_1", NOW)
    used = await asyncio.gather(
        *(use_card_link(house.db, token_hash, NOW) for _ in range(6)), return_exceptions=True
    )
    winners = [each for each in used if not isinstance(each, BaseException)]
    assert [(each.subscription_id, each.form_id) for each in winners] == [(order.subscription_id, "form_1")]
    assert await why_unusable(house, token_hash) == "used"
    with pytest.raises(TeikiError):
        await attach_card_form(house.db, token_hash, "form_2", NOW)
    events = [event["data"] for event in (await house.everything(order.subscription_id))["history"]]
    assert events.count({"outcome": "used"}) == 1


async def test_a_new_link_voids_the_old_one_and_links_expire(house: House):
    order = await house.subscription()
    old, new = await link(house, order), await link(house, order)
    assert await why_unusable(house, old) == "revoked"
    assert await why_unusable(house, new, NOW + timedelta(days=7)) == "expired"
    assert await why_unusable(house, "nothing") == "unknown"
    assert (await use_card_link(house.db, new, NOW)).subscription_id == order.subscription_id
