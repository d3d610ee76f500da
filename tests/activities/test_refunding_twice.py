"""`billing.refund`, run twice at every interesting point: money goes back once (spec: charging.md §2)."""

from __future__ import annotations

import pytest

from db.attempts import begin_refund, claim_resend
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import refund_reference
from domain.money import Money
from domain.unresolved import Mode
from tests.db.house import NOW, refund_key, unique

pytestmark = pytest.mark.xdist_group("activities")

PRICE = Money(minor=1000, currency="JPY")


async def paid(desk):
    """A subscription whose first payment is settled, at the gateway and in our books."""
    order = await desk.subscription("approve")
    assert (await desk.charge(order)).outcome == "settled"
    return order


async def break_refunds(desk, order, fault: str, *, route: str = "refund", times: int | None = None) -> None:
    rule = {"fault": fault, "route": route, "reference_prefix": order.subscription_id}
    await desk.remote.faults(rule if times is None else rule | {"times": times})


async def lose_the_answer(desk, order) -> None:
    """The money goes back, the answer is lost, and the book cannot be looked into either."""
    of_ours = {"reference_prefix": order.subscription_id}
    await desk.remote.faults(
        {"fault": "drop_after", "route": "refund"} | of_ours,
        {"fault": "error_before", "route": "lookup"} | of_ours,
    )


async def refund_by_hand(desk, order, *, reference: str, key: str):
    charge_id = (await desk.attempt(order))["gateway_id"]
    return await desk.gateway.refund(
        charge_id=charge_id, amount=PRICE, reference=reference, idempotency_key=key
    )


async def begin(desk, order):
    reference = refund_reference(order.subscription_id, 1)
    key = refund_key(order.subscription_id, 1)
    await begin_refund(
        desk.db, key=key, reference=reference, object_id=order.subscription_id, number=1, at=NOW
    )
    return reference, key


async def test_a_refund_goes_out_once_and_is_booked_once(desk):
    order = await paid(desk)
    assert (await desk.refund_twice(order)).outcome == "settled"
    assert await desk.sent_refunds(order) == 1
    assert await desk.settled(order) == (0, 0)
    assert await desk.kinds(order) == ["payment", "status", "refund"]


async def test_a_refund_whose_answer_was_lost_is_found_by_the_next_question(desk):
    order = await paid(desk)
    await lose_the_answer(desk, order)
    lost = await desk.refund(order)
    assert (lost.outcome, lost.resent, lost.horizon_s) == ("unknown", True, 600)
    await desk.remote.faults()
    assert (await desk.refund_twice(order, Mode.ASK, turn=1)).outcome == "settled"
    assert await desk.sent_refunds(order) == 1
    assert await desk.settled(order) == (0, 0)


async def test_a_lost_answer_is_looked_up_at_once(desk):
    order = await paid(desk)
    await break_refunds(desk, order, "drop_after")
    assert (await desk.refund_twice(order)).outcome == "settled"
    assert await desk.sent_refunds(order) == 1
    assert await desk.settled(order) == (0, 0)


async def test_after_a_crash_before_the_call_the_refund_is_asked_about_and_not_sent(desk):
    order = await paid(desk)
    await begin(desk, order)
    unknown = await desk.refund_twice(order)
    assert (unknown.outcome, unknown.resent) == ("unknown", True)
    assert await desk.sent_refunds(order) == 0
    assert await desk.settled(order) == (1000, 1000)


async def test_after_a_crash_between_the_call_and_the_books_the_refund_is_found(desk):
    order = await paid(desk)
    reference, key = await begin(desk, order)
    await refund_by_hand(desk, order, reference=reference, key=key)
    assert (await desk.refund_twice(order)).outcome == "settled"
    assert await desk.sent_refunds(order) == 1
    assert await desk.settled(order) == (0, 0)


async def test_a_refund_that_never_arrived_is_sent_again_after_the_horizon_once_a_turn(desk):
    order = await paid(desk)
    await break_refunds(desk, order, "drop_before", times=2)
    await desk.refund(order)
    assert (await desk.refund_twice(order, Mode.ASK, turn=1)).outcome == "unknown"
    assert await desk.sent_refunds(order) == 1
    first, second = [await desk.refund(order, Mode.RESEND, turn=2) for _ in range(2)]
    assert (first.outcome, first.resent) == ("unknown", True)
    # The second run cannot tell whether the first one sent: the horizon counts from now.
    assert (second.outcome, second.resent) == ("unknown", True)
    assert await desk.sent_refunds(order) == 2
    assert (await desk.refund_twice(order, Mode.RESEND, turn=3)).outcome == "settled"
    assert await desk.sent_refunds(order) == 3
    keys = {
        r["idempotency_key"] for r in await desk.remote.requests(refund_reference(order.subscription_id, 1))
    }
    assert keys == {refund_key(order.subscription_id, 1)}
    assert await desk.settled(order) == (0, 0)


async def test_a_claimed_resend_is_not_taken_by_a_second_run(desk):
    order = await paid(desk)
    await break_refunds(desk, order, "drop_before", times=1)
    await desk.refund(order)
    assert (await claim_resend(desk.db, key=refund_key(order.subscription_id, 1), turn=4)).taken
    assert (await desk.refund_twice(order, Mode.RESEND, turn=4)).outcome == "unknown"
    assert await desk.sent_refunds(order) == 1


@pytest.mark.parametrize("mode", [Mode.SEND, Mode.ASK, Mode.RESEND])
async def test_a_refund_is_not_repeated_while_the_gateway_cannot_be_asked(desk, mode):
    order = await paid(desk)
    await lose_the_answer(desk, order)
    await desk.refund(order)
    assert (await desk.refund(order, mode, turn=1)).outcome == "unknown"
    assert await desk.sent_refunds(order) == 1
    await desk.remote.faults()
    assert (await desk.refund_twice(order, mode, turn=2)).outcome == "settled"
    assert await desk.settled(order) == (0, 0)


async def test_a_refund_the_gateway_would_not_take_is_sent_again_freely(desk):
    order = await paid(desk)
    await break_refunds(desk, order, "rate_limit_429")
    assert (await desk.refund(order)).outcome == "unsent"
    assert (await desk.refund(order)).outcome == "unsent"
    await desk.remote.faults()
    assert (await desk.refund_twice(order)).outcome == "settled"
    assert await desk.settled(order) == (0, 0)


async def test_a_refund_the_gateway_refuses_waits_for_a_person_and_is_not_repeated(desk):
    order = await paid(desk)
    by_hand = await refund_by_hand(
        desk, order, reference=f"{order.subscription_id}/by-hand", key=unique("by")
    )
    assert by_hand.kind == "settled"
    assert (await desk.refund(order)).outcome == "attention"
    assert (await desk.refund_twice(order)).outcome == "attention"
    assert (await desk.refund_twice(order, Mode.RESEND, turn=5)).outcome == "attention"
    assert await desk.sent_refunds(order) == 1
    assert (await desk.attempt(order, purpose="refund"))["state"] == "attention"
    assert await desk.settled(order) == (0, 1000), "our books wait for the person too"


async def test_nothing_is_returned_that_was_not_settled(desk):
    order = await desk.subscription({"decline": "lost_card"})
    await desk.charge(order)
    with pytest.raises(TeikiError) as refused:
        await desk.refund(order)
    assert refused.value.code is ErrorCode.PAYMENT_NOT_FOUND
    assert await desk.sent_refunds(order) == 0
