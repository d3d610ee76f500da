"""Statuses and retries, told as dated lines (spec: subscriptions.md §§3, 4)."""

from __future__ import annotations

from typing import Any

import pytest

from domain.declines import DeclineCategory, DeclineCode, category_of
from domain.errors import ErrorCode, TeikiError
from domain.subscription import TRANSITIONS, Status, move, next_step
from tests.domain.driver import story

BROKE = "insufficient_funds"
NEEDS_NEW_CARD = ["expired_card", "lost_card", "stolen_card", "closed_account", "seized_card"]
BLOCKED = ["customer_blocked", "payment_method_blocked"]
OPENING = [
    "2023-05-01 07:00 charge 1.1 1000 ok",
    "2023-05-01 07:00 unverified → current (first_payment_succeeded)",
]


def running(*answers: str, **changes: Any):
    """Charged on 1 May; the next answers are for 1 June's payment."""
    life = story("2023-05-01T07:00", "ok", *answers, **changes).until("2023-05-31")
    assert life.told() == OPENING
    return life


def test_the_seeds_ladder_three_attempts_then_suspended():
    life = running(BROKE, BROKE, BROKE, retry={"attempts": 3}).until("2023-12-01")
    assert life.told() == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-01 07:00 current → unpaid (payment_failed)",
        "2023-06-11 07:00 charge 2.2 1000 insufficient_funds",
        "2023-06-21 07:00 charge 2.3 1000 insufficient_funds",
        "2023-06-21 07:00 unpaid → suspended (attempts_exhausted)",
    ]


def test_a_success_on_the_last_attempt_does_not_move_the_cycle():
    life = running(BROKE, BROKE, "ok", retry={"attempts": 3}).until("2023-07-31")
    assert life.told() == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-01 07:00 current → unpaid (payment_failed)",
        "2023-06-11 07:00 charge 2.2 1000 insufficient_funds",
        "2023-06-21 07:00 charge 2.3 1000 ok",
        "2023-06-21 07:00 unpaid → current (retry_succeeded)",
        "2023-07-01 07:00 charge 3.1 1000 ok",
    ]


def attempt_days(life) -> list[str]:
    return [line[5:10] for line in life.told() if " charge " in line]


def test_four_attempts_by_default_on_days_0_7_14_21():
    life = running(BROKE, BROKE, BROKE, BROKE).until("2023-12-01")
    assert attempt_days(life) == ["06-01", "06-08", "06-15", "06-22"]


@pytest.mark.parametrize(
    "retry", ["next_day", {"preset": "next_day"}, {"interval": "P1D"}, {"interval": "PT24H"}]
)
def test_next_day_tries_again_on_the_following_days(retry: Any):
    life = running(BROKE, BROKE, BROKE, BROKE, retry=retry).until("2023-12-01")
    assert attempt_days(life) == ["06-01", "06-02", "06-03", "06-04"]


def test_intervals_may_be_listed():
    life = running(BROKE, BROKE, BROKE, retry={"intervals": ["P2D", "P5D"]}).until("2023-12-01")
    assert attempt_days(life) == ["06-01", "06-03", "06-08"]


def test_an_attempt_that_would_reach_the_next_due_instant_is_not_made():
    policy = {"interval": "P30D", "attempts": 2}
    june = running(BROKE, BROKE, retry=policy).until("2023-12-01")
    assert (
        june.told()[-1] == "2023-06-01 07:00 current → suspended (attempts_exhausted)"
    )  # 1 July is due then
    july = running("ok", BROKE, BROKE, retry=policy).until("2023-12-01")
    assert july.told()[-2:] == [
        "2023-07-31 07:00 charge 3.2 1000 insufficient_funds",
        "2023-07-31 07:00 unpaid → suspended (attempts_exhausted)",
    ]


def test_a_daily_cycle_has_no_retry_by_default():
    life = story("2023-05-01T07:00", "ok", BROKE, period="daily").until("2023-05-10")
    assert life.told()[2:] == [
        "2023-05-02 07:00 charge 2.1 1000 insufficient_funds",
        "2023-05-02 07:00 current → suspended (attempts_exhausted)",
    ]


