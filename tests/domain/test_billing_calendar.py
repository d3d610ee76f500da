"""The billing calendar: the spec's examples, then its promises over thirty years and in many zones."""

from __future__ import annotations

import itertools
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.billing_calendar import BillingCalendar, add_months, parse_period
from domain.durations import Duration
from domain.terms import agree
from tests.domain.driver import spec

SEVEN = time(7)
# Half-hour daylight saving, the far side of the date line, a DST that stops for Ramadan, gaps at midnight,
# a gap across midnight (Nuuk), a quarter-hour offset, none at all.
ZONES = (
    "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu",
    "America/Nuuk", "Asia/Beirut", "America/Santiago", "Europe/Dublin", "Pacific/Kiritimati", "UTC",
)  # fmt: skip
PERIODS = (
    "daily", "weekly", "biweekly", "monthly", "bimonthly", "quarterly", "semiannually", "annually", "P1D", "P10D",
    "P45D", "P2M", "P5M", "P1M15D", "P2Y", "P3W",
)  # fmt: skip
MONTHS = {
    "monthly": 1,
    "bimonthly": 2,
    "quarterly": 3,
    "semiannually": 6,
    "annually": 12,
    "P2M": 2,
    "P5M": 5,
    "P2Y": 24,
}

anchors = st.dates(date(2023, 1, 1), date(2027, 12, 31))
times = st.times().map(lambda t: t.replace(microsecond=0))
zones = st.sampled_from(ZONES)


def monthly(anchor: str, **changes: object) -> BillingCalendar:
    return BillingCalendar(date.fromisoformat(anchor), SEVEN, "Asia/Tokyo", "monthly")._replace(**changes)


def dates(calendar: BillingCalendar, count: int) -> list[str]:
    return [calendar.due_on(n).isoformat() for n in range(count)]


def test_an_anchor_on_the_31st_never_drifts():
    assert dates(monthly("2023-01-31"), 6) == [
        "2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30", "2023-05-31", "2023-06-30",
    ]  # fmt: skip
    assert dates(monthly("2024-01-31"), 3) == ["2024-01-31", "2024-02-29", "2024-03-31"]
    assert dates(monthly("2023-01-30"), 3) == ["2023-01-30", "2023-02-28", "2023-03-30"]
    assert dates(monthly("2024-01-29"), 3) == ["2024-01-29", "2024-02-29", "2024-03-29"]


def test_the_end_of_the_month_is_kept_only_when_asked_for():
    kept = monthly("2023-06-30", preserve_end_of_month=True)
    assert dates(kept, 3) == ["2023-06-30", "2023-07-31", "2023-08-31"]
    assert dates(monthly("2023-06-30"), 3) == ["2023-06-30", "2023-07-30", "2023-08-30"]
    february = monthly("2023-02-28", preserve_end_of_month=True)
    assert dates(february, 3) == ["2023-02-28", "2023-03-31", "2023-04-30"]
    assert february.due_on(12).isoformat() == "2024-02-29"


@pytest.mark.parametrize("period", ["annually", "P1Y", "P12M"])
def test_the_29th_of_february_comes_back_in_leap_years(period: str):
    assert dates(monthly("2024-02-29", period=period), 5) == [
        "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
    ]  # fmt: skip


def test_a_century_that_is_no_leap_year_has_no_29th():
    yearly = monthly("2096-02-29", period="annually")
    assert [yearly.due_on(n).isoformat() for n in (4, 8)] == ["2100-02-28", "2104-02-29"]


def test_a_local_time_that_does_not_exist_moves_forward_by_the_gap():
    calendar = BillingCalendar(date(2026, 3, 7), time(2, 30), "America/New_York", "daily")
    locals_ = [calendar.due(n).astimezone(ZoneInfo("America/New_York")).isoformat() for n in range(3)]
    assert locals_ == ["2026-03-07T02:30:00-05:00", "2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00"]


