"""Suspend and resume: each row of the spec's table, and what lies between the rows (subscriptions.md §5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.resume import RESUME_AHEAD_MAX
from domain.subscription import Status
from tests.domain.driver import Story, story

BROKE = "insufficient_funds"


def suspended(**changes: Any) -> Story:
    """Monthly on the 1st; 8/1 charged; suspended 8/15, when the next date is 9/1."""
    life = story("2023-08-01T07:00", **changes).suspend("2023-08-15T12:00")
    assert life.told()[-1] == "2023-08-15 12:00 current → suspended (suspended_by_operator)"
    return life


def charged(life: Story, until: str) -> list[str]:
    """Charges as `payment number @ instant`."""
    life.until(until)
    return [f"{line.split()[3].split('.')[0]} @ {line[:16]}" for line in life.charges]


# -- the table


def test_nothing_is_charged_while_suspended():
    assert charged(suspended(), "2033-01-01") == []


def test_catch_up_charges_the_missed_ones_twenty_minutes_apart_and_goes_on():
    life = suspended().resume("2023-10-02T10:00", "catch_up")
    assert life.until("2023-12-01T07:00").told() == [
        "2023-10-02 10:00 suspended → unpaid (resumed)",
        "2023-10-02 10:00 charge 2.1 1000 ok",
        "2023-10-02 10:20 charge 3.1 1000 ok",
        "2023-10-02 10:20 unpaid → current (caught_up)",
        "2023-11-01 07:00 charge 4.1 1000 ok",
        "2023-12-01 07:00 charge 5.1 1000 ok",
    ]


def test_next_cycle_skips_the_missed_ones():
    life = suspended().resume("2023-10-02T10:00")
    assert life.until("2023-12-01T07:00").told() == [
        "2023-10-02 10:00 skip 2 (policy_next_cycle)",
        "2023-10-02 10:00 skip 3 (policy_next_cycle)",
        "2023-10-02 10:00 suspended → current (resumed)",
        "2023-11-01 07:00 charge 4.1 1000 ok",
        "2023-12-01 07:00 charge 5.1 1000 ok",
    ]


@pytest.mark.parametrize("clock", ["00:00", "06:00", "07:00", "10:00", "23:59"])
def test_next_cycle_on_the_day_of_a_cycle_date_charges_upon_resumption(clock: str):
    life = suspended().resume(f"2023-10-01T{clock}")
    assert life.until("2023-11-01T07:00").told() == [
        f"2023-10-01 {clock} skip 2 (policy_next_cycle)",
        f"2023-10-01 {clock} suspended → current (resumed)",
        f"2023-10-01 {clock} charge 3.1 1000 ok",
        "2023-11-01 07:00 charge 4.1 1000 ok",
    ]


def test_the_day_is_the_local_day_of_the_zone():
    # 1 October in Tokyo begins on 30 September in UTC.
    life = suspended().resume("2023-09-30T15:30+00:00")
    assert charged(life, "2023-11-01T07:00") == ["3 @ 2023-10-01 00:30", "4 @ 2023-11-01 07:00"]
    life = suspended().resume("2023-10-01T15:30+00:00")  # already 2 October there
    assert charged(life, "2023-11-01T07:00") == ["4 @ 2023-11-01 07:00"]


def test_next_cycle_with_five_charges_moves_the_skipped_ones_to_the_tail():
    life = suspended(total_charges=5).resume("2023-10-02T10:00")
    assert charged(life, "2030-01-01") == [
        "4 @ 2023-11-01 07:00", "5 @ 2023-12-01 07:00", "6 @ 2024-01-01 07:00", "7 @ 2024-02-01 07:00",
    ]  # fmt: skip
    assert life.lines[-1] == "2024-02-01 07:00 current → completed (all_charges_made)"
    assert life.state.charges == 5


def test_catch_up_with_five_charges_keeps_the_end_date():
    life = suspended(total_charges=5).resume("2023-10-02T10:00", "catch_up")
    assert charged(life, "2030-01-01") == [
        "2 @ 2023-10-02 10:00", "3 @ 2023-10-02 10:20", "4 @ 2023-11-01 07:00", "5 @ 2023-12-01 07:00",
    ]  # fmt: skip
    assert life.lines[-1] == "2023-12-01 07:00 current → completed (all_charges_made)"


@pytest.mark.parametrize("policy", ["next_cycle", "catch_up"])
@pytest.mark.parametrize("at", ["2023-08-16T09:00", "2023-09-01T06:59"])
def test_before_the_next_date_has_passed_it_simply_goes_on(policy: str, at: str):
    life = suspended().resume(at, policy)
    assert life.told()[-1].endswith("suspended → current (resumed)")
    assert charged(life, "2023-10-01T07:00") == ["2 @ 2023-09-01 07:00", "3 @ 2023-10-01 07:00"]


# -- at


def test_at_names_the_next_payments_instant_and_the_cycle_goes_on():
    life = suspended().resume("2023-10-02T10:00", next_at="2023-10-10T15:00")
    assert life.until("2023-11-01T07:00").told() == [
        "2023-10-02 10:00 skip 2 (policy_at)",
        "2023-10-02 10:00 suspended → current (resumed)",
        "2023-10-10 15:00 charge 3.1 1000 ok",
        "2023-11-01 07:00 charge 4.1 1000 ok",
    ]


def test_at_this_very_moment_charges_at_once():
    life = suspended().resume("2023-10-02T10:00", next_at="2023-10-02T10:00")
    assert charged(life, "2023-11-01T07:00") == ["3 @ 2023-10-02 10:00", "4 @ 2023-11-01 07:00"]


def test_at_a_due_instant_takes_that_cycle():
    life = suspended().resume("2023-10-02T10:00", next_at="2023-12-01T07:00")
    assert charged(life, "2024-01-01T07:00") == ["5 @ 2023-12-01 07:00", "6 @ 2024-01-01 07:00"]
    assert life.skipped == {2, 3, 4}


def test_at_before_the_next_date_brings_that_payment_forward():
    life = suspended().resume("2023-08-20T10:00", next_at="2023-08-25T10:00")
    assert charged(life, "2023-10-01T07:00") == ["2 @ 2023-08-25 10:00", "3 @ 2023-10-01 07:00"]


def test_at_after_the_next_date_skips_an_exhausted_payment_too():
    life = exhausted().resume("2023-09-25T10:00", next_at="2023-10-10T15:00")
    assert (charged(life, "2023-11-01T07:00"), life.skipped) == (
        ["3 @ 2023-10-10 15:00", "4 @ 2023-11-01 07:00"],
        {2},
    )


def test_at_before_the_next_date_collects_an_exhausted_payment_then():
    life = exhausted().resume("2023-09-25T10:00", next_at="2023-09-28T15:00")
    assert (charged(life, "2023-10-01T07:00"), life.skipped) == (
        ["2 @ 2023-09-28 15:00", "3 @ 2023-10-01 07:00"],
        set(),
    )


def test_at_keeps_a_fixed_number_of_charges():
    life = suspended(total_charges=5).resume("2023-10-02T10:00", next_at="2023-10-10T15:00")
    assert charged(life, "2030-01-01")[-1] == "6 @ 2024-01-01 07:00"
    assert (life.state.status, life.state.charges) == (Status.COMPLETED, 5)


def test_a_failing_payment_at_a_named_instant_is_retried_from_there():
    life = suspended().resume("2023-10-02T10:00", next_at="2023-10-10T15:00")
    life.gateway.script.extend([BROKE] * 9)
    assert charged(life, "2024-01-01T07:00") == [
        "3 @ 2023-10-10 15:00", "3 @ 2023-10-17 15:00", "3 @ 2023-10-24 15:00", "3 @ 2023-10-31 15:00",
    ]  # fmt: skip
    assert life.lines[-1] == "2023-10-31 15:00 unpaid → suspended (attempts_exhausted)"


# -- a payment whose attempts were exhausted, or cut short, was missed too


def exhausted() -> Story:
    """9/1's payment failed on 9/1, 9/11 and 9/21."""
    life = story("2023-08-01T07:00", "ok", BROKE, BROKE, BROKE, retry={"attempts": 3}).until("2023-09-22")
    assert life.told()[-1] == "2023-09-21 07:00 unpaid → suspended (attempts_exhausted)"
    return life