def test_a_retry_just_before_the_next_due_date_does_not_push_it_back():
    life = story(
        "2023-05-01T07:00", "ok", BROKE, period="daily", retry={"interval": "PT23H50M", "attempts": 2}
    ).until("2023-05-03T08:00")
    assert life.told()[2:] == [
        "2023-05-02 07:00 charge 2.1 1000 insufficient_funds",
        "2023-05-02 07:00 current → unpaid (payment_failed)",
        "2023-05-03 06:50 charge 2.2 1000 ok",
        "2023-05-03 06:50 unpaid → current (retry_succeeded)",
        "2023-05-03 07:00 charge 3.1 1000 ok",
    ]


def test_retries_keep_the_wall_time_across_daylight_saving():
    life = story("2026-02-01T07:00", "ok", BROKE, BROKE, "ok", zone="America/New_York").until("2026-03-31")
    assert [line for line in life.charges if "charge 2." in line] == [
        "2026-03-01 07:00 charge 2.1 1000 insufficient_funds",
        "2026-03-08 07:00 charge 2.2 1000 insufficient_funds",
        "2026-03-15 07:00 charge 2.3 1000 ok",
    ]


def test_each_success_resets_the_count():
    life = running(BROKE, BROKE, "ok", BROKE, BROKE, "ok", retry={"attempts": 3}).until("2023-07-31")
    assert attempt_days(life) == ["06-01", "06-11", "06-21", "07-01", "07-11", "07-21"]
    assert life.state.status is Status.CURRENT


# -- the first payment


def test_a_start_date_in_the_future_is_unverified_until_it_is_charged():
    life = story("2023-05-10T12:00", start_on="2023-06-01").until("2023-06-01T06:59:59")
    assert (life.told(), life.state.status) == ([], Status.UNVERIFIED)
    assert life.until("2023-06-01T07:00").told() == [
        "2023-06-01 07:00 charge 1.1 1000 ok",
        "2023-06-01 07:00 unverified → current (first_payment_succeeded)",
    ]


def test_a_start_today_with_a_past_charge_time_is_charged_at_once():
    life = story("2023-06-01T12:00", start_on="2023-06-01").until("2023-07-02")
    assert life.charges == ["2023-06-01 12:00 charge 1.1 1000 ok", "2023-07-01 07:00 charge 2.1 1000 ok"]


def test_an_unconfirmed_one_is_retried_by_the_same_policy_until_it_is_current():
    life = story("2023-06-01T07:00", BROKE, BROKE, "ok", retry={"attempts": 3}).until("2023-07-01T07:00")
    assert life.told() == [
        "2023-06-01 07:00 charge 1.1 1000 insufficient_funds",
        "2023-06-01 07:00 unverified → unconfirmed (first_payment_failed)",
        "2023-06-11 07:00 charge 1.2 1000 insufficient_funds",
        "2023-06-21 07:00 charge 1.3 1000 ok",
        "2023-06-21 07:00 unconfirmed → current (first_payment_succeeded)",
        "2023-07-01 07:00 charge 2.1 1000 ok",
    ]


def test_an_unconfirmed_one_whose_attempts_are_exhausted_is_suspended():
    life = story("2023-06-01T07:00", BROKE, BROKE, BROKE, retry={"attempts": 3}).until("2023-12-01")
    assert life.statuses == [
        "2023-06-01 07:00 unverified → unconfirmed (first_payment_failed)",
        "2023-06-21 07:00 unconfirmed → suspended (attempts_exhausted)",
    ]


# -- categories


@pytest.mark.parametrize("code", NEEDS_NEW_CARD)
def test_a_card_that_will_never_work_suspends_at_once(code: str):
    life = running(code).until("2023-12-01")
    assert life.told() == [
        f"2023-06-01 07:00 charge 2.1 1000 {code}",
        "2023-06-01 07:00 current → suspended (needs_new_card)",
    ]


@pytest.mark.parametrize("code", BLOCKED)
def test_a_blocked_customer_or_card_suspends_at_once(code: str):
    life = running(code).until("2023-12-01")
    assert life.told()[-1] == "2023-06-01 07:00 current → suspended (blocked)"


@pytest.mark.parametrize(
    ("code", "reason"), [("lost_card", "needs_new_card"), ("customer_blocked", "blocked")]
)
def test_a_first_payment_of_that_kind_passes_through_unconfirmed(code: str, reason: str):
    life = story("2023-06-01T07:00", code).until("2023-12-01")
    assert life.statuses == [
        "2023-06-01 07:00 unverified → unconfirmed (first_payment_failed)",
        f"2023-06-01 07:00 unconfirmed → suspended ({reason})",
    ]


