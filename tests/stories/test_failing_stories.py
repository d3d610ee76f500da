"""Declines, retries, cards and amounts (spec: subscriptions.md §§1, 3, 4, 7)."""

from __future__ import annotations

import pytest

from tests.stories.telling import assert_told, lines_of

pytestmark = pytest.mark.xdist_group("stories")

DECLINE = {"decline": "insufficient_funds"}


async def test_a_one_off_amount_never_reaches_the_retry_of_an_older_payment(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-08-15 00:00",
        (
            "2023-06-03 12:00",
            "change_amount",
            {"amount": {"minor": 1500, "currency": "JPY"}, "next_only": True},
        ),
        gateway=["approve", DECLINE],
    )
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-03 12:00 change_amount accepted
        2023-06-08 07:00 charge 2/2 succeeded, due 2023-06-01
        2023-06-08 07:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded, 1,500 JPY
        2023-08-01 07:00 charge 4 succeeded
        final current, 4 charges, next 2023-09-01 07:00
        books 4,500 JPY
        """,
    )


async def test_a_new_amount_applies_to_all_that_follow_and_replaces_a_one_off(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-07-15 00:00",
        ("2023-05-02 12:00", "change_amount", {"amount": {"minor": 1, "currency": "JPY"}, "next_only": True}),
        ("2023-05-03 12:00", "change_amount", {"amount": {"minor": 2000, "currency": "JPY"}}),
    )
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-05-02 12:00 change_amount accepted
        2023-05-03 12:00 change_amount accepted
        2023-06-01 07:00 charge 2 succeeded, 2,000 JPY
        2023-07-01 07:00 charge 3 succeeded, 2,000 JPY
        final current, 3 charges, next 2023-08-01 07:00
        books 5,000 JPY
        """,
    )


async def test_a_fixed_number_of_charges_counts_successes_only(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-12-01 00:00",
        ("2023-06-25 10:00", "resume", {"policy": "next_cycle"}),
        gateway=["approve", *[DECLINE] * 4, DECLINE],
        total_charges=3,
    )
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-08 07:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
        2023-06-15 07:00 charge 2/3 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 charge 2/4 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 status unpaid → suspended (attempts_exhausted)
        2023-06-25 10:00 resume accepted
        2023-06-25 10:00 status suspended → current (resumed)
        2023-06-25 10:00 skip 2, due 2023-06-01 (policy_next_cycle)
        2023-07-01 07:00 charge 3 failed (insufficient_funds)
        2023-07-01 07:00 status current → unpaid (payment_failed)
        2023-07-08 07:00 charge 3/2 succeeded, due 2023-07-01
        2023-07-08 07:00 status unpaid → current (retry_succeeded)
        2023-08-01 07:00 charge 4 succeeded
        2023-08-01 07:00 status current → completed (all_charges_made)
        final completed, 3 charges
        books 3,000 JPY
        """,
    )


async def test_the_last_of_a_fixed_number_completes_also_by_a_retry(play):
    report = await play("2023-05-01 07:00", "2023-08-01 00:00", gateway=["approve", DECLINE], total_charges=2)
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-08 07:00 charge 2/2 succeeded, due 2023-06-01
        2023-06-08 07:00 status unpaid → current (retry_succeeded)
        2023-06-08 07:00 status current → completed (all_charges_made)
        final completed, 2 charges
        books 2,000 JPY
        """,
    )


async def test_a_new_card_that_fails_too_uses_up_none_of_the_policys_attempts(play):
    report = await play(
        "2023-05-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-03 10:00", "change_card", {"card": "tok_insufficient_funds"}),
        gateway=["approve", DECLINE],
    )
    assert_told(
        report,
        """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-03 10:00 change_card accepted
        2023-06-03 10:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
        2023-06-08 07:00 charge 2/3 failed (insufficient_funds), due 2023-06-01
        2023-06-15 07:00 charge 2/4 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 charge 2/5 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 status unpaid → suspended (attempts_exhausted)
        final suspended, 1 charges
        books 1,000 JPY
        """,
    )


