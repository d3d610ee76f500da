"""When nobody could send for a while: the domain decides by instants, however late they are met."""

from __future__ import annotations

from domain.subscription import Status
from tests.domain.driver import Story, story

BROKE = "insufficient_funds"


def down_until(life: Story, back_at: str) -> Story:
    """Nothing runs from here until then; after that everything overdue is met at once."""
    life.told()
    life.now = life._instant(back_at)
    return life


def test_a_late_attempt_moves_the_rest_of_its_ladder_along():
    life = story("2023-05-01T07:00", "ok", BROKE, BROKE, BROKE, BROKE).until("2023-05-31")
    down_until(life, "2023-06-05T10:00").until("2023-12-01")
    assert life.told() == [
        "2023-06-05 10:00 charge 2.1 1000 insufficient_funds",
        "2023-06-05 10:00 current → unpaid (payment_failed)",
        "2023-06-12 10:00 charge 2.2 1000 insufficient_funds",
        "2023-06-19 10:00 charge 2.3 1000 insufficient_funds",
        "2023-06-26 10:00 charge 2.4 1000 insufficient_funds",
        "2023-06-26 10:00 unpaid → suspended (attempts_exhausted)",
    ]


def test_retry_dates_that_passed_meanwhile_are_not_made_up_for_in_a_row():
    life = story("2023-05-01T07:00", "ok", BROKE, BROKE, "ok", retry="next_day").until("2023-06-01T12:00")
    down_until(life, "2023-06-10T10:00").until("2023-06-30")
    assert life.charges == [
        "2023-06-10 10:00 charge 2.2 1000 insufficient_funds",
        "2023-06-11 10:00 charge 2.3 1000 ok",
    ]


def test_a_minute_late_is_no_outage():
    life = story("2023-05-01T07:00", "ok", BROKE, "ok").until("2023-05-31")
    down_until(life, "2023-06-01T07:00:59").until("2023-06-30")
    assert life.charges[-1] == "2023-06-08 07:00 charge 2.2 1000 ok"


def test_several_dates_missed_by_an_outage_are_charged_twenty_minutes_apart():
    life = story("2023-05-01T07:00").until("2023-05-31")
    down_until(life, "2023-08-02T10:00").until("2023-09-01T07:00")
    assert life.told() == [
        "2023-08-02 10:00 charge 2.1 1000 ok",
        "2023-08-02 10:20 charge 3.1 1000 ok",
        "2023-08-02 10:40 charge 4.1 1000 ok",
        "2023-09-01 07:00 charge 5.1 1000 ok",
    ]
    assert life.state.status is Status.CURRENT


def test_an_answer_that_came_after_the_next_due_instant_is_the_last_attempt():
    life = story("2023-05-01T07:00", "ok", BROKE, period="daily", retry={"interval": "PT12H", "attempts": 2})
    life.until("2023-05-02T08:00")
    life.gateway.script.append("pending>issuer_unavailable@50000")  # over the next morning
    life.until("2023-05-04T12:00")
    assert life.statuses[-1].endswith("unpaid → suspended (attempts_exhausted)")
    assert {number for number, _ in life.attempts} == {1, 2}


def test_a_cancellation_that_fell_due_during_an_outage_still_comes_uncharged():
    life = story("2023-05-01T07:00").cancel("2023-05-15", mode="period_end")
    down_until(life, "2023-09-10T10:00").until("2023-12-01")
    assert life.told() == ["2023-09-10 10:00 current → canceled (period_ended)"]
