"""Each event of an order is in exactly one tab beside the whole history."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.columns import EVENT_KINDS
from domain.order_history import TABS, Tab, tab_of, told


@pytest.mark.parametrize(
    ("kind", "data", "tab"),
    [
        ("status", {"object": "order", "to": "canceled"}, "orders"),
        ("status", {"object": "permission"}, "orders"),
        ("status", {"object": "payment"}, "payments_points"),
        ("status", {"object": "deposit"}, "payments_points"),
        ("operation", {"do": "place"}, "orders"),
        ("operation", {"do": "process_access"}, "orders"),
        ("operation", {"do": "cancel"}, "claim"),
        ("operation", {"do": "cancel_subscription"}, "claim"),
        ("operation", {"do": "note"}, "comments"),
        ("refund", {"outcome": "failed"}, "claim"),
        ("fee", {}, "claim"),
        ("points", {"what": "earned", "points": 35}, "payments_points"),
        ("note", {}, "comments"),
        ("custom_fields", {}, "orders"),
        ("identification", {}, "orders"),
    ],
)
def test_an_event_is_where_people_look_for_it(kind, data, tab):
    assert tab_of(kind, data) == tab


def test_a_change_of_status_in_the_history_of_a_subscription_is_about_the_subscription():
    line = told("status", {"from": "current", "to": "unpaid", "reason": "payment_failed"}, of="subscription")
    assert line == ("payments_points", "subscription status: payment_failed", "current", "unpaid")


@given(
    st.sampled_from([*EVENT_KINDS, "of a later version"]),
    st.dictionaries(st.sampled_from(["object", "do", "what", "reason", "before"]), st.text()),
)
def test_no_event_is_without_a_tab(kind, data):
    line = told(kind, data)
    assert line.tab == tab_of(kind, data)
    assert line.tab in get_args(Tab)
    assert line.tab in TABS