def test_a_local_time_that_exists_twice_means_the_first():
    calendar = BillingCalendar(date(2026, 10, 31), time(1, 30), "America/New_York", "daily")
    assert [calendar.due(n).isoformat() for n in range(3)] == [
        "2026-10-31T05:30:00+00:00",
        "2026-11-01T05:30:00+00:00",
        "2026-11-02T06:30:00+00:00",
    ]


def test_a_half_hour_gap_moves_by_half_an_hour():
    calendar = BillingCalendar(date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe", "daily")
    local = calendar.due(0).astimezone(ZoneInfo("Australia/Lord_Howe"))
    assert local.isoformat() == "2026-10-04T02:45:00+11:00"


def test_wall_time_is_kept_across_daylight_saving():
    calendar = BillingCalendar(date(2026, 1, 15), SEVEN, "America/New_York", "monthly")
    assert [calendar.due(n).hour for n in (0, 6)] == [12, 11]


def test_without_a_start_date_this_very_moment_is_the_anchor():
    now = datetime(2026, 1, 31, 22, 15, 42, 999, tzinfo=UTC)
    terms = agree(spec(zone="Asia/Tokyo"), now=now)
    assert (terms.anchor_on, terms.charge_time) == (date(2026, 2, 1), time(7, 15, 42))
    assert terms.calendar.due(0) == now.replace(microsecond=0)
    assert terms.calendar.due(1) == datetime(2026, 2, 28, 22, 15, 42, tzinfo=UTC)


def test_a_start_date_is_a_local_date_at_the_charge_time():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    terms = agree(spec(start_on="2026-02-01"), now=now)
    assert terms.calendar.due(0) == datetime(2026, 1, 31, 22, tzinfo=UTC)  # 07:00 in Tokyo
    at_noon = agree(spec(start_on="2026-02-01", charge_time="12:00", zone="America/New_York"), now=now)
    assert at_noon.calendar.due(0) == datetime(2026, 2, 1, 17, tzinfo=UTC)


# -- over thirty years, in any zone


@given(anchors, zones, st.sampled_from(sorted(MONTHS)), st.booleans())
@example(date(2024, 2, 29), "Asia/Tokyo", "annually", True)
@example(date(2023, 1, 31), "Pacific/Apia", "monthly", False)
def test_a_month_based_anchor_never_drifts_in_thirty_years(
    anchor: date, zone: str, period: str, at_end: bool
):
    last_day = monthrange(anchor.year, anchor.month)[1]
    at_end = at_end and anchor.day == last_day
    calendar = BillingCalendar(anchor, SEVEN, zone, period, at_end)
    for n in range(30 * 12 // MONTHS[period] + 1):
        due_on = calendar.due_on(n)
        length = monthrange(due_on.year, due_on.month)[1]
        assert due_on.day == (length if at_end else min(anchor.day, length))
        months = (due_on.year - anchor.year) * 12 + due_on.month - anchor.month
        assert months == n * MONTHS[period]  # one due date per cycle, none left out
        local = calendar.due(n).astimezone(ZoneInfo(zone))
        assert (local.date(), local.time()) == (due_on, SEVEN)  # 07:00 exists every day in these zones


@given(anchors, st.integers(1, 400), st.integers(0, 5_000))
def test_a_day_based_anchor_never_drifts(anchor: date, days: int, n: int):
    calendar = BillingCalendar(anchor, SEVEN, "Asia/Tokyo", f"P{days}D")
    assert (calendar.due_on(n) - anchor).days == n * days


@given(anchors, times, zones, st.sampled_from(PERIODS), st.integers(0, 2_000))
def test_each_due_instant_is_later_than_the_one_before(
    anchor: date, charge_time: time, zone: str, period: str, n: int
):
    calendar = BillingCalendar(anchor, charge_time, zone, period)
    instants = [calendar.due(k) for k in range(n, n + 40)]
    assert all(a < b for a, b in itertools.pairwise(instants))
    assert all(instant.utcoffset() == timedelta(0) for instant in instants)


@given(anchors, times, zones)
def test_a_daily_calendar_has_one_due_instant_on_each_local_day(anchor: date, charge_time: time, zone: str):
    calendar = BillingCalendar(anchor, charge_time, zone, "daily")
    for n in range(370):
        local = calendar.due(n).astimezone(ZoneInfo(zone))
        planned = datetime.combine(anchor + timedelta(days=n), charge_time)
        moved = local.replace(tzinfo=None) - planned
        assert timedelta(0) <= moved <= timedelta(hours=1)  # only ever forward, by no more than a gap
        if moved:
            exists = local.replace(tzinfo=None) - moved
            back = exists.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone))
            assert back.replace(tzinfo=None) != exists  # it moved because the planned time does not exist


