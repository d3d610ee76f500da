"""Money: every currency's decimals against ISO 4217, and nothing that is not an integer of minor units."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from domain.errors import ErrorCode, TeikiError
from domain.money import DECIMALS, MINOR_MAX, Money, parse_money, require_positive

# Metals, bonds' and funds' units, test codes: ISO lists them without decimals, nobody is charged in them.
NO_DECIMALS = {currency.code for currency in Currency if currency.exponent is None}


def refused(code: ErrorCode, act: Any, *args: Any, **kwargs: Any) -> TeikiError:
    with pytest.raises(TeikiError) as caught:
        act(*args, **kwargs)
    assert caught.value.code is code
    return caught.value


def test_every_iso_currency_has_its_decimals_and_there_are_no_others():
    assert {c.code: c.exponent for c in Currency if c.exponent is not None} == DECIMALS


@pytest.mark.parametrize("code", sorted(NO_DECIMALS))
def test_codes_without_decimals_are_no_money_here(code: str):
    refused(ErrorCode.INVALID_CURRENCY, Money, minor=1, currency=code)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1000, "JPY", "1,000 JPY"),
        (1000, "USD", "10.00 USD"),
        (1000, "BHD", "1.000 BHD"),
        (1000, "KWD", "1.000 KWD"),
        (1000, "CLF", "0.1000 CLF"),
        (5, "USD", "0.05 USD"),
        (-1234567, "EUR", "-12,345.67 EUR"),
        (0, "JPY", "0 JPY"),
    ],
)
def test_money_is_shown_in_its_own_unit_with_its_code(minor: int, currency: str, text: str):
    assert str(Money(minor=minor, currency=currency)) == text


@pytest.mark.parametrize("minor", [10.0, 10.5, "10", True, None, [10], {"minor": 1}, float("nan")])
def test_what_is_no_integer_is_no_amount(minor: Any):
    refused(ErrorCode.INVALID_MONEY, Money.model_validate, {"minor": minor, "currency": "JPY"})


@pytest.mark.parametrize("text", ['{"minor": 10.0, "currency": "JPY"}', '{"minor": "10", "currency": "JPY"}'])
def test_a_float_or_a_text_is_refused_in_json_too(text: str):
    refused(ErrorCode.INVALID_MONEY, Money.model_validate_json, text)


@pytest.mark.parametrize(
    "minor", [MINOR_MAX + 1, -MINOR_MAX - 1, 2**63, pytest.param(10**5000, id="5,001 digits")]
)
def test_an_absurd_amount_is_refused_by_name(minor: int):
    refused(ErrorCode.INVALID_MONEY, Money, minor=minor, currency="JPY")


def test_the_largest_amount_is_accepted():
    assert Money(minor=MINOR_MAX, currency="JPY").minor == MINOR_MAX


@pytest.mark.parametrize("currency", ["jpy", "JPX", "", "¥", "JPY ", None, 392, ["JPY"]])
def test_a_currency_is_an_iso_code_in_capitals(currency: Any):
    refused(ErrorCode.INVALID_CURRENCY, Money.model_validate, {"minor": 1, "currency": currency})


def test_money_is_frozen_and_takes_no_other_field():
    money = Money(minor=1, currency="JPY")
    with pytest.raises(ValueError, match="frozen"):
        money.minor = 2  # type: ignore[misc]  # that is what is tried
    with pytest.raises(ValueError, match="extra"):
        Money.model_validate({"minor": 1, "currency": "JPY", "decimals": 2})


def test_two_currencies_are_never_put_together():
    yen, dollar = Money(minor=1, currency="JPY"), Money(minor=1, currency="USD")
    assert refused(ErrorCode.CURRENCY_MISMATCH, yen.plus, dollar).facts == {"expected": "JPY", "got": "USD"}
    refused(ErrorCode.CURRENCY_MISMATCH, yen.minus, dollar)
    assert yen.plus(yen) == Money(minor=2, currency="JPY")
    assert yen.minus(yen) == Money(minor=0, currency="JPY")


@pytest.mark.parametrize("minor", [0, -1])
def test_a_charge_takes_more_than_nothing(minor: int):
    refused(ErrorCode.INVALID_MONEY, require_positive, Money(minor=minor, currency="JPY"))


@given(st.sampled_from(sorted(DECIMALS)), st.integers(-MINOR_MAX, MINOR_MAX))
def test_what_is_shown_reads_back_as_the_same_money(currency: str, minor: int):
    money = Money(minor=minor, currency=currency)
    shown, code = str(money).split(" ")
    assert (parse_money(shown, code), code) == (money, currency)
    assert parse_money(shown.replace(",", ""), code) == money


@pytest.mark.parametrize("currency", sorted(DECIMALS))
def test_one_decimal_too_many_is_refused_in_every_currency(currency: str):
    decimals = DECIMALS[currency]
    assert parse_money(f"1.{'0' * (decimals + 1)}", currency).minor == 10**decimals  # zeros add nothing
    error = refused(ErrorCode.INVALID_MONEY, parse_money, f"1.{'0' * decimals}1", currency)
    assert f"{decimals} decimals" in error.message


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("10.50", "USD", 1050), ("10.5", "USD", 1050), ("1000", "JPY", 1000), (" 1,234,567 ", "JPY", 1234567)],
)
def test_people_type_amounts_in_the_currencys_own_unit(text: str, currency: str, minor: int):
    assert parse_money(text, currency).minor == minor


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "ten", "NaN", "sNaN", "Infinity", "-Infinity", "1e3", "1e400000", "1_000", "１０００", "0x10",
        "10,50", "1,00,000", ",100", "1,000,", "10.", ".5", "1.2.3", "--1", "$10", "10 USD",
        "1." + "0" * 30 + "1", "9" * 5000,
    ],
)  # fmt: skip
def test_what_may_mean_something_else_is_no_amount(text: str):
    refused(ErrorCode.INVALID_MONEY, parse_money, text, "USD")


def test_an_unknown_currency_is_named_before_the_amount_is_read():
    refused(ErrorCode.INVALID_CURRENCY, parse_money, "1", "usd")