def test_catch_up_charges_an_exhausted_payment_first_even_before_the_next_date():
    life = exhausted().resume("2023-09-25T10:00", "catch_up")
    assert life.until("2023-10-01T07:00").told() == [
        "2023-09-25 10:00 suspended → unpaid (resumed)",
        "2023-09-25 10:00 charge 2.4 1000 ok",
        "2023-09-25 10:00 unpaid → current (retry_succeeded)",
        "2023-10-01 07:00 charge 3.1 1000 ok",
    ]


def test_catch_up_charges_an_exhausted_payment_then_the_dates_that_passed():
    life = exhausted().resume("2023-11-02T10:00", "catch_up")
    assert charged(life, "2023-12-01T07:00") == [
        "2 @ 2023-11-02 10:00", "3 @ 2023-11-02 10:20", "4 @ 2023-11-02 10:40", "5 @ 2023-12-01 07:00",
    ]  # fmt: skip


def test_next_cycle_skips_an_exhausted_payment():
    life = exhausted().resume("2023-09-25T10:00")
    assert life.until("2023-10-01T07:00").told() == [
        "2023-09-25 10:00 skip 2 (policy_next_cycle)",
        "2023-09-25 10:00 suspended → current (resumed)",
        "2023-10-01 07:00 charge 3.1 1000 ok",
    ]


