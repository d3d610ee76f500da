"""A scenario of an order that cannot be is refused by name, with its place, and nothing is started."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from domain.errors import TeikiError
from starter.simulate.scenario import parse_scenario

GOOD: dict[str, Any] = {
    "start": "2026-01-05T10:00:00+09:00",
    "order": {
        "product": {
            "type": "digital",
            "name": "Live replay",
            "price": {"minor": 3500, "currency": "JPY"},
            "usage_period": "P30D",
            "point_rate": "0.01",
        },
        "pay": "konbini",
        "konbini": {"store": "lawson", "deadline_days": 3},
    },
    "events": [],
    "until": "2026-03-01T00:00:00+09:00",
}


def changed(where: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one thing put in (`order.pay`), or taken out by None."""
    document = copy.deepcopy(GOOD)
    *path, last = where.split(".")
    place = document
    for step in path:
        place = place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("where", "value", "code", "place"),
    [
        ("order.product", None, "scenario_invalid", "order.product"),
        ("order.product.type", "car", "scenario_invalid", "order.product.type"),
        ("order.product.price", None, "price_missing", None),
        ("order.product.price", {"minor": 0, "currency": "JPY"}, "invalid_money", None),
        ("order.product.price", {"minor": 35.5, "currency": "JPY"}, "invalid_money", None),
        ("order.product.usage_period", "a month", "invalid_usage_period", None),
        (
            "order.product.usage_period",
            {"from": "2026-02-01T00:00:00Z"},
            "scenario_invalid",
            "order.product.usage_period",
        ),
        ("order.product.point_rate", 2, "invalid_point_rate", None),
        ("order.product.colour", "red", "scenario_invalid", "order.product.colour"),
        ("order.product.sales_method", "recurring", "sales_method_mismatch", None),
        ("order.pay", "cowrie shells", "scenario_invalid", "order.pay"),
        ("order.installments", 12, "invalid_input", None),
        ("order.konbini.store", "corner shop", "scenario_invalid", "order.konbini.store"),
        ("order.konbini.deadline_days", 61, "scenario_invalid", "order.konbini.deadline_days"),
        ("order.konbini.deadline_days", 0, "scenario_invalid", "order.konbini.deadline_days"),
        ("order.konbini.grace_minutes", -1, "scenario_invalid", "order.konbini.grace_minutes"),
        ("order.konbini.phone", "12345", "invalid_phone", None),
        ("order.options", ["large"], "invalid_option", None),
        ("order.custom_fields", {"size": "M"}, "invalid_custom_field", None),
        ("order.identification", {"name": "Momo"}, "invalid_identification", None),
        ("order.zone", "Asia/Edo", "invalid_zone", None),
        ("order.basket", [], "scenario_invalid", "order.basket"),
        ("subscription", {"period": "monthly"}, "scenario_invalid", None),
        ("events", [{"at": "2026-01-06T00:00:00+09:00", "do": "explode"}], "scenario_invalid", "events.0.do"),
        ("events", [{"at": "2026-04-06T00:00:00+09:00", "do": "use"}], "scenario_invalid", None),
    ],
)
def test_an_order_that_cannot_be_is_refused_by_name_and_place(where, value, code, place):
    with pytest.raises(TeikiError) as refused:
        parse_scenario(changed(where, value))
    assert refused.value.code == code
    assert place is None or refused.value.facts["place"].startswith(place)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("order.product.point_rate", 0.01),
        ("order.product.usage_period", {"from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}),
        ("order.product.usage_period", {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}),
        ("order.product.usage_period", "none"),
        ("order.product.options", ["S", "M"]),
        ("order.product.custom_fields", ["size"]),
        ("order.pay", {"konbini": {"store": "Seven-Eleven"}}),
        ("order.konbini", "family_mart"),
        ("order.konbini", {"store": "Seven Eleven", "phone": "+81 90-1234-5678", "name": "Momo"}),
        ("events", [{"at": "2026-01-06T00:00:00+09:00", "do": "credit", "amount": 500}]),
    ],
)
def test_what_people_may_write_is_understood(where, value):
    assert parse_scenario(changed(where, value)).order is not None


def test_a_rate_typed_as_a_number_is_the_rate_that_was_typed():
    order = parse_scenario(changed("order.product.point_rate", 0.07)).order
    assert order is not None
    assert str(order.terms.point_rate) == "0.07"