def test_a_lost_card_in_the_middle_of_the_ladder_ends_it():
    life = running(BROKE, "lost_card").until("2023-12-01")
    assert life.told()[-2:] == [
        "2023-06-08 07:00 charge 2.2 1000 lost_card",
        "2023-06-08 07:00 unpaid → suspended (needs_new_card)",
    ]


def test_every_decline_has_a_category():
    assert {code.value for code in DeclineCode if category_of(code) is DeclineCategory.BLOCKED} == set(
        BLOCKED
    )
    assert {category_of(DeclineCode(code)) for code in NEEDS_NEW_CARD} == {DeclineCategory.NEEDS_NEW_CARD}
    for code in ("insufficient_funds", "issuer_unavailable", "pending_expired", "never_arrived"):
        assert category_of(DeclineCode(code)) is DeclineCategory.RETRYABLE


# -- a new card


def test_a_new_card_gets_one_immediate_attempt():
    life = running(BROKE, "ok").change_card("2023-06-03T10:30").until("2023-07-01T07:00")
    assert life.told()[2:] == [
        "2023-06-03 10:30 charge 2.2 1000 ok",
        "2023-06-03 10:30 unpaid → current (retry_succeeded)",
        "2023-07-01 07:00 charge 3.1 1000 ok",
    ]


def test_the_new_cards_attempt_does_not_use_up_the_policys_count():
    life = running(BROKE, BROKE, BROKE, BROKE, retry={"attempts": 3}).change_card("2023-06-03T10:30")
    assert life.until("2023-12-01").told() == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-01 07:00 current → unpaid (payment_failed)",
        "2023-06-03 10:30 charge 2.2 1000 insufficient_funds",
        "2023-06-11 07:00 charge 2.3 1000 insufficient_funds",
        "2023-06-21 07:00 charge 2.4 1000 insufficient_funds",
        "2023-06-21 07:00 unpaid → suspended (attempts_exhausted)",
    ]


def test_a_new_card_while_unconfirmed_is_tried_at_once():
    life = story("2023-06-01T07:00", BROKE, "ok").change_card("2023-06-02T09:00").until("2023-06-30")
    assert life.told()[2:] == [
        "2023-06-02 09:00 charge 1.2 1000 ok",
        "2023-06-02 09:00 unconfirmed → current (first_payment_succeeded)",
    ]


@pytest.mark.parametrize("old_card", ["late>insufficient_funds@60", "late>lost_card@60"])
def test_a_new_card_given_while_the_old_ones_last_answer_is_awaited_is_still_tried(old_card: str):
    life = running(BROKE, old_card, "ok", retry={"attempts": 2}).change_card("2023-06-16T07:00:20")
    assert life.until("2023-06-30").told()[-2:] == [
        "2023-06-16 07:01:45 charge 2.3 1000 ok",
        "2023-06-16 07:01:45 unpaid → current (retry_succeeded)",
    ]


def test_and_when_the_new_card_fails_as_well_it_is_suspended():
    life = running(BROKE, "late>insufficient_funds@60", BROKE, retry={"attempts": 2})
    life.change_card("2023-06-16T07:00:20").until("2023-12-01")
    assert life.told()[-2:] == [
        "2023-06-16 07:01:45 charge 2.3 1000 insufficient_funds",
        "2023-06-16 07:01:45 unpaid → suspended (attempts_exhausted)",
    ]


def test_a_new_card_while_current_or_suspended_charges_nothing():
    life = running().change_card("2023-05-31T12:00").until("2023-05-31T13:00")
    assert life.told() == []
    life.suspend("2023-06-02").change_card("2023-06-03").until("2023-12-01")
    assert life.charges == ["2023-06-01 07:00 charge 2.1 1000 ok"]


def test_the_card_cannot_be_changed_before_the_first_charge_or_after_the_end():
    for life in (
        story("2023-05-10T12:00", start_on="2023-06-01"),
        running().cancel(),
        story("2023-05-01T07:00", total_charges=2).until("2023-06-01T07:00"),
    ):
        before = life.state.model_copy(deep=True)
        with pytest.raises(TeikiError) as caught:
            life.change_card()
        assert caught.value.code is ErrorCode.INVALID_STATUS
        assert caught.value.facts["allowed"] == ["current", "suspended", "unconfirmed", "unpaid"]
        assert life.state == before


# -- amounts