@pytest.mark.parametrize(
    ("policy", "charges"),
    [
        ("catch_up", ["2 @ 2023-09-10 10:00", "3 @ 2023-10-01 07:00"]),
        ("next_cycle", ["3 @ 2023-10-01 07:00"]),
    ],
)
def test_retries_that_a_suspension_cut_short_count_as_missed(policy: str, charges: list[str]):
    life = story("2023-08-01T07:00", "ok", BROKE, retry={"attempts": 3}).suspend("2023-09-05T12:00")
    assert life.told()[-1] == "2023-09-05 12:00 unpaid → suspended (suspended_by_operator)"
    life.resume("2023-09-10T10:00", policy)
    assert charged(life, "2023-10-01T07:00") == charges


def test_a_resume_resets_the_count_of_attempts():
    life = exhausted().resume("2023-09-25T10:00", "catch_up")
    life.gateway.script.extend([BROKE] * 3)
    life.until("2024-01-01")
    # 10 days apart again, but 10/5 would come after 10/1's payment is due.
    assert life.told() == [
        "2023-09-25 10:00 suspended → unpaid (resumed)",
        "2023-09-25 10:00 charge 2.4 1000 insufficient_funds",
        "2023-09-25 10:00 unpaid → suspended (attempts_exhausted)",
    ]
    life.resume("2024-01-02T10:00", "catch_up")
    assert charged(life, "2024-01-25")[:3] == [
        "2 @ 2024-01-02 10:00",
        "2 @ 2024-01-12 10:00",
        "2 @ 2024-01-22 10:00",
    ]


def test_an_exhausted_payment_of_a_fixed_plan_moves_to_the_tail():
    life = story("2023-08-01T07:00", "ok", BROKE, BROKE, total_charges=3, retry={"attempts": 2})
    life.until("2023-09-20").resume("2023-09-25T10:00").until("2030-01-01")
    assert [entry.number for entry in life.gateway.settled()] == [1, 3, 4]
    assert (life.skipped, life.state.status) == ({2}, Status.COMPLETED)


# -- the queue


def test_a_failing_catch_up_charge_holds_the_queue_and_follows_the_retry_policy():
    life = suspended().resume("2023-10-02T10:00", "catch_up")
    life.gateway.script.extend([BROKE, BROKE, "ok"])
    assert life.until("2023-11-01T07:00").told() == [
        "2023-10-02 10:00 suspended → unpaid (resumed)",
        "2023-10-02 10:00 charge 2.1 1000 insufficient_funds",
        "2023-10-09 10:00 charge 2.2 1000 insufficient_funds",
        "2023-10-16 10:00 charge 2.3 1000 ok",
        "2023-10-16 10:20 charge 3.1 1000 ok",
        "2023-10-16 10:20 unpaid → current (caught_up)",
        "2023-11-01 07:00 charge 4.1 1000 ok",
    ]


