"""The retry ladder: the default spacing of every period, the presets, and each refusal by name."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.billing_calendar import BillingCalendar, cycle_days_max
from domain.durations import Duration
from domain.errors import ErrorCode, TeikiError
from domain.retry import ATTEMPTS_MAX, RetryPolicy
from tests.domain.driver import story
from tests.domain.test_billing_calendar import PERIODS, ZONES, anchors, times


def days(policy: RetryPolicy, period: str = "monthly") -> list[int]:
    ladder = policy.ladder(period)
    assert all(rung.months == rung.seconds == 0 for rung in ladder)
    return [rung.days for rung in ladder]


@pytest.mark.parametrize(
    ("period", "attempts", "ladder"),
    [
        ("daily", None, [0]),
        ("weekly", None, [0, 1, 2, 3]),
        ("biweekly", None, [0, 3, 6, 9]),
        ("monthly", None, [0, 7, 14, 21]),
        ("bimonthly", None, [0, 15, 30, 45]),
        ("quarterly", None, [0, 22, 44, 66]),
        ("semiannually", None, [0, 45, 90, 135]),
        ("annually", None, [0, 91, 182, 273]),
        ("P10D", None, [0, 2, 4, 6]),
        ("P3D", None, [0]),
        ("P2M", None, [0, 15, 30, 45]),
        ("monthly", 3, [0, 10, 20]),
        ("monthly", 4, [0, 7, 14, 21]),
        ("monthly", 1, [0]),
        ("monthly", 7, [0, 4, 8, 12, 16, 20, 24]),
        ("weekly", 7, [0, 1, 2, 3, 4, 5, 6]),
        ("weekly", 8, [0]),
        ("daily", 1, [0]),
    ],
)
def test_the_default_spacing_is_the_cycle_divided_by_the_attempts(
    period: str, attempts: int | None, ladder: list[int]
):
    assert days(RetryPolicy(attempts=attempts), period) == ladder


@pytest.mark.parametrize(
    "given_as", ["next_day", {"preset": "next_day"}, {"interval": "next_day"}, {"interval": "P1D"}]
)
def test_next_day_is_a_named_preset(given_as: Any):
    assert days(RetryPolicy.model_validate(given_as)) == [0, 1, 2, 3]


def test_next_day_takes_a_number_of_attempts():
    assert days(RetryPolicy.model_validate({"preset": "next_day", "attempts": 3})) == [0, 1, 2]


def test_an_interval_may_be_hours():
    ladder = RetryPolicy(interval="PT48H", attempts=3).ladder("monthly")
    assert ladder == (Duration(), Duration(seconds=172_800), Duration(seconds=345_600))


def test_an_explicit_list_gives_each_step():
    assert days(RetryPolicy(intervals=("P1D", "P3D", "P1W"))) == [0, 1, 4, 11]
    assert days(RetryPolicy(intervals=("P1D", "P3D"), attempts=3)) == [0, 1, 4]
    assert days(RetryPolicy(intervals=())) == [0]


def test_a_policy_survives_json():
    for policy in (RetryPolicy(), RetryPolicy(attempts=3), RetryPolicy(intervals=("P1D", "PT6H"))):
        assert RetryPolicy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize(
    "given_as",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": ATTEMPTS_MAX + 1},
        {"interval": "P1M"},
        {"interval": "P1Y"},
        {"interval": "P0D"},
        {"interval": "1 day"},
        {"interval": "-P1D"},
        {"interval": "next_week"},
        {"intervals": ["P1D", "P1M"]},
        {"intervals": ["P1D", "P0D"]},
        {"intervals": ["next_day"]},
        {"interval": "P1D", "intervals": ["P1D"]},
        {"preset": "next_day", "intervals": ["P1D"]},
        {"preset": "next_day", "interval": "P2D"},
        {"attempts": 3, "intervals": ["P1D"]},
        {"attempts": 2, "intervals": []},
        {"intervals": ["PT1H"] * ATTEMPTS_MAX},
    ],
)
def test_a_policy_that_makes_no_sense_is_an_invalid_retry(given_as: Any):
    with pytest.raises(TeikiError) as caught:
        RetryPolicy.model_validate(given_as)
    assert caught.value.code is ErrorCode.INVALID_RETRY


@pytest.mark.parametrize("given_as", [{"preset": "weekly"}, {"attempt": 3}, {"attempts": 2.5}])
def test_a_policy_has_no_other_fields(given_as: Any):
    with pytest.raises(ValueError, match="validation error"):
        RetryPolicy.model_validate(given_as)


@pytest.mark.parametrize(
    ("period", "policy"),
    [
        ("monthly", {"interval": "P31D", "attempts": 2}),
        ("monthly", {"interval": "P10D", "attempts": 5}),
        ("monthly", {"intervals": ["P20D", "P11D"]}),
        ("monthly", {"interval": "PT744H", "attempts": 2}),
        ("monthly", {"interval": "P99999D"}),
        ("weekly", {"interval": "P7D", "attempts": 2}),
        ("daily", "next_day"),
        ("daily", {"interval": "PT24H", "attempts": 2}),
        ("daily", {"interval": "PT8H", "attempts": 4}),
        ("annually", {"interval": "P366D", "attempts": 2}),
        ("P10D", {"interval": "P5D", "attempts": 3}),
    ],
)
def test_intervals_that_never_fit_the_cycle_are_refused(period: str, policy: Any):
    with pytest.raises(TeikiError) as caught:
        RetryPolicy.model_validate(policy).require_fits(period)
    assert caught.value.code is ErrorCode.RETRY_EXCEEDS_CYCLE


@pytest.mark.parametrize(
    ("period", "policy"),
    [
        ("monthly", {"interval": "P30D", "attempts": 2}),  # it fits a month of 31 days
        ("monthly", {"interval": "P10D", "attempts": 4}),
        ("monthly", {"interval": "P40D", "attempts": 1}),  # one attempt never waits
        ("daily", {"interval": "PT8H", "attempts": 3}),
        ("daily", {"attempts": 60}),  # the default spacing always fits
        ("weekly", "next_day"),
        ("annually", {"interval": "P365D", "attempts": 2}),
    ],
)
def test_intervals_that_can_fit_are_agreed_to(period: str, policy: Any):
    RetryPolicy.model_validate(policy).require_fits(period)


@given(st.sampled_from(PERIODS), st.integers(1, ATTEMPTS_MAX))
def test_the_default_spacing_always_stays_inside_the_cycle(period: str, attempts: int):
    policy = RetryPolicy(attempts=attempts)
    ladder = days(policy, period)
    assert len(ladder) in (1, attempts)
    assert ladder[-1] < cycle_days_max(period)
    assert all(a < b for a, b in itertools.pairwise(ladder))


policies = st.one_of(
    st.builds(lambda n: {"attempts": n}, st.integers(1, 8)),
    st.builds(lambda n, d: {"attempts": n, "interval": f"P{d}D"}, st.integers(1, 6), st.integers(1, 20)),
    st.builds(lambda n, h: {"attempts": n, "interval": f"PT{h}H"}, st.integers(1, 6), st.integers(1, 300)),
    st.builds(lambda d: {"intervals": [f"PT{x}M" for x in d]}, st.lists(st.integers(1, 20_000), max_size=5)),
)


@given(anchors, times, st.sampled_from(ZONES), st.sampled_from(PERIODS), policies)
def test_no_attempt_reaches_the_next_due_instant(
    anchor: date, charge_time: Any, zone: str, period: str, policy: dict[str, Any]
):
    asked = RetryPolicy.model_validate(policy)
    try:
        asked.require_fits(period)
    except TeikiError:
        assume(False)
    life = story(
        "2022-12-01T00:00:00",
        period=period, zone=zone, retry=policy, start_on=anchor, charge_time=charge_time,
    )  # fmt: skip
    life.gateway.otherwise = "insufficient_funds"
    calendar = BillingCalendar(anchor, charge_time, zone, period)
    life.until(calendar.due(1) + timedelta(days=40))
    instants = [at for _, at in life.attempts]
    assert instants[0] == calendar.due(0)
    assert all(a < b for a, b in itertools.pairwise(instants))
    assert instants[-1] < calendar.due(1)
    rungs = [calendar.shift(calendar.due(0), rung) for rung in asked.ladder(period)]
    assert instants == [at for at in rungs if at < calendar.due(1)]
    assert life.state.status.value == "suspended"
