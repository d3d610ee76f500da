"""`billing.charge`, run twice at every interesting point: the same answer, one effect (spec: charging.md §2)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from db.attempts import begin_attempt, claim_resend
from domain.declines import DeclineCode
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import charge_reference, idempotency_key
from domain.money import Money
from domain.unresolved import Mode
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.ports import free_ports
from tests.db.house import NOW, charge_key

pytestmark = pytest.mark.xdist_group("activities")

PRICE = Money(minor=1000, currency="JPY")


async def begin(desk, order, *, at=NOW):
    """The intent alone, as a run leaves it that dies before the call."""
    return await desk.house.begin(order, at=at)


async def charge_by_hand(desk, order, *, key: str | None = None):
    reference = charge_reference(order.subscription_id, 1, 1)
    token = (await begin(desk, order)).token
    return await desk.gateway.charge(
        token=token,
        amount=PRICE,
        reference=reference,
        idempotency_key=key or idempotency_key("charge", reference),
    )


async def break_charges(desk, fault: str, *, route: str = "charge", times: int | None = None, order=None):
    rule = {"fault": fault, "route": route}
    if times is not None:
        rule["times"] = times
    if order is not None:
        rule["reference_prefix"] = order.subscription_id
    await desk.remote.faults(rule)


# ---------------------------------------------------------------------- a definite answer


async def test_a_charge_that_settles_is_written_down_once(desk):
    order = await desk.subscription("approve")
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (1000, 1000)
    assert await desk.kinds(order) == ["payment", "status"]
    row = await desk.house.row(
        "SELECT status, charges FROM subscriptions WHERE id = %s", order.subscription_id
    )
    assert row == {"status": "current", "charges": 1}


async def test_a_decline_is_written_down_once_and_the_next_attempt_has_another_key(desk):
    order = await desk.subscription({"decline": "insufficient_funds"}, "approve")
    declined = await desk.charge_twice(order)
    assert (declined.outcome, declined.decline) == ("declined", DeclineCode.INSUFFICIENT_FUNDS)
    assert (await desk.charge_twice(order, attempt=2)).outcome == "settled"
    assert (await desk.sent(order), await desk.sent(order, attempt=2)) == (["charge"], ["charge"])
    assert await desk.settled(order) == (1000, 1000)


@pytest.mark.parametrize(
    "item", ["timeout_then_approved", "server_error_then_approved", "malformed_then_approved"]
)
async def test_a_lost_answer_is_looked_up_at_once(desk, item):
    order = await desk.subscription(item)
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (1000, 1000)


async def test_an_answer_about_another_amount_is_not_believed_but_looked_up(desk):
    order = await desk.subscription("approve")
    await break_charges(desk, "wrong_amount_echoed", order=order)
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_two_workers_with_the_same_task_send_one_request(desk):
    order = await desk.subscription("approve")
    results = await asyncio.gather(*(desk.charge(order) for _ in range(6)))
    assert {result.outcome for result in results} <= {"settled", "unknown"}
    assert (await desk.charge(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (1000, 1000)


# ---------------------------------------------------------------------- a crash in between


async def test_after_a_crash_before_the_call_the_activity_asks_and_does_not_send(desk):
    order = await desk.subscription("approve")
    await begin(desk, order)
    unknown = await desk.charge_twice(order)
    assert (unknown.outcome, unknown.horizon_s, unknown.key_ttl_s) == ("unknown", 600, 82_800)
    assert unknown.resent, "the dead run may have sent just now: the horizon counts from here"
    assert await desk.sent(order) == []


async def test_after_a_crash_between_the_call_and_the_books_the_charge_is_found(desk):
    order = await desk.subscription("approve")
    await charge_by_hand(desk, order)
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (1000, 1000)


async def test_after_a_crash_between_the_claim_and_the_resend_nothing_is_sent_in_that_turn(desk):
    order = await desk.subscription("timeout", "approve")
    assert (await desk.charge(order)).outcome == "unknown"
    assert (await claim_resend(desk.db, key=charge_key(order.subscription_id, 1, 1), turn=7)).taken
    unsure = await desk.charge_twice(order, Mode.RESEND, turn=7)
    assert (unsure.outcome, unsure.resent) == ("unknown", True)
    assert await desk.sent(order) == ["charge"]
    assert (await desk.charge_twice(order, Mode.RESEND, turn=8)).outcome == "settled"
    assert await desk.sent(order) == ["charge", "charge"]
    assert await desk.settled(order) == (1000, 1000)


# ---------------------------------------------------------------------- unknown


async def test_an_unknown_outcome_is_asked_about_however_often_and_never_sent_again(desk):
    order = await desk.subscription("timeout")
    unknown = await desk.charge_twice(order)
    assert (unknown.outcome, unknown.resent) == ("unknown", True)
    asked = await desk.charge_twice(order, Mode.ASK, turn=1)
    assert (asked.outcome, asked.resent) == ("unknown", False)
    assert await desk.sent(order) == ["charge"]
    assert (await desk.attempt(order))["state"] == "unknown"


async def test_a_resend_goes_out_once_under_the_same_key(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    assert (await desk.charge_twice(order, Mode.RESEND, turn=1)).outcome == "settled"
    first, second = await desk.remote.requests(charge_reference(order.subscription_id, 1, 1))
    assert first["idempotency_key"] == second["idempotency_key"]
    assert await desk.settled(order) == (1000, 1000)


async def test_a_resend_that_is_lost_too_is_not_repeated_by_a_second_run(desk):
    order = await desk.subscription("approve")
    await break_charges(desk, "drop_before", times=2, order=order)
    await desk.charge(order)
    assert (await desk.charge_twice(order, Mode.RESEND, turn=1)).outcome == "unknown"
    assert await desk.sent(order) == ["charge", "charge"]
    assert (await desk.charge_twice(order, Mode.RESEND, turn=2)).outcome == "settled"
    assert await desk.sent(order) == ["charge", "charge", "charge"]


async def test_a_resend_the_gateway_would_not_take_leaves_the_first_request_in_doubt(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    await break_charges(desk, "rate_limit_429", order=order)
    refused = await desk.charge(order, Mode.RESEND, turn=1)
    assert (refused.outcome, refused.resent) == ("unknown", False)
    assert (await desk.attempt(order))["state"] == "unknown"


async def test_what_arrived_late_is_found_instead_of_sent_again(desk):
    order = await desk.subscription("timeout", "approve")
    await desk.charge(order)
    reference = charge_reference(order.subscription_id, 1, 1)
    token = await desk.house.row(
        "SELECT token FROM payment_methods WHERE id = %s", order.spec.payment_method_id
    )
    await desk.gateway.charge(
        token=token["token"],
        amount=PRICE,
        reference=reference,
        idempotency_key=charge_key(order.subscription_id, 1, 1),
    )
    assert (await desk.charge_twice(order, Mode.RESEND, turn=1)).outcome == "settled"
    assert await desk.sent(order) == ["charge", "charge"]
    row = await desk.attempt(order)
    assert row["needs_verification"], "an answer was ambiguous before it settled (charging.md §2.5)"


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.RESEND, Mode.GIVE_UP])
@pytest.mark.parametrize("fault", ["drop_before", "error_before", "malformed"])
async def test_a_gateway_that_cannot_be_asked_proves_nothing(desk, mode, fault):
    """The money has moved and only the look-up is down: neither “never arrived” nor another request."""
    order = await desk.subscription("approve")
    await charge_by_hand(desk, order)
    await break_charges(desk, fault, route="lookup", order=order)
    unsure = await desk.charge(order, mode, turn=1)
    assert (unsure.outcome, unsure.resent) == ("unknown", False)
    assert await desk.sent(order) == ["charge"]
    await desk.remote.faults()
    assert (await desk.charge_twice(order, mode, turn=2)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_giving_up_what_never_arrived_is_a_decline_of_its_own_name(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    given_up = await desk.charge_twice(order, Mode.GIVE_UP, turn=1)
    assert (given_up.outcome, given_up.decline) == ("declined", DeclineCode.NEVER_ARRIVED)
    assert await desk.sent(order) == ["charge"]
    assert await desk.settled(order) == (0, 0)


# ---------------------------------------------------------------------- pending, unsent, blocked, wrong turns


async def test_a_pending_charge_is_asked_about_by_its_own_id(desk):
    order = await desk.subscription("pending")
    assert (await desk.charge_twice(order)).outcome == "pending"
    assert (await desk.charge_twice(order, Mode.ASK, turn=1)).outcome == "pending"
    assert (await desk.attempt(order))["state"] == "pending"
    assert await desk.sent(order) == ["charge"]


async def test_a_pending_charge_that_is_approved_settles_once(desk):
    order = await desk.subscription("pending_then_approved")
    assert (await desk.charge(order)).outcome == "pending"
    assert (await desk.charge(order, Mode.ASK, turn=1)).outcome == "pending"
    assert (await desk.charge_twice(order, Mode.ASK, turn=2)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_giving_up_a_pending_charge_voids_it_at_the_gateway(desk):
    order = await desk.subscription("pending")
    await desk.charge(order)
    given_up = await desk.charge_twice(order, Mode.GIVE_UP, turn=1)
    assert (given_up.outcome, given_up.decline) == ("declined", DeclineCode.PENDING_EXPIRED)
    assert await desk.sent(order) == ["charge", "void"]
    assert await desk.settled(order) == (0, 0)


async def test_a_void_whose_answer_was_lost_ends_in_the_same_words(desk):
    order = await desk.subscription("pending")
    await desk.charge(order)
    await break_charges(desk, "drop_after", route="void", order=order)
    assert (await desk.charge(order, Mode.GIVE_UP, turn=1)).outcome == "pending"
    given_up = await desk.charge_twice(order, Mode.GIVE_UP, turn=2)
    assert (given_up.outcome, given_up.decline) == ("declined", DeclineCode.PENDING_EXPIRED)


async def test_giving_up_a_pending_charge_too_late_books_the_money(desk):
    order = await desk.subscription("pending_then_approved")
    await desk.charge(order)
    await desk.charge(order, Mode.ASK, turn=1)
    assert (await desk.charge_twice(order, Mode.GIVE_UP, turn=2)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_pending_charge_whose_gateway_is_silent_stays_pending(desk):
    order = await desk.subscription("pending")
    await desk.charge(order)
    await break_charges(desk, "error_before", route="any")
    assert (await desk.charge_twice(order, Mode.ASK, turn=1)).outcome == "pending"
    assert (await desk.charge_twice(order, Mode.GIVE_UP, turn=2)).outcome == "pending"


async def test_a_request_the_gateway_would_not_take_is_sent_again_freely(desk):
    order = await desk.subscription("approve")
    await break_charges(desk, "rate_limit_429", order=order)
    assert (await desk.charge(order)).outcome == "unsent"
    assert (await desk.charge(order)).outcome == "unsent"
    await desk.remote.faults()
    assert (await desk.charge_twice(order)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_gateway_that_is_not_there_was_never_sent_anything(desk):
    order = await desk.subscription("approve")
    real, desk.gateway = desk.gateway, SandboxGateway(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (await desk.charge(order)).outcome == "unsent"
    await desk.gateway.close()
    desk.gateway = real
    given_up = await desk.charge_twice(order, Mode.GIVE_UP, turn=1)
    assert (given_up.outcome, given_up.decline) == ("declined", DeclineCode.NEVER_ARRIVED)
    assert await desk.sent(order) == []


@pytest.mark.parametrize("kind", ["customer", "payment_method"])
async def test_nothing_is_sent_for_who_is_blocked(desk, kind):
    order = await desk.subscription("approve")
    subject = order.spec.customer_id if kind == "customer" else order.spec.payment_method_id
    await desk.house.block(order.spec.customer_id, subject)
    blocked = await desk.charge_twice(order)
    assert (blocked.outcome, blocked.decline) == ("declined", DeclineCode(f"{kind}_blocked"))
    assert await desk.sent(order) == []
    assert (await desk.house.everything(order.subscription_id))["attempts"] == []


async def test_what_had_not_left_before_the_block_does_not_stand_in_the_way_after_it(desk):
    order = await desk.subscription("approve")
    await break_charges(desk, "rate_limit_429", order=order)
    assert (await desk.charge(order)).outcome == "unsent"
    await desk.house.block(order.spec.customer_id, order.spec.customer_id)
    await desk.remote.faults()
    blocked = await desk.charge_twice(order)
    assert (blocked.outcome, blocked.decline) == ("declined", DeclineCode.CUSTOMER_BLOCKED)
    assert blocked.verify_in_s is None, "nothing was sent"
    assert (await desk.attempt(order))["state"] == "abandoned"
    assert (await desk.kinds(order)).count("payment") == 1
    await desk.house.block(order.spec.customer_id, order.spec.customer_id, do="unblock")
    assert (await desk.charge(order)).decline is DeclineCode.CUSTOMER_BLOCKED, "an end is an end"
    assert (await desk.charge_twice(order, attempt=2)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_block_that_came_meanwhile_holds_back_the_resend(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    await desk.house.block(order.spec.customer_id, order.spec.customer_id)
    blocked = await desk.charge_twice(order, Mode.RESEND, turn=1)
    assert (blocked.outcome, blocked.decline) == ("declined", DeclineCode.CUSTOMER_BLOCKED)
    assert await desk.sent(order) == ["charge"]


async def test_a_second_attempt_waits_for_the_outcome_of_the_first(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    for _ in range(2):
        with pytest.raises(TeikiError) as refused:
            await desk.charge(order, attempt=2)
        assert refused.value.code is ErrorCode.LIVE_ATTEMPT_EXISTS
    assert await desk.sent(order, attempt=2) == []


async def test_a_paid_payment_is_not_charged_by_another_attempt(desk):
    order = await desk.subscription("approve")
    await desk.charge(order)
    with pytest.raises(TeikiError):
        await desk.charge(order, attempt=2)
    assert await desk.settled(order) == (1000, 1000)


async def test_history_dates_a_late_outcome_by_when_it_was_learned(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    await desk.charge_twice(order, Mode.RESEND, turn=1)
    row = await desk.attempt(order)
    assert (row["sent_at"], row["resolved_at"]) == (NOW, NOW + timedelta(minutes=10))


async def test_an_attempt_of_nobodys_subscription_is_refused_before_anything_is_sent(desk):
    with pytest.raises(TeikiError) as refused:
        await begin_attempt(
            desk.db,
            key="k",
            reference="sub_nobody/1/1",
            object_id="sub_nobody",
            number=1,
            attempt=1,
            due_at=NOW,
            amount_minor=1000,
            currency="JPY",
            at=NOW,
        )
    assert refused.value.code is ErrorCode.SUBSCRIPTION_NOT_FOUND
