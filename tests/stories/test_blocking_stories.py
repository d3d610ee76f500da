"""A customer is blocked with every detail, and unblocked: nothing is charged, all is as before (customers.md §2)."""

from __future__ import annotations

import pytest

from tests.stories.telling import assert_told, lines_of

pytestmark = pytest.mark.xdist_group("stories")

DECLINE = {"decline": "insufficient_funds"}


async def test_a_blocked_customer_is_not_charged_and_goes_on_after_the_unblock(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-12-02 00:00",
        ("2023-08-15 12:00", "block_all", {"comment": "asked by phone"}),
        ("2023-08-16 12:00", "change_card"),
        ("2023-10-05 10:00", "unblock_all"),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 block_all accepted
        2023-08-15 12:00 status current → suspended (blocked)
        2023-08-16 12:00 change_card refused: customer_blocked
        2023-10-05 10:00 unblock_all accepted
        2023-10-05 10:00 status suspended → current (unblocked)
        2023-10-05 10:00 skip 2, due 2023-09-01 (blocked)
        2023-10-05 10:00 skip 3, due 2023-10-01 (blocked)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        final current, 3 charges, next 2024-01-01 07:00
        books 3,000 JPY
        """,
    )


async def test_a_retry_that_was_planned_comes_and_an_unpaid_subscription_is_unpaid_again(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-09-10 00:00",
        ("2023-09-02 12:00", "block_all"),
        ("2023-09-03 12:00", "unblock_all"),
        gateway=["approve", DECLINE, "approve"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 failed (insufficient_funds)
        2023-09-01 07:00 status current → unpaid (payment_failed)
        2023-09-02 12:00 block_all accepted
        2023-09-02 12:00 status unpaid → suspended (blocked)
        2023-09-03 12:00 unblock_all accepted
        2023-09-03 12:00 status suspended → unpaid (unblocked)
        2023-09-08 07:00 charge 2/2 succeeded, due 2023-09-01
        2023-09-08 07:00 status unpaid → current (retry_succeeded)
        final current, 2 charges, next 2023-10-01 07:00
        books 2,000 JPY
        """,
    )


async def test_who_was_suspended_by_hand_before_stays_suspended(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-15 00:00",
        ("2023-08-10 12:00", "suspend"),
        ("2023-08-15 12:00", "block_all"),
        ("2023-08-16 12:00", "block_all"),
        ("2023-09-05 10:00", "unblock_all"),
    )
    told = lines_of(report)
    assert [line for line in told if "block" in line] == [
        "2023-08-15 12:00 block_all accepted",
        "2023-08-16 12:00 block_all accepted",
        "2023-09-05 10:00 unblock_all accepted",
    ]
    assert told[-2] == "final suspended, 1 charges"
