"""A block and what an unblock gives back: the exact status, and no charge (spec: customers.md §2)."""

from __future__ import annotations

import contextlib
import copy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import blocking
from domain.errors import TeikiError
from domain.projection import row_of
from domain.subscription import State, Status, next_charge, next_step
from tests.domain.driver import Story, story

ANSWERS = (
    *(
        "ok",
        "ok",
        "ok",
        "insufficient_funds",
        "insufficient_funds",
        "lost_card",
        "customer_blocked",
        "unsent",
    ),
    *("lost", "late>ok@500", "late>do_not_honor@100", "pending>ok@4000", "pending>do_not_honor@90000"),
)
PERIODS = ("daily", "weekly", "monthly", "P10D")


def lives() -> st.SearchStrategy[Story]:
    """A subscription somewhere in its life, whatever its status."""
    return st.builds(
        _lived,
        answers=st.lists(st.sampled_from(ANSWERS), max_size=8),
        period=st.sampled_from(PERIODS),
        total=st.none() | st.integers(2, 6),
        acts=st.lists(
            st.tuples(
                st.integers(0, 90 * 24 * 3600),
                st.sampled_from(
                    ("", "", "suspend", "catch_up", "next_cycle", "later", "change_card", "period_end")
                ),
            ),
            max_size=5,
        ),
    )


def _lived(answers: list[str], period: str, total: int | None, acts: list[tuple[int, str]]) -> Story:
    plan: dict[str, Any] = {"period": period} if total is None else {"period": period, "total_charges": total}
    life = story("2026-01-31 07:00", *answers, **plan)
    for seconds, what in acts:
        life.until(life.now + timedelta(seconds=seconds))
        act = {
            "": lambda: None,
            "suspend": life.suspend,
            "catch_up": lambda: life.resume(policy="catch_up"),
            "next_cycle": lambda: life.resume(policy="next_cycle"),
            "later": lambda: life.resume(next_at=life.now + timedelta(days=3)),
            "change_card": life.change_card,
            "period_end": lambda: life.cancel(mode="period_end"),
        }[what]
        with contextlib.suppress(TeikiError):
            act()
    return life


def _could_be_blocked(life: Story) -> bool:
    try:
        life.block()
    except TeikiError:
        return False
    return True


@given(life=lives(), blocked_s=st.integers(0, 70 * 24 * 3600))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_block_suspends_an_unblock_gives_back_and_charges_nothing(life: Story, blocked_s: int):
    before = copy.deepcopy(life.state)
    if not _could_be_blocked(life):
        assert life.state == before
        assert before.is_final or before.status is Status.SUSPENDED
        return
    assert (life.state.status, life.state.reason) == (Status.SUSPENDED, "blocked")
    sent = len(life.attempts)
    life.until(life.now + timedelta(seconds=blocked_s))
    assert len(life.attempts) == sent, "nothing is attempted while it is blocked"
    if life.state.is_final:  # its scheduled cancellation came
        assert life.state.held is None
        return
    if life.state.reason != "blocked":  # what was in flight left no attempt: it is suspended for that now
        assert before.in_flight is not None
        return
    life.unblock()
    after = life.state
    step = next_charge(after)
    assert after.in_flight is not None or step is None or step.at > life.now, (
        "nothing falls due by an unblock"
    )
    assert after.held is None
    missed = (
        before.in_flight is not None or (planned := next_charge(before)) is None or planned.at <= life.now
    )
    if not missed:
        assert after == before
        assert row_of(after) == row_of(before)
    if before.in_flight is None:
        assert (after.status, after.reason) == (before.status, before.reason)


@given(life=lives())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_block_remembers_survives_the_cut_of_history(life: Story):
    _could_be_blocked(life)
    again = State.model_validate_json(life.state.model_dump_json(exclude_unset=True))
    assert again == life.state
    assert next_step(again) == next_step(life.state)


def test_a_running_one_goes_on_with_the_next_date():
    life = story("2026-01-31 07:00").until("2026-02-10 12:00")
    life.told()
    life.block().unblock("2026-04-02 09:00").until("2026-05-01 00:00")
    assert life.told() == [
        "2026-02-10 12:00 current → suspended (blocked)",
        "2026-04-02 09:00 skip 2 (blocked)",
        "2026-04-02 09:00 skip 3 (blocked)",
        "2026-04-02 09:00 suspended → current (unblocked)",
        "2026-04-30 07:00 charge 4.1 1000 ok",
    ]


