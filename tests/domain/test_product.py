"""Products: what may be said, how long the right to use lasts, points, options, and what customers fill in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ErrorCode, TeikiError
from domain.money import DECIMALS, MINOR_MAX, Money
from domain.product import (
    FieldType,
    FixedPeriod,
    ProductTerms,
    ProductType,
    SalesMethod,
    check_custom_fields,
    check_identification,
    points_of,
    price_of,
    usage_of,
    with_price,
)

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"
JPY_3500 = {"minor": 3500, "currency": "JPY"}
CARD_NUMBER = "4242" * 4


def terms(**said: Any) -> ProductTerms:
    return ProductTerms.model_validate(said)


def refused(what: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(TeikiError) as caught:
        what(*arguments, **named)
    assert CARD_NUMBER not in str(caught.value.as_json())
    return caught.value.code.value


def local(text: str, zone: str = TOKYO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# -- what a product says


def test_a_product_of_which_nothing_was_said_is_digital_and_sold_once_without_end():
    nothing = terms()
    assert (nothing.type, nothing.sales_method) == (ProductType.DIGITAL, SalesMethod.ONE_TIME)
    assert (nothing.price, nothing.usage_period, nothing.point_rate) == (None, None, None)
    assert (nothing.options, nothing.custom_fields, nothing.identification_fields) == ((), (), ())
    assert not nothing.membership_numbers


@pytest.mark.parametrize("kind", ProductType)
@pytest.mark.parametrize("method", SalesMethod)
def test_every_type_is_sold_in_every_way_but_a_ticket_again_and_again(kind, method):
    if (kind, method) == (ProductType.TICKET, SalesMethod.RECURRING):
        assert refused(terms, type=kind, sales_method=method) == "invalid_product"
    else:
        assert terms(type=kind, sales_method=method).type is kind


def test_terms_survive_json_also_without_what_was_never_said():
    said = terms(
        type="membership",
        price=JPY_3500,
        options=[{"name": "Gold", "price": {"minor": 9000, "currency": "JPY"}}, {"name": "Plain"}],
        usage_period={"starts_at": "2026-01-01T00:00:00+09:00", "ends_at": "2026-12-31T00:00:00+09:00"},
        point_rate="0.010",
        membership_numbers=True,
        identification_fields=["nickname"],
        custom_fields=[{"name": "size", "type": "choice", "required": True, "choices": ["S", "M"]}],
    )
    assert ProductTerms.model_validate_json(said.model_dump_json()) == said
    assert ProductTerms.model_validate_json(said.model_dump_json(exclude_unset=True)) == said
    assert said.model_dump(mode="json")["point_rate"] == "0.01"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"price": {"minor": -1, "currency": "JPY"}}, "invalid_money"),
        ({"price": {"minor": 35.0, "currency": "JPY"}}, "invalid_money"),
        ({"options": [{"name": "a", "price": {"minor": -1, "currency": "JPY"}}]}, "invalid_money"),
        (
            {"price": JPY_3500, "options": [{"name": "a", "price": {"minor": 1, "currency": "USD"}}]},
            "currency_mismatch",
        ),
        ({"options": [{"name": "a"}, {"name": "a"}]}, "invalid_product"),
        ({"options": [{"name": ""}]}, "invalid_product"),
        ({"options": [{"name": " a"}]}, "invalid_product"),
        ({"options": [{"name": str(n)} for n in range(101)]}, "invalid_product"),
        ({"options": [{"name": "a" * 81}]}, "invalid_input"),
        ({"options": [{"name": CARD_NUMBER}]}, "card_number_refused"),
        ({"identification_fields": ["name", "name"]}, "invalid_product"),
        ({"custom_fields": [{"name": "a"}, {"name": "a", "type": "date"}]}, "invalid_product"),
        ({"custom_fields": [{"name": "a", "type": "choice"}]}, "invalid_product"),
        ({"custom_fields": [{"name": "a", "choices": ["S"]}]}, "invalid_product"),
        ({"custom_fields": [{"name": "a", "type": "choice", "choices": ["S", "S"]}]}, "invalid_product"),
        ({"usage_period": ""}, "invalid_usage_period"),
        ({"usage_period": "30 days"}, "invalid_usage_period"),
        ({"usage_period": "P0D"}, "invalid_usage_period"),
        ({"usage_period": "-P1D"}, "invalid_usage_period"),
        ({"usage_period": "P101Y"}, "invalid_usage_period"),
        (
            {"usage_period": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}},
            "invalid_usage_period",
        ),
        (
            {"usage_period": {"starts_at": "2026-01-01T00:00:00", "ends_at": "2026-02-01T00:00:00Z"}},
            "invalid_instant",
        ),
        ({"usage_period": {"starts_at": 0, "ends_at": 1}}, "invalid_instant"),
        ({"point_rate": 0.01}, "invalid_point_rate"),
        ({"point_rate": "1.01"}, "invalid_point_rate"),
        ({"point_rate": "-0.01"}, "invalid_point_rate"),
        ({"point_rate": "NaN"}, "invalid_point_rate"),
        ({"point_rate": "Infinity"}, "invalid_point_rate"),
        ({"point_rate": "1%"}, "invalid_point_rate"),
        ({"point_rate": "0.0000001"}, "invalid_point_rate"),
        ({"point_rate": True}, "invalid_point_rate"),
    ],
)
def test_each_contradiction_has_its_name(said: dict[str, Any], code: str):
    assert refused(terms, **said) == code


@pytest.mark.parametrize(
    "said", [{"type": "book"}, {"sales_method": "never"}, {"colour": "red"}, {"usage_period": 30}]
)
def test_what_no_product_can_say_is_refused(said: dict[str, Any]):
    with pytest.raises(ValidationError):
        terms(**said)


def test_a_price_beside_the_terms_is_judged_with_them():
    yen, dollars = Money(minor=1, currency="JPY"), Money(minor=1, currency="USD")
    priced = terms(options=[{"name": "a", "price": JPY_3500}])
    assert with_price(priced, None) is priced
    assert with_price(priced, yen) == priced.model_copy(update={"price": yen})
    assert with_price(terms(price=JPY_3500), Money(**JPY_3500)).price == Money(**JPY_3500)
    assert refused(with_price, priced, dollars) == "currency_mismatch"
    assert refused(with_price, terms(price=JPY_3500), yen) == "invalid_product"


# -- the usage period


@pytest.mark.parametrize(
    ("period", "acquired", "zone", "ends"),
    [
        ("P30D", "2026-01-07T09:00", TOKYO, "2026-02-06T09:00"),
        ("P1M", "2026-01-31T09:00", TOKYO, "2026-02-28T09:00"),
        ("P1Y", "2028-02-29T09:00", TOKYO, "2029-02-28T09:00"),
        ("P1M1D", "2026-01-31T09:00", TOKYO, "2026-03-01T09:00"),
        ("P2W", "2026-01-07T09:00", TOKYO, "2026-01-21T09:00"),
        ("PT48H", "2026-01-07T09:00", TOKYO, "2026-01-09T09:00"),
        ("P1D", "2026-03-07T12:00", NEW_YORK, "2026-03-08T12:00"),  # 23 hours: the clock went forward
        ("PT24H", "2026-03-07T12:00", NEW_YORK, "2026-03-08T13:00"),
        ("P1D", "2026-10-31T12:00", NEW_YORK, "2026-11-01T12:00"),  # 25 hours
        ("P1D", "2026-03-07T02:30", NEW_YORK, "2026-03-08T03:30"),  # 02:30 was skipped
        ("P1DT1H", "2026-03-07T12:00", NEW_YORK, "2026-03-08T13:00"),
    ],
)
def test_a_duration_runs_on_the_zones_clock_from_the_acquisition(period, acquired, zone, ends):
    start, end = usage_of(period, local(acquired, zone), zone=zone)
    assert (start, end) == (local(acquired, zone), local(ends, zone))
    assert str(start.tzinfo) == "UTC"


def test_a_fixed_period_is_the_same_whenever_it_was_acquired():
    season = FixedPeriod(starts_at=local("2026-04-01T00:00"), ends_at=local("2026-10-01T00:00"))
    for acquired in ("2026-01-01T00:00", "2026-06-01T00:00", "2027-01-01T00:00"):
        assert usage_of(season, local(acquired), zone=TOKYO) == (season.starts_at, season.ends_at)


def test_no_period_has_no_end():
    assert usage_of(None, local("2026-01-01T00:00"), zone=TOKYO) == (local("2026-01-01T00:00"), None)


def test_a_usage_period_needs_an_instant_and_a_zone():
    assert refused(usage_of, "P1D", datetime(2026, 1, 1), zone=TOKYO) == "invalid_instant"  # noqa: DTZ001
    assert refused(usage_of, "P1D", local("2026-01-01T00:00"), zone="JST") == "invalid_zone"


DURATIONS = st.builds(
    lambda months, days, hours: (months, days, hours),
    st.integers(0, 60),
    st.integers(0, 400),
    st.integers(0, 99),
).filter(any)
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from([TOKYO, NEW_YORK, "Europe/Lisbon", "Australia/Lord_Howe", "Pacific/Apia", "UTC"])


def written(months: int, days: int, hours: int) -> str:
    calendar = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    return "P" + calendar + (f"T{hours}H" if hours else "")


@given(DURATIONS, INSTANTS, ZONES)
def test_a_usage_period_ends_after_it_starts_and_about_when_it_should(duration, acquired, zone):
    months, days, hours = duration
    start, end = usage_of(written(*duration), acquired, zone=zone)
    assert start == acquired
    assert end is not None
    assert end > start
    shortest = timedelta(days=months * 28 + days, hours=hours)
    longest = timedelta(days=months * 31 + days, hours=hours)
    clock_change = (
        timedelta(days=1) if zone == "Pacific/Apia" else timedelta(hours=1)
    )  # it skipped a day once
    assert shortest - clock_change <= end - start <= longest + clock_change


@given(st.integers(0, 60), st.integers(0, 400), INSTANTS, ZONES)
def test_whole_days_keep_the_wall_clock(months, days, acquired, zone):
    if not months and not days:
        days = 1
    _, end = usage_of(written(months, days, 0), acquired, zone=zone)
    assert end is not None
    then, now = acquired.astimezone(ZoneInfo(zone)), end.astimezone(ZoneInfo(zone))
    landed = now.replace(tzinfo=None, fold=0)
    exists = landed.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)) == now
    assert exists
    if (now.hour, now.minute) != (then.hour, then.minute):  # the wanted time was skipped by the clock
        wanted = datetime.combine(landed.date(), then.time(), ZoneInfo(zone))
        assert wanted.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != wanted.time()


@given(st.integers(1, 3000), st.integers(1, 3000), INSTANTS, ZONES)
def test_a_longer_duration_never_ends_earlier(days, more, acquired, zone):
    _, sooner = usage_of(f"P{days}D", acquired, zone=zone)
    _, later = usage_of(f"P{days + more}D", acquired, zone=zone)
    assert sooner is not None
    assert later is not None
    assert sooner < later


# -- points


@pytest.mark.parametrize(
    ("minor", "currency", "rate", "points"),
    [
        (3500, "JPY", "0.01", 35),
        (3599, "JPY", "0.01", 35),
        (99, "JPY", "0.01", 0),
        (3500, "USD", "0.01", 0),  # 35.00 dollars: 0.35 points
        (350_000, "USD", "0.01", 35),
        (19_999, "USD", "0.05", 9),
        (3500, "BHD", "0.01", 0),  # 3.500 dinars
        (3_500_000, "BHD", "0.01", 35),
        (10, "JPY", "0.1", 1),  # in floats 0.1 × 10 would do too; 0.29 × 100 would not
        (100, "JPY", "0.29", 29),
        (3500, "JPY", "0", 0),
        (3500, "JPY", "1", 3500),
        (0, "JPY", "1", 0),
        (3500, "JPY", None, 0),
    ],
)
def test_points_are_price_times_rate_in_the_currencys_own_unit_rounded_down(minor, currency, rate, points):
    assert points_of(Money(minor=minor, currency=currency), terms(point_rate=rate).point_rate) == points


def test_a_negative_price_earns_no_points_but_a_refusal():
    assert refused(points_of, Money(minor=-1, currency="JPY"), Decimal("0.01")) == "invalid_money"


@given(st.integers(0, MINOR_MAX), st.sampled_from(sorted(DECIMALS)), st.integers(0, 10**6))
def test_points_are_exact(minor, currency, millionths):
    rate = terms(point_rate=str(Decimal(millionths).scaleb(-6))).point_rate
    exact = Fraction(minor, 10 ** DECIMALS[currency]) * Fraction(millionths, 10**6)
    points = points_of(Money(minor=minor, currency=currency), rate)
    assert type(points) is int
    assert points <= exact < points + 1


# -- options and the price


SHIRT = terms(
    price=JPY_3500,
    options=[
        {"name": "Blue"},
        {"name": "Large", "price": {"minor": 4000, "currency": "JPY"}},
        {"name": "Signed", "price": {"minor": 9000, "currency": "JPY"}},
    ],
)


@pytest.mark.parametrize(("options", "minor"), [([], 3500), (["Blue"], 3500), (["Blue", "Large"], 4000)])
def test_an_option_may_replace_the_price(options, minor):
    assert price_of(SHIRT, options) == Money(minor=minor, currency="JPY")


@pytest.mark.parametrize("options", [["Green"], ["Blue", "Blue"], ["Large", "Signed"], [""]])
def test_options_that_do_not_fit_are_refused(options):
    assert refused(price_of, SHIRT, options) == "invalid_option"


def test_a_product_without_a_price_says_so():
    assert refused(price_of, terms(sales_method="token_auth")) == "price_missing"
    assert refused(price_of, terms(options=[{"name": "a", "price": JPY_3500}, {"name": "b"}]), ["b"]) == (
        "price_missing"
    )


# -- what customers fill in


ASKING = terms(
    custom_fields=[
        {"name": "size", "type": "choice", "required": True, "choices": ["S", "M", "L"]},
        {"name": "engraving"},
        {"name": "count", "type": "number"},
        {"name": "delivery", "type": "date"},
        {"name": "gift", "type": "boolean"},
        {"name": "mail", "type": "email"},
        {"name": "phone", "type": "phone"},
    ],
    identification_fields=["name", "nickname"],
)


@pytest.mark.parametrize(
    ("field", "answer", "kept"),
    [
        ("engraving", "名前\nと", "名前\nと"),
        ("count", 3, 3),
        ("count", "3", 3),
        ("count", "-2.5", -2.5),
        ("count", 2.5, 2.5),
        ("delivery", "2026-12-31", "2026-12-31"),
        ("delivery", date(2026, 12, 31), "2026-12-31"),
        ("gift", True, True),
        ("gift", "false", False),
        ("mail", " fan@example.com ", "fan@example.com"),
        ("phone", "+81 90-1234-5678", "+81 90-1234-5678"),
    ],
)
def test_an_answer_is_kept_as_a_json_value_of_its_type(field, answer, kept):
    answers = check_custom_fields(ASKING, {field: answer, "size": "M"})
    assert answers == {"size": "M", field: kept}
    assert type(answers[field]) is type(kept)
    assert list(answers) == ["size", field]


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"size": None},
        {"size": "  "},
        {"size": "XL"},
        {"size": ["S"]},
        {"size": "S", "colour": "red"},
        {"size": "S", "engraving": 3},
        {"size": "S", "count": "many"},
        {"size": "S", "count": True},
        {"size": "S", "count": float("nan")},
        {"size": "S", "count": 10**16},
        {"size": "S", "delivery": "2026-02-30"},
        {"size": "S", "delivery": "20260201"},
        {"size": "S", "delivery": datetime(2026, 2, 1, tzinfo=UTC)},
        {"size": "S", "gift": "perhaps"},
        {"size": "S", "gift": 1},
        {"size": "S", "mail": "fan"},
        {"size": "S", "phone": "none"},
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_its_field_is_refused(answers):
    assert refused(check_custom_fields, ASKING, answers) == "invalid_custom_field"


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"engraving": CARD_NUMBER}, "card_number_refused"),
        ({"count": int("4242" * 3 + "002")}, "card_number_refused"),
        ({"engraving": "x" * 1001}, "invalid_input"),
        ({"engraving": "\x00"}, "invalid_input"),
    ],
)
def test_no_field_takes_what_no_text_may_hold(answers, code):
    assert refused(check_custom_fields, ASKING, {"size": "S", **answers}) == code


def test_an_empty_answer_to_what_need_not_be_answered_is_left_out():
    assert check_custom_fields(ASKING, {"size": "S", "engraving": "", "gift": None}) == {"size": "S"}
    assert check_custom_fields(terms(), {}) == {}


def test_every_type_of_field_has_an_example_here():
    assert {field.type for field in ASKING.custom_fields} == set(FieldType)


def test_identification_is_what_was_told_in_the_products_order():
    told = check_identification(ASKING, {"nickname": " Fan ", "name": "One"})
    assert list(told.items()) == [("name", "One"), ("nickname", "Fan")]
    assert check_identification(ASKING, {"name": " "}) == {}
    assert check_identification(terms(), {}) == {}


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"birthday": "1990-01-01"}, "invalid_identification"),
        ({"name": 3}, "invalid_identification"),
        ({"name": CARD_NUMBER}, "card_number_refused"),
        ({"name": "x" * 201}, "invalid_input"),
    ],
)
def test_identification_that_was_not_asked_for_is_refused(info, code):
    assert refused(check_identification, ASKING, info) == code


def test_a_refusal_names_the_field_and_never_the_answer():
    with pytest.raises(TeikiError) as caught:
        check_custom_fields(ASKING, {"size": "S", "mail": "a private answer"})
    assert caught.value.code is ErrorCode.INVALID_CUSTOM_FIELD
    assert caught.value.facts == {"field": "mail", "type": "email"}
    assert "private" not in str(caught.value.as_json())