def test_a_changed_amount_never_applies_to_a_retry():
    life = running(BROKE, "ok").change_amount(1500, "2023-06-02").until("2023-08-02")
    assert [line for line in life.told() if " charge " in line] == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-08 07:00 charge 2.2 1000 ok",
        "2023-07-01 07:00 charge 3.1 1500 ok",
        "2023-08-01 07:00 charge 4.1 1500 ok",
    ]


def test_the_next_amount_alone_can_be_another():
    life = running(BROKE, "ok").change_amount(9, "2023-06-02", next_only=True).until("2023-08-02")
    assert [line for line in life.told() if " charge " in line] == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-08 07:00 charge 2.2 1000 ok",
        "2023-07-01 07:00 charge 3.1 9 ok",
        "2023-08-01 07:00 charge 4.1 1000 ok",
    ]


def test_a_one_off_amount_stays_with_its_payments_retries():
    life = running(BROKE, "ok").change_amount(9, next_only=True).until("2023-07-02")
    assert [line.split(" charge ")[1] for line in life.charges] == [
        "2.1 9 insufficient_funds",
        "2.2 9 ok",
        "3.1 1000 ok",
    ]


def test_a_changed_amount_takes_back_a_one_off():
    life = running().change_amount(9, next_only=True).change_amount(1500).until("2023-06-02")
    assert life.charges == ["2023-06-01 07:00 charge 2.1 1500 ok"]


# -- fixed numbers


def test_a_fixed_number_of_charges_ends_completed():
    life = story("2023-08-01T07:00", total_charges=5).until("2030-01-01")
    assert [line[:10] for line in life.charges] == [
        "2023-08-01", "2023-09-01", "2023-10-01", "2023-11-01", "2023-12-01",
    ]  # fmt: skip
    assert life.told()[-1] == "2023-12-01 07:00 current → completed (all_charges_made)"
    assert next_step(life.state) is None


def test_a_last_charge_that_needs_retries_completes_when_it_succeeds():
    life = story("2023-05-01T07:00", "ok", BROKE, "ok", total_charges=2).until("2024-01-01")
    assert life.told()[2:] == [
        "2023-06-01 07:00 charge 2.1 1000 insufficient_funds",
        "2023-06-01 07:00 current → unpaid (payment_failed)",
        "2023-06-08 07:00 charge 2.2 1000 ok",
        "2023-06-08 07:00 unpaid → current (retry_succeeded)",
        "2023-06-08 07:00 current → completed (all_charges_made)",
    ]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"amount": None, "total_charges": 3}, [333, 333, 334]),
        ({"amount": {"minor": 300, "currency": "JPY"}}, [300, 300, 300, 100]),
    ],
)
def test_a_total_amount_is_charged_in_equal_parts_and_the_rest_last(changes: Any, parts: list[int]):
    life = story("2023-05-01T07:00", total_amount={"minor": 1000, "currency": "JPY"}, **changes)
    life.until("2030-01-01")
    assert [entry.amount_minor for entry in life.gateway.settled()] == parts
    assert (life.state.status, life.state.charged_minor) == (Status.COMPLETED, 1000)


def test_the_amount_is_fixed_by_a_total():
    life = story(
        "2023-05-01T07:00", total_amount={"minor": 1000, "currency": "JPY"}, amount=None, total_charges=3
    )
    for next_only in (False, True):
        with pytest.raises(TeikiError) as caught:
            life.change_amount(500, next_only=next_only)
        assert caught.value.code is ErrorCode.AMOUNT_FIXED_BY_TOTAL


# -- the table


def test_only_the_transitions_of_the_spec_are_possible():
    u, c, n, p, s, x, d = [
        "unverified",
        "current",
        "unconfirmed",
        "unpaid",
        "suspended",
        "canceled",
        "completed",
    ]
    allowed = {
        (u, c), (u, n), (u, x), (n, c), (n, s), (n, x), (c, p), (c, s), (c, d), (c, x),
        (p, c), (p, s), (p, x), (s, c), (s, p), (s, x),
    } | {(u, s), (s, u), (s, n)}  # fmt: skip  # a block suspends at any status, an unblock gives it back
    assert {(a.value, b.value) for a, bs in TRANSITIONS.items() for b in bs} == allowed


def test_a_forbidden_transition_stops_the_programmer():
    life = running().cancel()
    with pytest.raises(AssertionError, match="canceled"):
        move(life.state, Status.CURRENT, "wish")