@given(
    anchors, times, zones, st.sampled_from(PERIODS), st.integers(0, 30),
    st.datetimes(datetime.fromisoformat("2022-01-01"), datetime.fromisoformat("2031-01-01"), timezones=st.just(UTC)),
)  # fmt: skip
def test_the_search_for_a_cycle_agrees_with_a_naive_scan(
    anchor: date, charge_time: time, zone: str, period: str, start: int, instant: datetime
):
    calendar = BillingCalendar(anchor, charge_time, zone, period)
    n = calendar.first_at_or_after(instant, start=start)
    assert n >= start
    assert calendar.due(n) >= instant
    assert n == start or calendar.due(n - 1) < instant
    day = instant.date()
    n = calendar.first_on_or_after(day, start=start)
    scan = start
    while calendar.due_on(scan) < day:
        scan += 1
    assert n == scan


@given(anchors, times, zones, st.sampled_from(PERIODS), st.integers(0, 500))
def test_a_due_instant_finds_its_own_cycle(anchor: date, charge_time: time, zone: str, period: str, n: int):
    calendar = BillingCalendar(anchor, charge_time, zone, period)
    assert calendar.first_at_or_after(calendar.due(n)) == n
    assert calendar.first_at_or_after(calendar.due(n) + timedelta(seconds=1)) == n + 1
    assert calendar.first_on_or_after(calendar.due_on(n)) == n


@given(
    st.datetimes(datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2030-01-01")),
    zones,
    st.integers(1, 400),
)
def test_a_shift_by_days_keeps_the_wall_time(moment: datetime, zone: str, days: int):
    calendar = BillingCalendar(moment.date(), SEVEN, zone, "daily")
    instant = moment.replace(microsecond=0, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    local = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    shifted = calendar.shift(instant, Duration(days=days))
    moved = shifted.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - (local + timedelta(days=days))
    assert timedelta(0) <= moved <= timedelta(hours=1)
    if moved:  # only a gap moves it
        target = local + timedelta(days=days)
        there = target.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone))
        assert there.replace(tzinfo=None) != target


@given(
    st.datetimes(
        datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2030-01-01"), timezones=st.just(UTC)
    ),
    zones,
    st.integers(1, 10**6),
)
def test_a_shift_by_hours_is_exact(instant: datetime, zone: str, seconds: int):
    calendar = BillingCalendar(date(2023, 1, 1), SEVEN, zone, "daily")
    assert calendar.shift(instant, Duration(seconds=seconds)) == instant + timedelta(seconds=seconds)


@given(anchors, st.integers(0, 1200))
def test_months_are_added_as_a_person_counts_them(day: date, months: int):
    later = add_months(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == min(day.day, monthrange(later.year, later.month)[1])


def test_a_mixed_period_adds_its_months_first():
    assert parse_period("P1M15D") == Duration(months=1, days=15)
    mixed = monthly("2023-01-31", period="P1M15D")
    assert dates(mixed, 3) == ["2023-01-31", "2023-03-15", "2023-04-30"]
