"""Cancel, scheduled cancel, cancel now, recover (spec: subscriptions.md §6)."""

from __future__ import annotations

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.subscription import Status, next_step
from tests.domain.driver import Story, story

BROKE = "insufficient_funds"


def scheduled_for(life: Story) -> str:
    assert life.state.cancel_at is not None
    return life._local(life.state.cancel_at)


def test_cancel_now_is_final_at_once():
    life = story("2023-08-01T07:00").cancel("2023-08-15T12:00")
    assert life.told()[-1] == "2023-08-15 12:00 current → canceled (canceled_now)"
    assert next_step(life.state) is None


def test_cancel_now_stops_pending_retries():
    life = story("2023-08-01T07:00", "ok", BROKE).cancel("2023-09-05T12:00").until("2033-01-01")
    assert len(life.charges) == 2
    assert life.lines[-1] == "2023-09-05 12:00 unpaid → canceled (canceled_now)"


def test_at_the_period_end_it_is_cancelled_without_charging():
    life = story("2023-08-01T07:00").cancel("2023-08-15T12:00", mode="period_end")
    assert (life.state.status, scheduled_for(life)) == (Status.CURRENT, "2023-09-01 07:00")
    assert life.until("2033-01-01").told()[2:] == ["2023-09-01 07:00 current → canceled (period_ended)"]
    assert life.state.cancel_at is None


def test_retry_dates_do_not_trigger_a_scheduled_cancellation():
    life = story("2023-08-01T07:00", "ok", BROKE, BROKE, "ok").cancel("2023-09-02T12:00", mode="period_end")
    assert scheduled_for(life) == "2023-10-01 07:00"
    assert life.until("2033-01-01").told()[3:] == [
        "2023-09-01 07:00 current → unpaid (payment_failed)",
        "2023-09-08 07:00 charge 2.2 1000 insufficient_funds",
        "2023-09-15 07:00 charge 2.3 1000 ok",
        "2023-09-15 07:00 unpaid → current (retry_succeeded)",
        "2023-10-01 07:00 current → canceled (period_ended)",
    ]


def test_it_ends_on_its_day_even_when_suspended():
    life = story("2023-08-01T07:00").suspend("2023-08-10").cancel("2023-08-15T12:00", mode="period_end")
    life.until("2033-01-01")
    assert life.lines[-1] == "2023-09-01 07:00 suspended → canceled (period_ended)"


def test_suspended_after_its_dates_passed_it_ends_on_the_next_one():
    life = story("2023-08-01T07:00").suspend("2023-08-10").cancel("2023-10-15T12:00", mode="period_end")
    assert scheduled_for(life) == "2023-11-01 07:00"
    life.resume("2023-10-16T10:00", "catch_up").until("2033-01-01")
    assert [line[:16] for line in life.charges] == [
        "2023-08-01 07:00",
        "2023-10-16 10:00",
        "2023-10-16 10:20",
    ]
    assert life.lines[-1] == "2023-11-01 07:00 current → canceled (period_ended)"


def test_before_the_first_payment_it_ends_without_any_charge():
    life = story("2023-08-01T12:00", start_on="2023-09-01").cancel(mode="period_end").until("2033-01-01")
    assert life.told() == ["2023-09-01 07:00 unverified → canceled (period_ended)"]


def test_with_the_last_payment_outstanding_it_ends_where_the_next_would_have_been():
    life = story("2023-08-01T07:00", "ok", BROKE, BROKE, BROKE, BROKE, total_charges=2)
    life.cancel("2023-09-02", mode="period_end")
    assert scheduled_for(life) == "2023-10-01 07:00"
    life.until("2033-01-01")
    assert life.lines[-2:] == [
        "2023-09-22 07:00 unpaid → suspended (attempts_exhausted)",
        "2023-10-01 07:00 suspended → canceled (period_ended)",
    ]


def test_a_last_payment_that_succeeds_completes_it_before_the_cancellation():
    life = story("2023-08-01T07:00", "ok", BROKE, "ok", total_charges=2)
    life.cancel("2023-09-02", mode="period_end").until("2033-01-01")
    assert (life.state.status, life.state.cancel_at) == (Status.COMPLETED, None)


def test_a_named_next_payment_is_the_next_scheduled_date():
    life = story("2023-08-01T07:00").suspend("2023-08-10").resume("2023-08-11", next_at="2023-08-20T09:00")
    life.cancel(mode="period_end")
    assert scheduled_for(life) == "2023-08-20 09:00"
    assert len(life.until("2033-01-01").charges) == 1


def test_recover_takes_the_schedule_back_and_changes_nothing_else():
    life = story("2023-08-01T07:00").until("2023-08-15T12:00")
    before = life.state.model_copy(deep=True)
    life.cancel(mode="period_end").recover("2023-08-20T12:00")
    assert life.state == before
    life.until("2023-09-01T07:00")
    assert life.lines[-1] == "2023-09-01 07:00 charge 2.1 1000 ok"


