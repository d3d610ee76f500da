"""Outcomes that are not known: asked for, sent again only under the same living key, then shown to a person
(spec: charging.md §2, subscriptions.md §§3, 4)."""

from __future__ import annotations

import itertools
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest

from domain.declines import DeclineCategory
from domain.subscription import (
    State,
    Status,
    StepKind,
    declined,
    next_shown,
    next_step,
    settled,
    twin_found,
    verify_later,
)
from domain.unresolved import (
    PENDING_LIFE,
    VERIFICATIONS_MAX,
    Mode,
    Verification,
    question_mode,
    unresolved,
)
from tests.domain.driver import HORIZON_S, KEY_TTL_S, Story, story

BROKE = "insufficient_funds"
START = datetime(2023, 6, 1, tzinfo=UTC)


def june(*answers: str) -> Story:
    """A monthly one whose payment of 1 June gets these answers."""
    life = story("2023-05-01T07:00", "ok", *answers).until("2023-05-31")
    life.told()
    return life


def sends(life: Story) -> list[str]:
    return [line for line in life.lines if line.split()[2] in ("charge", "send", "resend")]


def test_an_unknown_outcome_is_no_failure_and_is_asked_for():
    life = june("late>ok@60").until("2023-06-30")
    assert life.told() == [
        "2023-06-01 07:00 charge 2.1 1000 unknown",
        "2023-06-01 07:00:15 ask 2.1 1000 unknown",
        "2023-06-01 07:00:45 ask 2.1 1000 unknown",
        "2023-06-01 07:01:45 ask 2.1 1000 ok",
    ]
    assert life.state.status is Status.CURRENT


def test_an_unknown_that_turns_out_declined_counts_as_one_attempt():
    life = june("late>insufficient_funds@20", BROKE, BROKE, BROKE).until("2023-12-01")
    assert [line for line in life.told() if "charge" in line or "→" in line] == [
        "2023-06-01 07:00 charge 2.1 1000 unknown",
        "2023-06-01 07:00:45 current → unpaid (payment_failed)",
        "2023-06-08 07:00 charge 2.2 1000 insufficient_funds",
        "2023-06-15 07:00 charge 2.3 1000 insufficient_funds",
        "2023-06-22 07:00 charge 2.4 1000 insufficient_funds",
        "2023-06-22 07:00 unpaid → suspended (attempts_exhausted)",
    ]


def test_it_is_sent_again_only_after_the_horizon_and_under_the_same_key():
    life = june("lost", "ok").until("2023-06-30")
    assert sends(life) == ["2023-06-01 07:00 charge 2.1 1000 unknown", "2023-06-01 07:10 resend 2.1 1000 ok"]
    asks = [line for line in life.told() if " ask " in line]
    assert [line[11:19] for line in asks] == ["07:00:15", "07:00:45", "07:01:45", "07:03:45", "07:07:45"]
    assert len(life.gateway.settled()) == 2


def test_each_sending_starts_the_horizon_anew():
    life = june("lost", "lost", "lost", "ok").until("2023-06-30")
    assert [line[11:16] for line in sends(life)] == ["07:00", "07:10", "07:20", "07:30"]
    assert len(life.attempts) == 2  # the repeats are the same attempt under the same key


def test_with_the_key_gone_nothing_is_sent_again_and_a_person_must_look():
    life = june(*["lost"] * 400).until("2023-06-10")
    opened_at = life.attempts[-1][1]
    last_sent = max(_instant(life, line) for line in sends(life))
    assert last_sent - opened_at < timedelta(seconds=KEY_TTL_S)
    step = next_step(life.state)
    assert step is not None
    assert step.kind is StepKind.ATTENTION
    assert life.state.in_flight is not None
    assert (life.state.in_flight.state, life.state.status) == ("attention", Status.CURRENT)
    assert all(
        " ask " in line for line in life.lines if _instant(life, line) >= opened_at + timedelta(hours=23)
    )


def _instant(life: Story, line: str):
    return life._instant("T".join(line.split()[:2]))


@pytest.mark.parametrize("outcome", ["ok", "declined"])
def test_a_person_settles_what_nobody_knows(outcome: str):
    life = june(*["lost"] * 400).until("2023-06-10")
    if outcome == "ok":
        settled(life.state, life.now)
        assert life.state.status is Status.CURRENT
    else:
        declined(life.state, DeclineCategory.RETRYABLE, life.now)
        assert life.state.status is Status.UNPAID
    assert life.state.in_flight is None
    life.gateway.script.clear()
    life.told()
    life.until("2023-07-01T07:00")
    assert life.charges[-1] == "2023-07-01 07:00 charge 3.1 1000 ok"