def test_a_catch_up_charge_that_fails_to_the_end_suspends_again():
    life = suspended().resume("2023-10-02T10:00", "catch_up")
    life.gateway.script.extend([BROKE] * 4)
    life.until("2023-12-15")
    assert life.lines[-1] == "2023-10-23 10:00 unpaid → suspended (attempts_exhausted)"
    life.told()
    assert charged(life.resume("2023-12-20T10:00", "catch_up"), "2023-12-21") == [
        "2 @ 2023-12-20 10:00", "3 @ 2023-12-20 10:20", "4 @ 2023-12-20 10:40", "5 @ 2023-12-20 11:00",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["suspend", "cancel"])
def test_suspending_or_cancelling_stops_the_queue_at_once(end: str):
    life = suspended().resume("2023-12-02T10:00", "catch_up").until("2023-12-02T10:20")
    getattr(life, end)("2023-12-02T10:30")
    assert charged(life, "2033-01-01") == ["2 @ 2023-12-02 10:00", "3 @ 2023-12-02 10:20"]


def test_a_queue_stopped_by_a_suspension_can_be_caught_up_later():
    life = suspended().resume("2023-12-02T10:00", "catch_up").suspend("2023-12-02T10:10")
    life.resume("2023-12-02T10:12", "catch_up")
    assert charged(life, "2023-12-02T12:00") == [
        "2 @ 2023-12-02 10:00", "3 @ 2023-12-02 10:12", "4 @ 2023-12-02 10:32", "5 @ 2023-12-02 10:52",
    ]  # fmt: skip


def test_after_the_last_missed_one_the_cycle_goes_on_at_its_own_time():
    life = suspended().resume("2023-10-01T06:50", "catch_up")
    assert charged(life, "2023-10-01T08:00") == ["2 @ 2023-10-01 06:50", "3 @ 2023-10-01 07:00"]


def test_a_date_that_falls_due_during_the_queue_joins_it():
    life = suspended().resume("2023-11-01T06:45", "catch_up")
    assert charged(life, "2023-11-01T09:00") == [
        "2 @ 2023-11-01 06:45", "3 @ 2023-11-01 07:05", "4 @ 2023-11-01 07:25",
    ]  # fmt: skip


def test_a_suspended_daily_one_resumed_the_same_day_is_charged_upon_resumption():
    life = story("2023-08-01T07:00", period="daily").suspend("2023-08-02T12:00").resume("2023-08-10T05:00")
    assert charged(life, "2023-08-11T07:00")[-2:] == ["10 @ 2023-08-10 05:00", "11 @ 2023-08-11 07:00"]


# -- refusals and plans


@pytest.mark.parametrize(
    "status", ["unverified", "unconfirmed", "current", "unpaid", "canceled", "completed"]
)
def test_only_a_suspended_one_can_be_resumed(status: str):
    life = one_that_is(status)
    before = life.state.model_copy(deep=True)
    with pytest.raises(TeikiError) as caught:
        life.resume()
    assert caught.value.code is ErrorCode.INVALID_STATUS
    assert caught.value.facts == {"status": status, "allowed": ["suspended"]}
    assert life.state == before


@pytest.mark.parametrize("status", ["unverified", "unconfirmed", "suspended", "canceled", "completed"])
def test_only_a_current_or_unpaid_one_can_be_suspended(status: str):
    life = one_that_is(status)
    before = life.state.model_copy(deep=True)
    with pytest.raises(TeikiError) as caught:
        life.suspend()
    assert caught.value.code is ErrorCode.INVALID_STATUS
    assert caught.value.facts == {"status": status, "allowed": ["current", "unpaid"]}
    assert life.state == before


