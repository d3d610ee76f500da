"""Periods, zones and years (spec: subscriptions.md §2). The instants' offsets are looked at too."""

from __future__ import annotations

import pytest

from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")


def charged_at(report) -> list[str]:
    return [entry["at"] for entry in report.timeline if entry["type"] == "charge"]


@pytest.mark.parametrize(
    ("period", "start", "until", "charged"),
    [
        ("weekly", "2023-12-25", "2024-01-16", ["2023-12-25", "2024-01-01", "2024-01-08", "2024-01-15"]),
        ("biweekly", "2024-02-20", "2024-04-01", ["2024-02-20", "2024-03-05", "2024-03-19"]),
        ("bimonthly", "2023-12-31", "2024-07-01", ["2023-12-31", "2024-02-29", "2024-04-30", "2024-06-30"]),
        ("quarterly", "2023-11-30", "2024-09-01", ["2023-11-30", "2024-02-29", "2024-05-30", "2024-08-30"]),
        (
            "semiannually",
            "2023-08-31",
            "2025-03-01",
            ["2023-08-31", "2024-02-29", "2024-08-31", "2025-02-28"],
        ),
        ("P1Y6M", "2024-02-29", "2028-09-01", ["2024-02-29", "2025-08-29", "2027-02-28", "2028-08-29"]),
        ("P10D", "2024-02-20", "2024-03-15", ["2024-02-20", "2024-03-01", "2024-03-11"]),
        ("P2W", "2024-02-20", "2024-03-15", ["2024-02-20", "2024-03-05"]),
    ],
)
async def test_a_period_is_counted_from_the_anchor(play, period, start, until, charged):
    report = await play(f"{start} 07:00", f"{until} 00:00", period=period)
    assert [at[:10] for at in charged_at(report)] == charged
    assert {at[11:16] for at in charged_at(report)} == {"07:00"}


@pytest.mark.parametrize(
    ("zone", "start", "until", "charged"),
    [
        # An hour that exists twice: the first of them, still on summer time.
        (
            "America/New_York",
            "2026-10-25 01:30",
            "2026-11-09 00:00",
            ["2026-10-25T01:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-08T01:30:00-05:00"],
        ),
        # An hour that does not exist: moved forward by it, and back the week after.
        (
            "Europe/London",
            "2026-03-22 01:30",
            "2026-04-06 00:00",
            ["2026-03-22T01:30:00+00:00", "2026-03-29T02:30:00+01:00", "2026-04-05T01:30:00+01:00"],
        ),
        # Half an hour of summer time: the gap and the fold are 30 minutes.
        (
            "Australia/Lord_Howe",
            "2026-03-29 01:45",
            "2026-04-13 00:00",
            ["2026-03-29T01:45:00+11:00", "2026-04-05T01:45:00+11:00", "2026-04-12T01:45:00+10:30"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-09-27 02:15",
            "2026-10-12 00:00",
            ["2026-09-27T02:15:00+10:30", "2026-10-04T02:45:00+11:00", "2026-10-11T02:15:00+11:00"],
        ),
    ],
)
async def test_the_wall_time_is_kept_where_clocks_change(play, zone, start, until, charged):
    report = await play(start, until, zone=zone, period="weekly")
    assert charged_at(report) == charged


async def test_a_scenario_may_start_in_the_last_century(play):
    report = await play("1999-12-31 07:00", "2000-04-01 00:00")
    assert_told(
        report,
        """
        1999-12-31 07:00 charge 1 succeeded
        1999-12-31 07:00 status unverified → current (first_payment_succeeded)
        2000-01-31 07:00 charge 2 succeeded
        2000-02-29 07:00 charge 3 succeeded
        2000-03-31 07:00 charge 4 succeeded
        final current, 4 charges, next 2000-04-30 07:00
        books 4,000 JPY
        """,
    )


async def test_decades_of_yearly_payments_keep_the_day(play):
    report = await play("2040-02-29 07:00", "2066-01-01 00:00", period="annually")
    assert [at[5:10] for at in charged_at(report)] == ["02-29", *["02-28"] * 3] * 6 + ["02-29", "02-28"]


async def test_the_first_payment_of_a_later_start_is_on_its_day_at_its_time(play):
    report = await play(
        "2026-01-10 12:00",
        "2026-04-01 00:00",
        start_on="2026-01-31",
        charge_time="00:30",
        preserve_end_of_month=True,
        zone="Europe/London",
    )
    assert_told(
        report,
        """
        2026-01-31 00:30 charge 1 succeeded
        2026-01-31 00:30 status unverified → current (first_payment_succeeded)
        2026-02-28 00:30 charge 2 succeeded
        2026-03-31 00:30 charge 3 succeeded
        final current, 3 charges, next 2026-04-30 00:30
        books 3,000 JPY
        """,
    )


async def test_a_start_today_whose_hour_has_passed_is_charged_at_once(play):
    report = await play("2026-01-10 12:00", "2026-03-01 00:00", start_on="2026-01-10", charge_time="07:00")
    assert_told(
        report,
        """
        2026-01-10 12:00 charge 1 succeeded
        2026-01-10 12:00 status unverified → current (first_payment_succeeded)
        2026-02-10 07:00 charge 2 succeeded
        final current, 2 charges, next 2026-03-10 07:00
        books 2,000 JPY
        """,
    )
