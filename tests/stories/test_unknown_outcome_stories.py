"""Answers that are lost, late or never come (spec: charging.md §2, subscriptions.md §§3, 6, 8)."""

from __future__ import annotations

import itertools

import pytest

from domain.identifiers import idempotency_key
from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")

_amounts = itertools.count(70_001)


@pytest.fixture
def own_amount() -> dict[str, object]:
    """An amount no other story uses, by which its requests are found at the gateway."""
    return {"minor": next(_amounts), "currency": "JPY"}


async def requests_for(lab, amount) -> list[dict]:
    """What arrived at the gateway for the first payment of that amount, in order."""
    async with lab.http.get("/_audit/ledger") as answer:
        book = await answer.json()
    reference = min(charge["reference"] for charge in book["charges"] if charge["amount"] == amount)
    async with lab.http.get("/_audit/requests", params={"reference": reference}) as answer:
        return list((await answer.json())["requests"])


SETTLED_AT_ONCE = """
    2023-08-01 07:00 charge 1 succeeded
    2023-08-01 07:00 status unverified → current (first_payment_succeeded)
    2023-09-01 07:00 charge 2 succeeded
    final current, 2 charges, next 2023-10-01 07:00
"""


@pytest.mark.parametrize(
    "item", ["timeout_then_approved", "server_error_then_approved", "malformed_then_approved"]
)
async def test_a_charge_whose_answer_was_lost_is_found_and_never_sent_again(play, lab, own_amount, item):
    report = await play("2023-08-01 07:00", "2023-09-15 00:00", gateway=[item], amount=own_amount)
    assert_told(report, SETTLED_AT_ONCE + f"books {2 * own_amount['minor']:,} JPY")
    assert [request["route"] for request in await requests_for(lab, own_amount)] == ["charge"]


@pytest.mark.parametrize("item", ["timeout", "server_error"])
async def test_a_request_that_never_arrived_is_sent_again_after_the_horizon_with_its_key(
    play, lab, own_amount, item
):
    report = await play("2023-08-01 07:00", "2023-09-15 00:00", gateway=[item], amount=own_amount)
    assert_told(
        report,
        f"""
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:10 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 succeeded
        final current, 2 charges, next 2023-10-01 07:00
        books {2 * own_amount["minor"]:,} JPY
        """,
    )
    first, second = await requests_for(lab, own_amount)
    assert (
        first["idempotency_key"] == second["idempotency_key"] == idempotency_key("charge", first["reference"])
    )


async def test_a_gateway_that_takes_no_requests_is_asked_again_and_no_attempt_is_used_up(play):
    report = await play("2023-08-01 07:00", "2023-08-02 00:00", gateway=["rate_limited", "approve"])
    assert_told(
        report,
        """
        2023-08-01 07:00:15 charge 1 succeeded
        2023-08-01 07:00:15 status unverified → current (first_payment_succeeded)
        final current, 1 charges, next 2023-09-01 07:00
        books 1,000 JPY
        """,
    )


async def test_a_decline_whose_answer_was_lost_follows_the_retry_policy(play):
    report = await play(
        "2023-08-01 07:00", "2023-08-15 00:00", gateway=[{"timeout_then_declined": "insufficient_funds"}]
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 failed (insufficient_funds)
        2023-08-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-08-08 07:00 charge 1/2 succeeded, due 2023-08-01
        2023-08-08 07:00 status unconfirmed → current (first_payment_succeeded)
        final current, 1 charges, next 2023-09-01 07:00
        books 1,000 JPY
        """,
    )


async def test_a_pending_payment_that_never_resolves_has_failed_after_24_hours(play):
    report = await play("2023-08-01 07:00", "2023-08-15 00:00", gateway=["pending"])
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 failed (pending_expired)
        2023-08-02 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-08-08 07:00 charge 1/2 succeeded, due 2023-08-01
        2023-08-08 07:00 status unconfirmed → current (first_payment_succeeded)
        final current, 1 charges, next 2023-09-01 07:00
        books 1,000 JPY
        """,
    )


async def test_a_pending_payment_is_shown_as_pending_while_it_is(play):
    report = await play("2023-08-01 07:00", "2023-08-01 19:00", gateway=["pending"])
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 pending
        final unverified, 0 charges
        books nothing
        """,
    )


async def test_a_pending_payment_that_is_declined_in_the_end(play):
    report = await play(
        "2023-08-01 07:00", "2023-08-02 00:00", gateway=[{"pending_then_declined": "lost_card"}]
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 failed (lost_card)
        2023-08-01 07:01:30 status unverified → unconfirmed (first_payment_failed)
        2023-08-01 07:01:30 status unconfirmed → suspended (needs_new_card)
        final suspended, 0 charges
        books nothing
        """,
    )


async def test_money_that_arrives_after_the_cancellation_goes_back_by_itself(play):
    # The sandbox approves at the second question: the first is asked at 07:00:30, the second by the cancellation.
    report = await play(
        "2023-08-01 07:00",
        "2023-09-15 00:00",
        ("2023-08-01 07:00:45", "cancel", {"mode": "now"}),
        gateway=["pending_then_approved"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00:45 cancel accepted
        2023-08-01 07:00:45 status unverified → canceled (canceled_now)
        2023-08-01 07:00:45 refund 1 succeeded (settled_after_the_end)
        final canceled, 1 charges
        books nothing
        """,
    )


async def test_a_pending_payment_is_voided_when_the_subscription_is_canceled(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-09-15 00:00",
        ("2023-08-01 08:00", "cancel", {"mode": "now"}),
        gateway=["pending"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 failed (pending_expired)
        2023-08-01 08:00 cancel accepted
        2023-08-01 08:00 status unverified → canceled (canceled_now)
        final canceled, 0 charges
        books nothing
        """,
    )


async def test_a_request_in_doubt_is_not_sent_again_after_the_cancellation(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-09-15 00:00",
        ("2023-08-01 07:05", "cancel", {"mode": "now"}),
        gateway=["timeout"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 failed (never_arrived)
        2023-08-01 07:05 cancel accepted
        2023-08-01 07:05 status unverified → canceled (canceled_now)
        final canceled, 0 charges
        books nothing
        """,
    )


async def test_a_payment_that_settles_while_suspended_stays_paid(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-15 00:00",
        ("2023-09-01 07:00:45", "suspend"),
        ("2023-09-15 12:00", "resume", {"policy": "catch_up"}),
        gateway=["approve", "pending_then_approved"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 succeeded
        2023-09-01 07:00:45 suspend accepted
        2023-09-01 07:00:45 status current → suspended (suspended_by_operator)
        2023-09-15 12:00 resume accepted
        2023-09-15 12:00 status suspended → current (resumed)
        2023-10-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-11-01 07:00
        books 3,000 JPY
        """,
    )