async def test_a_new_card_while_unconfirmed_is_tried_at_once(play):
    report = await play(
        "2023-06-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-02 21:30", "change_card", {"card": "tok_ok"}),
        gateway=[DECLINE],
    )
    assert_told(
        report,
        """
        2023-06-01 07:00 charge 1 failed (insufficient_funds)
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-02 21:30 change_card accepted
        2023-06-02 21:30 charge 1/2 succeeded, due 2023-06-01
        2023-06-02 21:30 status unconfirmed → current (first_payment_succeeded)
        2023-07-01 07:00 charge 2 succeeded
        final current, 2 charges, next 2023-08-01 07:00
        books 2,000 JPY
        """,
    )


async def test_a_new_card_while_current_or_suspended_charges_nothing(play):
    report = await play(
        "2023-06-01 07:00",
        "2023-07-15 00:00",
        ("2023-06-02 12:00", "change_card", {"card": "tok_ok"}),
        ("2023-06-03 12:00", "suspend"),
        ("2023-06-04 12:00", "change_card", {"card": "tok_ok"}),
    )
    assert_told(
        report,
        """
        2023-06-01 07:00 charge 1 succeeded
        2023-06-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-02 12:00 change_card accepted
        2023-06-03 12:00 suspend accepted
        2023-06-03 12:00 status current → suspended (suspended_by_operator)
        2023-06-04 12:00 change_card accepted
        final suspended, 1 charges
        books 1,000 JPY
        """,
    )


@pytest.mark.parametrize(
    "decline", ["expired_card", "lost_card", "stolen_card", "closed_account", "seized_card"]
)
async def test_a_first_payment_on_a_useless_card_suspends_at_once(play, decline):
    report = await play("2023-06-01 07:00", "2023-07-15 00:00", gateway=[{"decline": decline}])
    assert_told(
        report,
        f"""
        2023-06-01 07:00 charge 1 failed ({decline})
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-01 07:00 status unconfirmed → suspended (needs_new_card)
        final suspended, 0 charges
        books nothing
        """,
    )


async def test_a_list_of_intervals_is_kept_and_hours_are_hours(play):
    report = await play(
        "2023-06-01 07:00",
        "2023-07-15 00:00",
        gateway=[DECLINE, DECLINE, DECLINE],
        retry={"intervals": ["PT48H", "P1D"]},
    )
    assert_told(
        report,
        """
        2023-06-01 07:00 charge 1 failed (insufficient_funds)
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-03 07:00 charge 1/2 failed (insufficient_funds), due 2023-06-01
        2023-06-04 07:00 charge 1/3 failed (insufficient_funds), due 2023-06-01
        2023-06-04 07:00 status unconfirmed → suspended (attempts_exhausted)
        final suspended, 0 charges
        books nothing
        """,
    )


async def test_an_attempt_that_would_reach_the_next_due_date_is_not_made(play):
    # February has 28 days: the third attempt, 2 × 14 days later, would be on 1 March, the next due date.
    report = await play(
        "2023-02-01 07:00",
        "2023-04-01 00:00",
        gateway=[DECLINE] * 5,
        retry={"attempts": 3, "interval": "P14D"},
    )
    assert_told(
        report,
        """
        2023-02-01 07:00 charge 1 failed (insufficient_funds)
        2023-02-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-02-15 07:00 charge 1/2 failed (insufficient_funds), due 2023-02-01
        2023-02-15 07:00 status unconfirmed → suspended (attempts_exhausted)
        final suspended, 0 charges
        books nothing
        """,
    )


@pytest.mark.parametrize(
    ("period", "days"),
    [("weekly", 1), ("biweekly", 3), ("quarterly", 22), ("semiannually", 45), ("annually", 91)],
)
async def test_the_default_interval_is_the_nominal_cycle_over_four(play, period, days):
    report = await play("2023-01-01 07:00", "2023-04-20 00:00", gateway=[DECLINE], period=period)
    second = next(line for line in lines_of(report) if "charge 1/2" in line)
    assert second.startswith(
        {1: "2023-01-02", 3: "2023-01-04", 22: "2023-01-23", 45: "2023-02-15", 91: "2023-04-02"}[days]
        + " 07:00 "
    )
