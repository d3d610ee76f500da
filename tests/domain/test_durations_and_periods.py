"""Durations, periods and zones: what is understood, and the names of the refusals."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing_calendar import Period, cycle_days_max, cycle_days_nominal, parse_period, parse_zone
from domain.durations import Duration, parse_duration
from domain.errors import ErrorCode, TeikiError


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P10D", Duration(days=10)),
        ("P2M", Duration(months=2)),
        ("P1Y6M", Duration(months=18)),
        ("P2W", Duration(days=14)),
        ("P1M10D", Duration(months=1, days=10)),
        ("PT48H", Duration(seconds=172_800)),
        ("PT90M", Duration(seconds=5_400)),
        ("PT5S", Duration(seconds=5)),
        ("P1DT1H1M1S", Duration(days=1, seconds=3_661)),
    ],
)
def test_a_duration_keeps_months_days_and_seconds_apart(text: str, duration: Duration):
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "", "P", "PT", "P0D", "PT0S", "P0Y0M", "P-1D", "-P1D", "+P1D", "P1.5D", "P1,5D", "p1d", "1D", "P1D ",
        " P1D", "P1D\n", "P1DT", "P1H", "PT1D", "P1D1M", "P1M1Y", "P1W1Y", "P１D", "P99999Y", "P1DP1D",
        None, 1, 1.5, True, b"P1D", ["P1D"], {},
    ],
)  # fmt: skip
def test_anything_else_is_an_invalid_duration(text: Any):
    with pytest.raises(TeikiError) as caught:
        parse_duration(text)
    assert caught.value.code is ErrorCode.INVALID_DURATION


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9999))
def test_every_written_duration_is_read_exactly(years: int, months: int, days: int, hours: int):
    text = f"P{years}Y{months}M{days}D" + (f"T{hours}H" if hours else "")
    expected = Duration(years * 12 + months, days, hours * 3600)
    if expected == Duration():
        return
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("period", "duration", "longest", "nominal"),
    [
        ("daily", Duration(days=1), 1, 1),
        ("weekly", Duration(days=7), 7, 7),
        ("biweekly", Duration(days=14), 14, 14),
        ("monthly", Duration(months=1), 31, 30),
        ("bimonthly", Duration(months=2), 62, 60),
        ("quarterly", Duration(months=3), 92, 90),
        ("semiannually", Duration(months=6), 184, 180),
        ("annually", Duration(months=12), 366, 365),
        ("P10D", Duration(days=10), 10, 10),
        ("P2M", Duration(months=2), 62, 60),
        ("P3W", Duration(days=21), 21, 21),
        ("P2Y", Duration(months=24), 731, 730),
        ("P10Y", Duration(months=120), 3653, 3650),
    ],
)
def test_each_period_has_its_length(period: str, duration: Duration, longest: int, nominal: int):
    assert parse_period(period) == duration
    assert cycle_days_max(period) == longest
    assert cycle_days_nominal(period) == nominal


def test_the_named_periods_are_those_of_the_spec():
    assert list(Period) == (
        ["daily", "weekly", "biweekly", "monthly", "bimonthly", "quarterly", "semiannually", "annually"]
    )


@pytest.mark.parametrize(
    "period",
    [
        "", "Monthly", "MONTHLY", "month", "fortnightly", " monthly", "P0D", "PT24H", "P1DT1H", "PT1S", "P-1M",
        "P11Y", "P121M", "P3800D", "P1.5M", "p1m", None, 30,
    ],
)  # fmt: skip
def test_anything_else_is_an_invalid_period(period: Any):
    with pytest.raises(TeikiError) as caught:
        parse_period(period)
    assert caught.value.code is ErrorCode.INVALID_PERIOD


@pytest.mark.parametrize(
    "zone", ["Asia/Tokyo", "America/Argentina/Buenos_Aires", "UTC", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
def test_an_iana_name_is_a_zone(zone: str):
    assert parse_zone(zone).key == zone


def test_every_zone_of_the_database_is_accepted():
    refused = {name for name in available_timezones() if not _is_zone(name)}
    assert refused <= {"localtime", "Factory"}


def _is_zone(name: str) -> bool:
    try:
        parse_zone(name)
    except TeikiError:
        return False
    return True


@pytest.mark.parametrize(
    "zone",
    [
        "", "asia/tokyo", "ASIA/TOKYO", "Tokyo", "JST", "+09:00", "UTC+9", "GMT+09:00", "Asia", "Asia/", ".",
        "..", "../Asia/Tokyo", "/etc/localtime", "Asia/../Asia/Tokyo", "Asia/Tokyo\x00", "Asia/Tokyo\n", " Asia/Tokyo",
        "zone.tab", "tzdata.zi", "localtime", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo", "Factory",
        "x" * 5000, "\ud800", None, 9, ["UTC"],
    ],
)  # fmt: skip
def test_anything_else_is_an_invalid_zone(zone: Any):
    with pytest.raises(TeikiError) as caught:
        parse_zone(zone)
    assert caught.value.code is ErrorCode.INVALID_ZONE
