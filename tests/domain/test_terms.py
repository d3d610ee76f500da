"""Terms: what can be agreed, and the name of each refusal."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ErrorCode, TeikiError
from domain.money import MINOR_MAX
from domain.retry import RetryPolicy
from domain.terms import (
    CHARGES_MAX,
    METADATA_PAIRS_MAX,
    ResumePolicy,
    SubscriptionSpec,
    Terms,
    agree,
    require_instant,
)
from tests.domain.driver import spec

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)  # noon in Tokyo


def yen(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "JPY"}


def agreed(**changes: Any) -> Terms:
    return agree(spec(**changes), now=NOW)


def refusal(**changes: Any) -> tuple[str, dict[str, Any]]:
    with pytest.raises(TeikiError) as caught:
        agree(spec(**changes), now=NOW)
    return caught.value.code.value, caught.value.facts


def test_the_defaults_are_those_of_the_spec():
    terms = agreed(start_on="2026-02-01")
    assert (terms.zone, terms.charge_time) == ("Asia/Tokyo", time(7, 0))
    assert (terms.retry, terms.resume_policy) == (RetryPolicy(), ResumePolicy.NEXT_CYCLE)
    assert (terms.total_charges, terms.preserve_end_of_month) == (None, False)


def test_terms_survive_json():
    terms = agreed(start_on="2026-01-31", preserve_end_of_month=True, total_charges=5, retry="next_day")
    assert Terms.model_validate_json(terms.model_dump_json()) == terms
    asked = spec(total_amount=yen(10_000), total_charges=3, amount=None, metadata={"a": "b"})
    assert SubscriptionSpec.model_validate_json(asked.model_dump_json()) == asked


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"period": "fortnightly"}, "invalid_period"),
        ({"period": "PT24H"}, "invalid_period"),
        ({"period": ""}, "invalid_period"),
        ({"zone": "JST"}, "invalid_zone"),
        ({"zone": "asia/tokyo"}, "invalid_zone"),
        ({"zone": "../Asia/Tokyo"}, "invalid_zone"),
        ({"amount": yen(0)}, "invalid_money"),
        ({"amount": yen(-1000)}, "invalid_money"),
        ({"amount": {"minor": 10.5, "currency": "JPY"}}, "invalid_money"),
        ({"amount": {"minor": "1000", "currency": "JPY"}}, "invalid_money"),
        ({"amount": yen(MINOR_MAX + 1)}, "invalid_money"),
        ({"amount": {"minor": 1, "currency": "yen"}}, "invalid_currency"),
        ({"amount": None}, "invalid_money"),
        ({"start_on": "2026-01-14"}, "start_on_in_past"),
        ({"start_on": "9999-12-31"}, "invalid_input"),
        ({"charge_time": "07:00:00+09:00"}, "invalid_input"),
        ({"total_charges": 1}, "too_few_charges"),
        ({"total_charges": 0}, "too_few_charges"),
        ({"total_charges": -3}, "too_few_charges"),
        ({"total_charges": CHARGES_MAX + 1}, "too_few_charges"),
        ({"retry": {"attempts": 0}}, "invalid_retry"),
        ({"retry": {"interval": "P31D", "attempts": 2}}, "retry_exceeds_cycle"),
        ({"retry": {"interval": "P10D", "attempts": 5}}, "retry_exceeds_cycle"),
        ({"period": "daily", "retry": "next_day"}, "retry_exceeds_cycle"),
        ({"start_on": "2026-01-30", "preserve_end_of_month": True}, "preserve_end_of_month_not_allowed"),
        ({"preserve_end_of_month": True}, "preserve_end_of_month_not_allowed"),
        (
            {"start_on": "2026-01-31", "period": "weekly", "preserve_end_of_month": True},
            "preserve_end_of_month_not_allowed",
        ),
        (
            {"start_on": "2026-01-31", "period": "P1M1D", "preserve_end_of_month": True},
            "preserve_end_of_month_not_allowed",
        ),
        (
            {"start_on": "2028-02-28", "preserve_end_of_month": True},  # 2028 is a leap year
            "preserve_end_of_month_not_allowed",
        ),
    ],
)
def test_each_refusal_has_its_name(changes: dict[str, Any], code: str):
    assert refusal(**changes)[0] == code


@pytest.mark.parametrize(
    "changes",
    [
        {"start_on": "2026-01-15"},  # today, and the charge time has passed: charged at once
        {"start_on": "2026-01-31", "preserve_end_of_month": True},
        {"start_on": "2028-02-29", "preserve_end_of_month": True, "period": "annually"},
        {"start_on": "2026-02-28", "preserve_end_of_month": True, "period": "P2M"},
        {"total_charges": 2},
        {"total_charges": CHARGES_MAX},
        {"period": "P1D"},
        {"period": "P10Y"},
        {"amount": yen(1)},
        {"amount": yen(MINOR_MAX)},
    ],
)
def test_the_edges_are_agreed_to(changes: dict[str, Any]):
    agreed(**changes)


def test_today_is_today_in_the_zone():
    assert agreed(start_on="2026-01-14", zone="Pacific/Honolulu").anchor_on.isoformat() == "2026-01-14"
    code, facts = refusal(start_on="2026-01-14")
    assert (code, facts) == ("start_on_in_past", {"start_on": "2026-01-14", "today": "2026-01-15"})


def test_what_nobody_asked_for_is_refused():
    with pytest.raises(ValidationError):
        spec(colour="red")
    with pytest.raises(ValidationError):
        spec(period=30)
    with pytest.raises(ValidationError):
        spec(resume_policy="never")


# -- total_amount


@pytest.mark.parametrize(
    ("changes", "amount", "charges"),
    [
        ({"amount": None, "total_amount": yen(1000), "total_charges": 3}, 333, 3),  # 333 + 333 + 334
        ({"amount": None, "total_amount": yen(900), "total_charges": 3}, 300, 3),
        ({"amount": yen(300), "total_amount": yen(1000)}, 300, 4),  # 300 + 300 + 300 + 100
        ({"amount": yen(500), "total_amount": yen(1000)}, 500, 2),
        ({"amount": yen(300), "total_amount": yen(1000), "total_charges": 4}, 300, 4),
        ({"amount": None, "total_amount": yen(2), "total_charges": 2}, 1, 2),
    ],
)
def test_a_total_is_split_by_charges_or_by_amount(changes: dict[str, Any], amount: int, charges: int):
    terms = agreed(**changes)
    assert (terms.amount_minor, terms.total_charges) == (amount, charges)
    assert terms.last_charge_takes_the_rest


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": None, "total_amount": yen(1000)}, "invalid_total_amount"),
        ({"amount": yen(1000), "total_amount": yen(1000)}, "invalid_total_amount"),
        ({"amount": yen(1001), "total_amount": yen(1000)}, "invalid_total_amount"),
        ({"amount": yen(300), "total_amount": yen(1000), "total_charges": 3}, "invalid_total_amount"),
        ({"amount": yen(300), "total_amount": yen(1000), "total_charges": 5}, "invalid_total_amount"),
        ({"amount": None, "total_amount": yen(2), "total_charges": 3}, "invalid_total_amount"),
        ({"amount": yen(1), "total_amount": yen(MINOR_MAX)}, "invalid_total_amount"),
        ({"amount": None, "total_amount": yen(0), "total_charges": 3}, "invalid_money"),
        ({"amount": None, "total_amount": yen(-9), "total_charges": 3}, "invalid_money"),
        ({"amount": yen(-1), "total_amount": yen(9)}, "invalid_money"),
        ({"amount": None, "total_amount": yen(1000), "total_charges": 1}, "too_few_charges"),
        ({"total_amount": {"minor": 5000, "currency": "USD"}}, "currency_mismatch"),
    ],
)
def test_totals_that_contradict_are_refused(changes: dict[str, Any], code: str):
    assert refusal(**changes)[0] == code


@given(st.integers(2, 200), st.integers(1, 10**9))
def test_the_parts_of_a_total_sum_up_to_it(charges: int, total: int):
    if total <= charges:
        total += charges
    terms = agreed(amount=None, total_amount=yen(total), total_charges=charges)
    last = total - terms.amount_minor * (charges - 1)
    assert last >= terms.amount_minor > 0
    assert last - terms.amount_minor < charges


# -- metadata


def test_metadata_is_returned_as_given():
    metadata = {f"key {n}": "値\n\tと value" for n in range(METADATA_PAIRS_MAX)}
    assert spec(metadata=metadata).metadata == metadata


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({str(n): "" for n in range(METADATA_PAIRS_MAX + 1)}, "metadata_too_large"),
        ({"k" * 81: "v"}, "invalid_input"),
        ({"k": "v" * 501}, "invalid_input"),
        ({"k": "\x00"}, "invalid_input"),
        ({"\x1b[31m": "v"}, "invalid_input"),
    ],
)
def test_metadata_has_limits(metadata: dict[str, str], code: str):
    with pytest.raises(TeikiError) as caught:
        spec(metadata=metadata)
    assert caught.value.code.value == code


@pytest.mark.parametrize("metadata", [{"k": 1}, {"k": None}, {"k": ["v"]}, ["k"]])
def test_metadata_is_pairs_of_strings(metadata: Any):
    with pytest.raises(ValidationError):
        spec(metadata=metadata)


def test_an_instant_needs_a_zone():
    with pytest.raises(TeikiError) as caught:
        require_instant(datetime(2026, 1, 1))  # noqa: DTZ001 - the point
    assert caught.value.code is ErrorCode.INVALID_INSTANT
    assert require_instant(NOW) == NOW