def test_nothing_else_is_charged_while_an_outcome_is_unknown():
    life = june(*["lost"] * 2_000).until("2023-09-15")
    assert {number for number, _ in life.attempts} == {1, 2}
    assert len(life.gateway.settled()) == 1


@pytest.mark.parametrize("answer", ["lost", "late>ok@7200", "late>ok@60"])
def test_suspended_while_in_flight_it_is_never_sent_again(answer: str):
    life = june(answer).suspend("2023-06-01T07:00:05").until("2023-06-30")
    assert len(sends(life)) == 1
    assert life.state.status is Status.SUSPENDED
    assert life.state.charges == (1 if answer == "lost" else 2)  # what arrived late is not forgotten


def test_suspended_while_in_flight_its_success_still_counts():
    life = june("late>ok@60").suspend("2023-06-01T07:00:05").resume("2023-07-15")
    assert life.state.charges == 2
    assert life.skipped == {3}


def test_suspended_while_in_flight_its_decline_counts_as_missed():
    life = june("late>insufficient_funds@60").suspend("2023-06-01T07:00:05").resume("2023-06-15", "catch_up")
    life.until("2023-06-16")
    assert life.lines[-2:] == [
        "2023-06-15 00:00 charge 2.2 1000 ok",
        "2023-06-15 00:00 unpaid → current (retry_succeeded)",
    ]


# -- unsent


def test_a_gateway_that_takes_nothing_uses_up_no_attempt():
    life = june("unsent", "unsent", "unsent", "ok").until("2023-06-30")
    assert life.told() == [
        "2023-06-01 07:00 charge 2.1 1000 unsent",
        "2023-06-01 07:00:15 send 2.1 1000 unsent",
        "2023-06-01 07:00:45 send 2.1 1000 unsent",
        "2023-06-01 07:01:45 send 2.1 1000 ok",
    ]


def test_an_outage_of_days_is_waited_out_with_a_fresh_key_and_a_bounded_interval():
    life = june(*["unsent"] * 800).until("2023-06-04")
    instants = [_instant(life, line) for line in life.lines]
    assert max(b - a for a, b in itertools.pairwise(instants)) == timedelta(minutes=10)
    life.gateway.script = deque(["lost", "ok"])  # the key's lifetime begins with the first real sending
    life.until("2023-06-05")
    assert life.lines[-1].endswith("resend 2.1 1000 ok")
    assert life.state.status is Status.CURRENT


@pytest.mark.parametrize("end", ["suspend", "cancel"])
def test_what_never_left_is_dropped_when_it_is_not_wanted_any_more(end: str):
    life = june("unsent")
    getattr(life, end)("2023-06-01T07:00:05")
    life.until("2023-06-30")
    assert sends(life) == ["2023-06-01 07:00 charge 2.1 1000 unsent"]
    assert "give_up 2.1 1000 never_arrived" in life.lines[-1]
    assert (life.state.in_flight, life.refunds) == (None, [])


def test_a_gateway_that_is_down_later_does_not_undo_what_was_sent():
    life = june("lost", "unsent").until("2023-06-01T07:10")
    flight = life.state.in_flight
    assert flight is not None
    assert life.lines[-1] == "2023-06-01 07:10 resend 2.1 1000 unsent"
    assert (flight.state, flight.sent_at) == ("unknown", life.attempts[-1][1])
    assert question_mode(life.state.in_flight, life.now) is Mode.RESEND


# -- pending


def test_a_pending_first_payment_stays_unverified_until_it_settles():
    life = story("2023-06-01T07:00", "pending>ok@3600").until("2023-06-30")
    assert life.lines[-1] == life.statuses[0]
    assert life.statuses[0].endswith("unverified → current (first_payment_succeeded)")
    assert len(sends(life)) == 1


def test_a_pending_payment_is_asked_for_at_growing_intervals_and_given_up_after_a_day():
    life = story("2023-06-01T07:00", "pending").until("2023-06-07")
    instants = [_instant(life, line) for line in life.lines if " → " not in line]
    gaps = [b - a for a, b in itertools.pairwise(instants)]
    assert gaps[0] == timedelta(seconds=30)
    assert gaps[:-1] == sorted(gaps[:-1])
    assert max(gaps) == timedelta(hours=1)
    assert instants[-1] - instants[0] == PENDING_LIFE
    assert life.lines[-2:] == [
        "2023-06-02 07:00 give_up 1.1 1000 pending_expired",
        "2023-06-02 07:00 unverified → unconfirmed (first_payment_failed)",
    ]