def test_cancel_now_on_a_scheduled_one():
    life = story("2023-08-01T07:00").cancel("2023-08-15", mode="period_end").cancel("2023-08-16T09:00")
    assert life.lines[-1] == "2023-08-16 09:00 current → canceled (canceled_now)"
    assert life.state.cancel_at is None
    assert next_step(life.state) is None


def refused(life: Story, operation: str, **arguments: str) -> TeikiError:
    before = life.state.model_copy(deep=True)
    with pytest.raises(TeikiError) as caught:
        getattr(life, operation)(**arguments)
    assert life.state == before
    return caught.value


def test_there_is_nothing_to_recover_without_a_schedule():
    life = story("2023-08-01T07:00").until("2023-08-15")
    assert refused(life, "recover").code is ErrorCode.NOT_SCHEDULED_FOR_CANCELLATION
    life.cancel(mode="period_end").recover()
    assert refused(life, "recover").code is ErrorCode.NOT_SCHEDULED_FOR_CANCELLATION


def test_a_second_schedule_is_refused_with_the_first_ones_date():
    life = story("2023-08-01T07:00").cancel("2023-08-15", mode="period_end")
    error = refused(life, "cancel", mode="period_end")
    assert error.code is ErrorCode.ALREADY_SCHEDULED_FOR_CANCELLATION
    assert error.facts == {"cancel_at": "2023-08-31T22:00:00+00:00"}


@pytest.mark.parametrize("end", ["canceled", "completed"])
def test_canceled_and_completed_are_final(end: str):
    life = story("2023-08-01T07:00", total_charges=2).until("2023-08-02")
    life = life.cancel() if end == "canceled" else life.until("2023-09-01T07:00")
    assert life.state.status.value == end
    for operation, arguments in [
        ("suspend", {}),
        ("resume", {}),
        ("cancel", {}),
        ("cancel", {"mode": "period_end"}),
        ("recover", {}),
        ("change_card", {}),
        ("change_amount", {"minor": 5}),
    ]:
        assert refused(life, operation, **arguments).code is ErrorCode.INVALID_STATUS


@pytest.mark.parametrize("minor", [0, -5])
def test_an_amount_that_is_nothing_is_refused(minor: int):
    life = story("2023-08-01T07:00").until("2023-08-02")
    before = life.state.model_copy(deep=True)
    with pytest.raises(TeikiError) as caught:
        life.change_amount(minor)
    assert (caught.value.code, life.state) == (ErrorCode.INVALID_MONEY, before)


# -- a late success


@pytest.mark.parametrize("answer", ["late>ok@60", "lost"])
def test_an_attempt_awaited_when_it_is_cancelled_is_never_sent_again(answer: str):
    life = story("2023-08-01T07:00", "ok", answer).cancel("2023-09-01T07:00:05").until("2033-01-01")
    assert not [line for line in life.lines if " resend " in line]
    assert (life.state.status, life.state.in_flight) == (Status.CANCELED, None)
    assert life.refunds == ([(2, 1000)] if answer == "late>ok@60" else [])


def test_a_late_success_revives_nothing_and_the_money_goes_back():
    life = story("2023-08-01T07:00", "ok", "late>ok@60").cancel("2023-09-01T07:00:05").until("2033-01-01")
    assert life.told()[3:] == [
        "2023-09-01 07:00:05 current → canceled (canceled_now)",
        "2023-09-01 07:00:05 ask 2.1 1000 unknown",
        "2023-09-01 07:00:35 ask 2.1 1000 unknown",
        "2023-09-01 07:01:35 ask 2.1 1000 ok",
        "2023-09-01 07:01:35 refund 2 1000",
    ]
    assert life.state.status is Status.CANCELED


def test_a_success_after_the_period_ended_is_refunded_too():
    life = story("2023-08-01T07:00", "ok", BROKE, retry={"interval": "PT719H", "attempts": 2})
    life.gateway.script.append("pending>ok@7200")
    life.cancel("2023-09-02", mode="period_end").until("2033-01-01")
    assert [line for line in life.lines if " → " in line][
        -1
    ] == "2023-10-01 07:00 unpaid → canceled (period_ended)"
    assert life.gateway.settled()[-1:] == life.gateway.settled()[:1]  # the pending one was given up


def test_a_pending_attempt_is_given_up_when_it_is_cancelled():
    life = story("2023-08-01T07:00", "ok", "pending").cancel("2023-09-01T07:00:05").until("2033-01-01")
    assert life.told()[3:] == [
        "2023-09-01 07:00:05 current → canceled (canceled_now)",
        "2023-09-01 07:00:05 give_up 2.1 1000 pending_expired",
    ]
    assert (life.state.open, life.state.in_flight, life.refunds) == (None, None, [])


def test_a_refund_the_gateway_cannot_take_is_asked_for_again():
    life = story("2023-08-01T07:00", "ok", "late>ok@1", "unsent", "unsent").cancel("2023-09-01T07:00:05")
    assert life.until("2033-01-01").told()[-3:] == [
        "2023-09-01 07:00:05 refund 2 unsent",
        "2023-09-01 07:00:20 refund 2 unsent",
        "2023-09-01 07:00:50 refund 2 1000",
    ]
    assert life.refunds == [(2, 1000)]
