"""Suspending, resuming, cancelling at awkward moments (spec: subscriptions.md §§5–6)."""

from __future__ import annotations

import pytest

from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")

DECLINE = {"decline": "insufficient_funds"}


async def test_suspended_twice_and_resumed_by_different_policies(play):
    report = await play(
        "2023-08-01 07:00",
        "2024-01-15 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-10-02 10:00", "resume", {"policy": "catch_up"}),
        ("2023-10-02 10:10", "suspend"),
        ("2023-12-01 18:00", "resume", {"policy": "next_cycle"}),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:10 suspend accepted
        2023-10-02 10:10 status unpaid → suspended (suspended_by_operator)
        2023-12-01 18:00 resume accepted
        2023-12-01 18:00 status suspended → current (resumed)
        2023-12-01 18:00 skip 3, due 2023-10-01 (policy_next_cycle)
        2023-12-01 18:00 skip 4, due 2023-11-01 (policy_next_cycle)
        2023-12-01 18:00 charge 5 succeeded
        2024-01-01 07:00 charge 6 succeeded
        final current, 4 charges, next 2024-02-01 07:00
        books 4,000 JPY
        """,
    )


async def test_a_failing_catch_up_charge_holds_the_queue_which_then_goes_on_20_minutes_apart(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-11-15 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-10-02 10:00", "resume", {"policy": "catch_up"}),
        gateway=["approve", DECLINE, "approve", "approve"],
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 failed (insufficient_funds), due 2023-09-01
        2023-10-09 10:00 charge 2/2 succeeded, due 2023-09-01
        2023-10-09 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-09 10:20 status unpaid → current (caught_up)
        2023-11-01 07:00 charge 4 succeeded
        final current, 4 charges, next 2023-12-01 07:00
        books 4,000 JPY
        """,
    )


async def test_cancelling_stops_the_catch_up_queue_at_once(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-12-02 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-10-02 10:00", "resume", {"policy": "catch_up"}),
        ("2023-10-02 10:10", "cancel", {"mode": "now"}),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:10 cancel accepted
        2023-10-02 10:10 status unpaid → canceled (canceled_now)
        final canceled, 2 charges
        books 2,000 JPY
        """,
    )


EXHAUSTED = """
    2023-05-01 07:00 charge 1 succeeded
    2023-05-01 07:00 status unverified → current (first_payment_succeeded)
    2023-06-01 07:00 charge 2 failed (insufficient_funds)
    2023-06-01 07:00 status current → unpaid (payment_failed)
    2023-06-08 07:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
    2023-06-15 07:00 charge 2/3 failed (insufficient_funds), due 2023-06-01
    2023-06-22 07:00 charge 2/4 failed (insufficient_funds), due 2023-06-01
    2023-06-22 07:00 status unpaid → suspended (attempts_exhausted)
"""


async def test_catch_up_charges_the_exhausted_payment_before_the_next_date(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-25 10:00", "resume", {"policy": "catch_up"}),
        gateway=["approve", *[DECLINE] * 4],
    )
    assert_told(
        report,
        EXHAUSTED
        + """
        2023-06-25 10:00 resume accepted
        2023-06-25 10:00 status suspended → unpaid (resumed)
        2023-06-25 10:00 charge 2/5 succeeded, due 2023-06-01
        2023-06-25 10:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-08-01 07:00
        books 3,000 JPY
        """,
    )


async def test_a_resumed_payment_that_fails_where_no_retry_fits_is_suspended_again(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-25 10:00", "resume", {"policy": "catch_up"}),
        gateway=["approve", *[DECLINE] * 5],
    )
    assert_told(
        report,
        EXHAUSTED
        + """
        2023-06-25 10:00 resume accepted
        2023-06-25 10:00 status suspended → unpaid (resumed)
        2023-06-25 10:00 charge 2/5 failed (insufficient_funds), due 2023-06-01
        2023-06-25 10:00 status unpaid → suspended (attempts_exhausted)
        final suspended, 1 charges
        books 1,000 JPY
        """,
    )


async def test_next_cycle_skips_the_exhausted_payment(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-25 10:00", "resume"),
        gateway=["approve", *[DECLINE] * 4],
    )
    assert_told(
        report,
        EXHAUSTED
        + """
        2023-06-25 10:00 resume accepted
        2023-06-25 10:00 status suspended → current (resumed)
        2023-06-25 10:00 skip 2, due 2023-06-01 (policy_next_cycle)
        2023-07-01 07:00 charge 3 succeeded
        final current, 2 charges, next 2023-08-01 07:00
        books 2,000 JPY
        """,
    )


async def test_the_subscriptions_own_policy_counts_when_the_resume_names_none(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-15 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-10-02 10:00", "resume"),
        resume_policy="catch_up",
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-02 10:20 status unpaid → current (caught_up)
        final current, 3 charges, next 2023-11-01 07:00
        books 3,000 JPY
        """,
    )


async def test_a_scheduled_cancellation_comes_while_suspended(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-08-20 12:00", "cancel", {"mode": "period_end"}),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-08-20 12:00 cancel accepted
        2023-09-01 07:00 status suspended → canceled (period_ended)
        final canceled, 1 charges
        books 1,000 JPY
        """,
    )


async def test_retry_dates_do_not_trigger_a_scheduled_cancellation(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-08-02 00:00",
        ("2023-06-03 12:00", "cancel", {"mode": "period_end"}),
        ("2023-06-04 12:00", "cancel", {"mode": "period_end"}),
        gateway=["approve", DECLINE, DECLINE, "approve"],
    )
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-03 12:00 cancel accepted
        2023-06-04 12:00 cancel refused: already_scheduled_for_cancellation
        2023-06-08 07:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
        2023-06-15 07:00 charge 2/3 succeeded, due 2023-06-01
        2023-06-15 07:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 status current → canceled (period_ended)
        final canceled, 2 charges
        books 2,000 JPY
        """,
    )


async def test_one_scheduled_for_cancellation_can_be_canceled_now(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-20 12:00", "cancel", {"mode": "period_end"}),
        ("2023-08-21 12:00", "cancel", {"mode": "now"}),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-20 12:00 cancel accepted
        2023-08-21 12:00 cancel accepted
        2023-08-21 12:00 status current → canceled (canceled_now)
        final canceled, 1 charges
        books 1,000 JPY
        """,
    )


async def test_a_scheduled_cancellation_shows_when_it_ends_and_what_it_will_not_charge(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-08-25 00:00",
        ("2023-08-20 12:00", "cancel", {"mode": "period_end"}),
    )
    assert report.final["status"] == "current"
    assert report.final["cancel_at"] == "2023-09-01T07:00:00+09:00"
    assert report.final["next_payment_at"] is None


async def test_skipped_parts_of_a_total_move_to_the_tail_and_the_remainder_stays_last(play):
    report = await play(
        "2023-08-01 07:00",
        "2024-03-01 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-10-02 10:00", "resume", {"policy": "next_cycle"}),
        amount={"minor": 3000, "currency": "JPY"},
        total_amount={"minor": 10000, "currency": "JPY"},
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → current (resumed)
        2023-10-02 10:00 skip 2, due 2023-09-01 (policy_next_cycle)
        2023-10-02 10:00 skip 3, due 2023-10-01 (policy_next_cycle)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        2024-01-01 07:00 charge 6 succeeded, 1,000 JPY
        2024-01-01 07:00 status current → completed (all_charges_made)
        final completed, 4 charges
        books 10,000 JPY
        """,
    )
