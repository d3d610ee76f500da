"""One slip, asked about (orders.md §4): its deadline, its grace, its notices, and the money that comes too late."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from domain import deposit as deposits
from domain.deposit import DepositState, DepositStatus, next_step
from domain.errors import TeikiError
from domain.money import Money
from domain.order_terms import KonbiniSpec
from domain.unresolved import unresolved
from tests.domain.order_world import KONBINI, START, World, an_order

JST = "+09:00"


def a_slip(at: datetime = START, **more) -> DepositState:
    konbini = KonbiniSpec.model_validate(KONBINI | more)
    return deposits.opened("kon_11", "ord_1", 1, konbini, Money(minor=3500, currency="JPY"), at)


def issued(**more) -> DepositState:
    slip = a_slip(**more)
    deposits.shown_pending(slip, "ch_1", START, preliminary=False)
    return slip


@pytest.mark.parametrize(
    ("issued_at", "more", "deadline", "final"),
    [
        ("2026-04-01T12:00:00+09:00", {}, "2026-04-04T23:59:59+09:00", "2026-04-05T00:29:59+09:00"),
        ("2026-04-01T23:59:59+09:00", {}, "2026-04-04T23:59:59+09:00", "2026-04-05T00:29:59+09:00"),
        ("2026-04-02T00:00:00+09:00", {}, "2026-04-05T23:59:59+09:00", "2026-04-06T00:29:59+09:00"),
        ("2026-04-01T16:00:00+00:00", {"deadline_days": 1}, "2026-04-03T23:59:59+09:00", "2026-04-04T00:29:59+09:00"),
        (
            "2026-02-28T12:00:00+09:00",
            {"deadline_days": 60, "grace_minutes": 0},
            "2026-04-29T23:59:59+09:00",
            "2026-04-29T23:59:59+09:00",
        ),
    ],
)  # fmt: skip
def test_the_deadline_is_the_last_second_of_a_day_in_japan_and_the_grace_follows(
    issued_at, more, deadline, final
):
    slip = a_slip(datetime.fromisoformat(issued_at), **more)
    assert (slip.deadline_at, slip.final_at) == (
        datetime.fromisoformat(deadline),
        datetime.fromisoformat(final),
    )


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"phone": "12345"}, "invalid_phone"),
        ({"phone": "+1 555 0100"}, "invalid_phone"),
        ({"deadline_days": 0}, None),
        ({"deadline_days": 61}, None),
        ({"store": "corner_shop"}, None),
        ({"customer_name": " "}, None),
    ],
)
def test_what_no_till_would_take_is_refused(more, code):
    with pytest.raises((TeikiError, ValueError)) as refused:
        a_slip(**more)
    if code is not None:
        assert refused.value.code == code


@pytest.mark.parametrize("phone", ["090-0000-0000", "+81 90 0000 0000", "(03)0000-0000", "0300000000"])
def test_japanese_phone_numbers_are_understood_however_they_are_written(phone):
    assert a_slip(phone=phone).konbini.phone.isdigit()


# ---------------------------------------------------------------------- paid, or not, and when


@pytest.mark.parametrize(
    ("paid_after", "status", "order", "kept"),
    [
        (timedelta(minutes=1), "paid", "complete", 3500),
        (timedelta(days=3, hours=11), "paid", "complete", 3500),
        (timedelta(days=3, hours=12, minutes=15), "paid", "complete", 3500),  # within the grace
        (timedelta(days=3, hours=12, minutes=40), "expired", "canceled", 0),  # after it
        (timedelta(days=20), "expired", "canceled", 0),
    ],
)
@pytest.mark.parametrize("is_told", [True, False])
def test_a_slip_ends_right_also_when_every_notice_is_lost(paid_after, status, order, kept, is_told):
    world = World.begun(an_order())
    world.pass_time(paid_after)
    world.at_the_till(1, "pays")
    if is_told:
        world.notify()
    world.pass_time(timedelta(days=4) if kept else timedelta(days=40))
    assert (world.slips[1].status, world.state.status) == (status, order)
    assert world.settled - world.returned == kept
    if status == "expired":
        assert world.state.payment_status == "payment_deadline_expired"
        assert world.state.permission is None


def test_it_is_asked_about_at_the_deadline_and_at_the_end_of_the_grace_and_ever_more_rarely_before():
    slip, asked = issued(), []
    while (step := next_step(slip)).name == "ask":
        asked.append(step.at)
        deposits.shown_pending(slip, "ch_1", step.at, preliminary=False)
    assert slip.deadline_at in asked
    assert (step.name, step.at) == ("void", slip.final_at)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert gaps[0] == timedelta(minutes=20)
    assert max(gaps) == timedelta(hours=6)
    assert len(asked) < 25


@pytest.mark.parametrize("down_for", [timedelta(hours=1), timedelta(days=2), timedelta(days=9)])
@pytest.mark.parametrize("is_paid", [True, False])
def test_a_payment_company_that_is_down_delays_the_end_and_does_not_change_it(down_for, is_paid):
    world = World.begun(an_order())
    world.pass_time(timedelta(days=3, hours=11, minutes=50))
    world.is_down = True
    if is_paid:
        world.at_the_till(1, "pays")
    world.pass_time(down_for)
    assert world.state.status == "in_process", "not to be able to ask proves nothing"
    world.is_down = False
    world.pass_time(timedelta(days=1))
    expected = ("complete", "paid") if is_paid else ("canceled", "expired")
    assert (world.state.status, world.slips[1].status) == expected


@pytest.mark.parametrize("down_for", [timedelta(hours=1), timedelta(days=4), timedelta(days=9)])
def test_a_slip_that_cannot_be_issued_is_given_up_when_its_time_is_over(down_for):
    world = World(an_order(), is_down=True)
    world.pass_time(down_for)
    world.is_down = False
    world.pass_time(timedelta(hours=8))
    if down_for < timedelta(days=3):
        assert world.slips[1].status == "issued"
    else:
        assert (world.slips[1].status, world.state.status, world.till) == ("expired", "canceled", {})


def test_a_slip_that_is_not_wanted_any_more_is_voided_at_once():
    world = World.begun(an_order())
    world.do("cancel")
    world.pass_time(timedelta())
    assert (world.slips[1].status, world.slips[1].reason) == ("canceled", "canceled_by_admin")
    assert not world.till[1].is_open
    assert world.state.is_at_rest


def test_a_slip_the_payment_company_refuses_has_failed():
    slip = a_slip()
    (move,) = deposits.closed(slip, START, refused=True)
    assert (move.to, move.reason) == (DepositStatus.FAILED, "refused")


def test_a_slip_announced_as_paid_outlives_its_grace():
    slip = issued()
    deposits.shown_pending(slip, "ch_1", slip.deadline_at - timedelta(minutes=1), preliminary=True)
    assert next_step(slip).name == "ask"
    deposits.shown_pending(slip, "ch_1", slip.final_at, preliminary=True)
    assert next_step(slip).name == "ask"


@pytest.mark.parametrize(("minutes_before", "next_name"), [(60, "ask"), (-5, "void")])
def test_a_notice_taken_back_leaves_it_payable_before_the_deadline_and_ends_it_after(
    minutes_before, next_name
):
    slip = issued()
    deposits.shown_pending(slip, "ch_1", START + timedelta(hours=1), preliminary=True)
    now = slip.deadline_at - timedelta(minutes=minutes_before)
    (move,) = deposits.shown_pending(slip, "ch_1", now, preliminary=False)
    assert (move.to, move.reason) == (DepositStatus.ISSUED, "preliminary_canceled")
    assert next_step(slip).name == next_name


# ---------------------------------------------------------------------- late and double money


@pytest.mark.parametrize("payments", [1, 2, 3])
@pytest.mark.parametrize("is_paid", [True, False])
def test_money_after_the_end_and_a_second_time_goes_back_by_itself(payments, is_paid):
    world = World.begun(an_order())
    if is_paid:
        world.at_the_till(1, "pays")
        world.notify()
    world.pass_time(timedelta(days=5))
    for _ in range(payments):
        world.at_the_till(1, "pays")
    world.pass_time(timedelta(days=40))
    assert world.settled - world.returned == (3500 if is_paid else 0)
    assert world.state.status == ("purchase_confirmed" if is_paid else "canceled")
    assert world.slips[1].refunds == ()


def test_the_same_late_money_seen_twice_goes_back_once():
    slip = issued()
    deposits.paid(slip, START)
    assert deposits.late_money(slip, "ch_2", 3500, START)
    assert not deposits.late_money(slip, "ch_2", 3500, START)
    assert len(slip.refunds) == 1


def test_it_is_watched_for_thirty_days_and_longer_while_something_is_open():
    slip = issued()
    deposits.paid(slip, START)
    looks = 0
    while (step := next_step(slip)) is not None:
        looks += 1
        deposits.watched(slip, step.at, clear=True)
        assert looks < 40
    assert step is None
    slip = issued()
    deposits.paid(slip, START)
    slip.watch_at = slip.watch_until
    deposits.watched(slip, slip.watch_until, clear=False)
    assert next_step(slip).name == "watch"


def test_a_notice_brings_the_next_question_forward_and_none_after_the_watch():
    slip = issued()
    deposits.noticed(slip, START + timedelta(seconds=1))
    assert next_step(slip).at == START + timedelta(seconds=1)
    deposits.paid(slip, START + timedelta(seconds=2))
    deposits.noticed(slip, START + timedelta(seconds=3))
    assert next_step(slip) == ("watch", START + timedelta(seconds=3))


def test_a_slip_that_has_ended_is_not_canceled_any_more():
    slip = issued()
    deposits.paid(slip, START)
    deposits.cancel(slip, "canceled_by_customer", START)
    assert (slip.status, slip.cancel_reason) == (DepositStatus.PAID, None)
    with pytest.raises(TeikiError):
        deposits.require_open(slip)


def test_what_waits_for_a_person_is_asked_about_every_six_hours():
    slip = a_slip()
    assert slip.flight is not None
    unresolved(slip.flight, "attention", START)
    assert next_step(slip).at == START + timedelta(hours=6)