def test_a_retry_that_is_still_to_come_comes():
    life = story("2026-01-31 07:00", "ok", "insufficient_funds", retry={"attempts": 4}).until(
        "2026-03-01 00:00"
    )
    life.told()
    life.block("2026-03-01 12:00").unblock("2026-03-02 12:00").until("2026-03-08 00:00")
    assert life.told() == [
        "2026-03-01 12:00 unpaid → suspended (blocked)",
        "2026-03-02 12:00 suspended → unpaid (unblocked)",
        "2026-03-07 07:00 charge 2.2 1000 ok",
        "2026-03-07 07:00 unpaid → current (retry_succeeded)",
    ]


def test_a_retry_that_was_missed_is_skipped_and_the_status_stays():
    life = story("2026-01-31 07:00", "ok", "insufficient_funds").until("2026-03-01 00:00")
    life.told()
    life.block("2026-03-01 12:00").unblock("2026-03-20 12:00").until("2026-04-01 00:00")
    assert life.told() == [
        "2026-03-01 12:00 unpaid → suspended (blocked)",
        "2026-03-20 12:00 skip 2 (blocked)",
        "2026-03-20 12:00 suspended → unpaid (unblocked)",
        "2026-03-31 07:00 charge 3.1 1000 ok",
        "2026-03-31 07:00 unpaid → current (caught_up)",
    ]


def test_one_that_has_not_begun_yet_begins_at_its_date():
    life = story("2026-01-31 07:00", start_on="2026-02-15")
    life.block().unblock("2026-02-14 00:00").until("2026-02-16 00:00")
    assert life.told()[-2:] == [
        "2026-02-15 07:00 charge 1.1 1000 ok",
        "2026-02-15 07:00 unverified → current (first_payment_succeeded)",
    ]


def test_what_is_in_flight_when_the_block_comes_is_resolved_and_remembered():
    life = story("2026-01-31 07:00", "ok", "insufficient_funds", "late>ok@300").until("2026-03-07 07:00")
    assert life.state.in_flight is not None
    life.told()
    life.block().until("2026-03-08 00:00").unblock()
    told = life.told()
    assert (told[0], told[-1]) == (
        "2026-03-07 07:00 unpaid → suspended (blocked)",
        "2026-03-08 00:00 suspended → current (unblocked)",
    )
    assert told[-2].endswith("ask 2.2 1000 ok")


def test_the_last_payment_that_was_in_flight_completes_it_when_it_is_unblocked():
    life = story("2026-01-31 07:00", "ok", "late>ok@300", total_charges=2).until("2026-02-28 07:00")
    life.told()
    life.block().unblock("2026-03-01 00:00")
    assert life.told()[-2:] == [
        "2026-03-01 00:00 suspended → current (unblocked)",
        "2026-03-01 00:00 current → completed (all_charges_made)",
    ]


def test_a_due_payment_that_met_the_block_is_skipped():
    life = story("2026-01-31 07:00", "ok", "payment_method_blocked").until("2026-03-01 00:00")
    assert life.state.reason == "blocked"
    life.told()
    life.unblock("2026-03-02 00:00").until("2026-04-01 00:00")
    assert life.told() == [
        "2026-03-02 00:00 skip 2 (blocked)",
        "2026-03-02 00:00 suspended → current (unblocked)",
        "2026-03-31 07:00 charge 3.1 1000 ok",
    ]


@pytest.mark.parametrize("before", ["suspend", "cancel"])
def test_what_an_operator_did_before_stays(before: str):
    life = story("2026-01-31 07:00").until("2026-02-10 00:00")
    getattr(life, before)()
    for act in (life.block, life.unblock):
        with pytest.raises(TeikiError) as refused:
            act()
        assert refused.value.code == "invalid_status"


def test_what_an_operator_does_meanwhile_is_the_last_word():
    life = story("2026-01-31 07:00").until("2026-02-10 00:00").block()
    life.cancel("2026-02-20 00:00")
    assert life.state.held is None
    with pytest.raises(TeikiError):
        life.unblock()
    resumed = story("2026-01-31 07:00").until("2026-02-10 00:00").block()
    resumed.resume("2026-02-20 00:00")
    assert (resumed.state.status, resumed.state.held) == (Status.CURRENT, None)


def test_what_was_suspended_before_blocks_were_remembered_goes_on_as_after_a_resume():
    for answers, status in ((("customer_blocked",), "unconfirmed"), (("ok", "customer_blocked"), "current")):
        life = story("2026-01-31 07:00", *answers).until("2026-03-01 00:00")
        life.state.held = None
        life.unblock()
        assert life.state.status.value == status


def test_the_running_are_all_but_the_suspended_and_the_ended():
    assert {status.value for status in blocking.RUNNING} == {"unverified", "current", "unconfirmed", "unpaid"}
