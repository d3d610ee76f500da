"""Thousands of histories of a Konbini order on the pure rules (spec: orders.md §4); see `till`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.till import ENDED, LONG_AFTER, Deposit, start_of

START = start_of("2026-01-05T10:00:00+09:00")
SOON, LATER, NEXT_DAY = (timedelta(hours=hours, seconds=17) for hours in (26, 29, 48))
IN_GRACE, TOO_LATE = (timedelta(days=3, hours=14, minutes=minutes) for minutes in (10, 65))
AFTER_THE_DEADLINE = timedelta(days=3, hours=19)

ROWS = {
    "paid before the deadline": [(SOON, "deposit_paid", 1)],
    "paid within the grace": [(IN_GRACE, "deposit_paid", 1)],
    "never paid": [],
    "canceled while pending": [(SOON, "cancel", 1)],
    "paid after expiry": [(TOO_LATE, "deposit_paid", 1)],
    "paid after cancel": [(SOON, "cancel", 1), (LATER, "deposit_paid", 1)],
    "paid twice": [(SOON, "deposit_paid", 1), (LATER, "deposit_paid", 1)],
    "paid on the voided slip": [
        (SOON, "issue_slip", 1),
        (LATER, "deposit_paid", 1),
        (NEXT_DAY, "deposit_paid", 2),
    ],
    "preliminary, confirmed": [(SOON, "deposit_preliminary", 1), (NEXT_DAY, "deposit_paid", 1)],
    "preliminary, taken back": [
        (SOON, "deposit_preliminary", 1),
        (LATER, "deposit_preliminary_canceled", 1),
    ],
    "preliminary, taken back, paid": [
        (SOON, "deposit_preliminary", 1),
        (LATER, "deposit_preliminary_canceled", 1),
        (NEXT_DAY, "deposit_paid", 1),
    ],
    "preliminary, taken back after the deadline": [
        (IN_GRACE - timedelta(hours=1), "deposit_preliminary", 1),
        (AFTER_THE_DEADLINE, "deposit_preliminary_canceled", 1),
    ],
}


def played(happenings: list[tuple[timedelta, str, int, bool]]) -> Deposit:
    life = Deposit(START)
    for after, do, slip, heard in sorted(happenings, key=lambda one: one[0]):
        life.happen(START + after, do, slip, heard=heard)
    life.pass_time(START + LONG_AFTER)
    return life


@pytest.mark.parametrize("row", ROWS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_row_ends_the_same_whatever_becomes_of_its_notices(row, data):
    complete = played([(after, do, slip, True) for after, do, slip in ROWS[row]])
    happenings = []
    for after, do, slip in ROWS[row]:
        heard = data.draw(st.booleans())
        happenings.append((after, do, slip, heard or not do.startswith("deposit_")))
        delays = data.draw(st.lists(st.integers(1, 200_000), max_size=3))
        happenings += [(after + timedelta(seconds=delay), "notice", slip, True) for delay in delays]
    disturbed = played(happenings)
    assert disturbed.ending() == complete.ending()


DOINGS = st.sampled_from(
    [
        "deposit_paid",
        "deposit_preliminary",
        "deposit_preliminary_canceled",
        "notice",
        "issue_slip",
        "use",
        "cancel",
    ]
)
HAPPENINGS = st.lists(
    st.tuples(st.integers(60, 6 * 86_400), DOINGS, st.integers(1, 3), st.booleans()), max_size=8
)


@settings(max_examples=1_000, deadline=None)
@given(histories=HAPPENINGS)
def test_nobody_has_access_without_settled_money_in_a_thousand_random_histories(histories):
    life = Deposit(START)
    for seconds, do, slip, heard in sorted(histories, key=lambda one: one[0]):
        life.happen(START + timedelta(seconds=seconds), do, slip, heard=heard)
        assert not life.has_access or life.is_announced or life.kept >= 1
    life.pass_time(START + LONG_AFTER)
    assert life.order.status in ENDED
    assert not life.has_access
    used = life.ending()[3] is not None
    assert life.kept == (1 if used else 0), "one payment is kept for a permission, and none without"