def test_a_pending_payment_given_up_is_retried_by_the_policy():
    life = story("2023-06-01T07:00", "pending", retry={"attempts": 3}).until("2023-06-30")
    assert life.charges[1:] == ["2023-06-11 07:00 charge 1.2 1000 ok"]


@pytest.mark.parametrize("kind", ["unknown", "unsent"])
def test_a_pending_payment_whose_question_fails_is_still_pending_and_never_sent_again(kind):
    life = june("pending").until("2023-06-01T07:05")
    unresolved(life.state.in_flight, kind, life.now, horizon_s=HORIZON_S, key_ttl_s=KEY_TTL_S)
    for hours in (1, 2, 20):
        assert question_mode(life.state.in_flight, life.now + timedelta(hours=hours)) is Mode.ASK
    assert question_mode(life.state.in_flight, life.attempts[-1][1] + PENDING_LIFE) is Mode.GIVE_UP


def test_a_pending_payment_of_a_suspended_one_is_awaited():
    life = june("pending>ok@3600").suspend("2023-06-01T07:10").until("2023-06-30")
    assert (life.state.status, life.state.charges) == (Status.SUSPENDED, 2)


def test_an_unknown_that_becomes_pending_is_never_sent_again():
    life = june("lost").until("2023-06-01T07:00:20")
    unresolved(life.state.in_flight, "pending", life.now)
    assert question_mode(life.state.in_flight, life.now + timedelta(hours=3)) is Mode.ASK


# -- what older code wrote


def test_a_refund_of_an_older_run_goes_on_where_it_was():
    """Before refunds had a flight of their own, a run had at most one, with the flight's fields in it."""
    life = story("2023-05-01T07:00", "ok")
    at = "2023-06-01T00:00:00Z"
    old = life.state.model_dump(mode="json", exclude={"refunds", "verifications"})
    asked = {"number": 1, "amount_minor": 1000, "sent_at": at, "next_at": at, "resent_at": at, "asks": 3}
    state = State.model_validate(old | {"refund": asked})
    (refund,) = state.refunds
    assert (refund.flight.state, refund.flight.asks, refund.attempt, refund.returns) == (
        "unknown",
        3,
        1,
        None,
    )
    never_left = State.model_validate(old | {"refund": {**asked, "resent_at": None}})
    assert never_left.refunds[0].flight.state == "unsent"
    assert State.model_validate(old | {"refund": None}).refunds == ()


# -- the second look


def test_a_verification_is_no_step_that_people_are_shown():
    life = story("2023-05-01T07:00", "ok").until("2023-05-02")
    verify_later(life.state, 1, 1, life.now, in_s=600)
    step = next_step(life.state)
    assert step is not None
    assert (step.kind, step.at) == (StepKind.VERIFY, life.now + timedelta(seconds=600))
    shown = next_shown(life.state)
    assert shown is not None
    assert shown.kind is StepKind.PAYMENT


def test_a_verification_is_given_up_after_many_questions_and_left_to_reconciliation():
    asked: Verification | None = Verification(number=1, attempt=1, next_at=START)
    count = 0
    while asked is not None:
        count += 1
        assert asked.next_at - START <= timedelta(hours=24)
        asked = asked.ask_again(asked.next_at)
    assert count == VERIFICATIONS_MAX


def test_a_twin_found_twice_goes_back_once():
    life = story("2023-05-01T07:00", "ok").until("2023-05-02")
    for _ in range(2):
        twin_found(life.state, 1, "ch_2", 1000, life.now)
    twin_found(life.state, 1, "ch_3", 1000, life.now)
    assert [refund.returns for refund in life.state.refunds] == ["ch_2", "ch_3"]
    assert not life.state.is_at_rest


def test_the_gateways_wish_to_be_left_alone_is_respected():
    life = june("unsent")
    life.until("2023-06-01T07:00")
    flight = life.state.in_flight
    assert flight is not None
    unresolved(flight, "unsent", life.now, retry_after_s=90)
    assert flight.next_at == life.now + timedelta(seconds=90)
