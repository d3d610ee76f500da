"""Who hears of what the payment company tells, and what hurries because of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.notices import TRIES_MAX, pause_after, workflow_concerned


@pytest.mark.parametrize(
    ("reference", "workflow_id"),
    [
        ("sub_01k/1/1", "subscription/sub_01k"),
        ("sub_01k/7/refund", "subscription/sub_01k"),
        ("sub_01k/7/twin/ch_1", "subscription/sub_01k"),
        ("ord_01k/1/1", "order/ord_01k"),
        ("ord_01k", "order/ord_01k"),
        ("cus_01k/1/1", None),
        ("sub_/1/1", None),
        ("subscription/sub_01k", None),
        ("SUB_01k/1/1", None),
        ("sub_01k\n/1/1", None),
        ("sub/1/1", None),
        ("", None),
    ],
)
def test_the_reference_says_who_is_concerned(reference, workflow_id):
    assert workflow_concerned(reference) == workflow_id


@given(st.text(max_size=60))
def test_no_reference_breaks_the_routing(reference):
    found = workflow_concerned(reference)
    assert found is None or found.partition("/")[0] in ("subscription", "order")


def test_pauses_grow_to_an_hour_and_no_further():
    minutes = [pause_after(tries).total_seconds() / 60 for tries in range(1, TRIES_MAX + 5)]
    assert minutes == sorted(minutes)
    assert (minutes[0], minutes[-1]) == (1, 60)
    assert sum(minutes[:TRIES_MAX]) / 60 == pytest.approx(5, abs=0.1)