def one_that_is(status: str) -> Story:
    life = {
        "unverified": lambda: story("2023-05-10T12:00", start_on="2023-06-01"),
        "unconfirmed": lambda: story("2023-06-01T07:00", BROKE).until("2023-06-02"),
        "current": lambda: story("2023-06-01T07:00").until("2023-06-02"),
        "unpaid": lambda: story("2023-06-01T07:00", "ok", BROKE).until("2023-07-02"),
        "suspended": suspended,
        "canceled": lambda: story("2023-06-01T07:00").cancel("2023-06-02"),
        "completed": lambda: story("2023-06-01T07:00", total_charges=2).until("2023-07-02"),
    }[status]()
    assert life.state.status.value == status
    return life


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (timedelta(seconds=-1), ErrorCode.RESUME_AT_IN_PAST),
        (RESUME_AHEAD_MAX + timedelta(seconds=1), ErrorCode.INVALID_INSTANT),
        (timedelta(days=365 * 7_900), ErrorCode.INVALID_INSTANT),
    ],
)
def test_the_named_instant_is_in_the_near_future(offset: timedelta, code: ErrorCode):
    life = suspended().until("2023-10-02")
    before = life.state.model_copy(deep=True)
    with pytest.raises(TeikiError) as caught:
        life.resume(next_at=life.now + offset)
    assert (caught.value.code, life.state) == (code, before)


@pytest.mark.parametrize("charges", [None, 5])
@pytest.mark.parametrize(
    "how",
    [
        {"policy": "catch_up"},
        {"policy": "next_cycle"},
        {"next_at": "2023-10-10T15:00"},
        {"next_at": "2024-02-10T15:00"},
    ],
)
@pytest.mark.parametrize(
    "at", ["2023-08-20T10:00", "2023-10-01T10:00", "2023-10-02T10:00", "2023-12-31T10:00"]
)
def test_the_plan_is_what_then_happens(at: str, how: dict[str, str], charges: int | None):
    if how.get("next_at", at) < at:
        return
    life = suspended(total_charges=charges).resume(at, **how)
    planned, plan = life.planned(), life.plan()
    assert plan.goes_on == (charges is None)
    assert charges is None or len(planned) == 4
    life.until(plan.payments[-1].at)
    assert life.charges == planned


def test_a_plan_lists_the_missed_ones_and_the_next_three():
    life = suspended().resume("2023-10-02T10:00", "catch_up")
    before = life.state.model_copy(deep=True)
    assert [line[:16] for line in life.planned()] == [
        "2023-10-02 10:00", "2023-10-02 10:20", "2023-11-01 07:00", "2023-12-01 07:00", "2024-01-01 07:00",
    ]  # fmt: skip
    assert life.state == before


def test_a_plan_ends_where_a_scheduled_cancellation_ends_it():
    life = suspended().cancel(mode="period_end").until("2023-08-20").resume()
    plan = life.plan()
    assert (plan.payments, plan.goes_on) == ([], False)
    assert plan.cancel_at is not None
    assert plan.cancel_at.isoformat() == "2023-08-31T22:00:00+00:00"


def test_an_attempt_still_awaited_is_part_of_the_plan():
    life = story("2023-08-01T07:00", "ok", "late>ok@300").suspend("2023-09-01T07:00:10").resume()
    assert [line[:16] for line in life.planned()] == [
        "2023-09-01 07:00", "2023-10-01 07:00", "2023-11-01 07:00", "2023-12-01 07:00",
    ]  # fmt: skip
    assert charged(life, "2023-12-01T07:00")[2:] == [
        "3 @ 2023-10-01 07:00",
        "4 @ 2023-11-01 07:00",
        "5 @ 2023-12-01 07:00",
    ]


def test_a_plan_completed_while_suspended_completes_at_the_resume_and_skips_nothing():
    life = story("2023-08-01T07:00", "ok", "late>ok@300", total_charges=2).suspend("2023-09-01T07:00:10")
    life.until("2024-01-01").told()
    assert life.resume().told() == [
        "2024-01-01 00:00 suspended → current (resumed)",
        "2024-01-01 00:00 current → completed (all_charges_made)",
    ]
