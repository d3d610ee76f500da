"""Money is an integer of minor units and a currency, and never anything else.

JPY has no decimals, BHD and KWD have three, CLF and UYW four: the number of decimals belongs to the
currency (ISO 4217) and nothing in the product divides by 100 (spec: subscriptions.md §1).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable

MINOR_MAX: Final = 10**15
"""The largest amount accepted, in minor units: far above any charge, far below a bigint's edge."""

_CODES_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
        "GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD "
        "LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
        "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
        "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW "
        "ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

DECIMALS: Final[dict[str, int]] = {
    code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()
}
"""ISO 4217 code → decimals. Metals, funds' units of account and test codes have none and are no money here."""

_TYPED: Final = re.compile(
    r"(?P<sign>-)?(?P<whole>\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:\.(?P<fraction>\d{1,18}))?", re.ASCII
)
"""Commas stand only between thousands: `10,50` is a European's 10.50 and must not become 1,050."""


class Money(BaseModel):
    """An amount in minor units: `Money(minor=1000, currency="JPY")` is ¥1,000; in `USD` it is $10.00.

    Raises:
        TeikiError: `invalid_money` for a float, a string, a bool or an absurd size;
            `invalid_currency` for a code ISO 4217 does not know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minor: int
    currency: str

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_money(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        minor, currency = data.get("minor"), data.get("currency")
        if type(minor) is not int:
            raise TeikiError(
                ErrorCode.INVALID_MONEY,
                "An amount is an integer of minor units, never a float or a text.",
                minor=str(minor),
            )
        if abs(minor) > MINOR_MAX:
            raise TeikiError(
                # Not the number itself: Python refuses to print one of more than 4,300 digits.
                ErrorCode.INVALID_MONEY,
                "The amount is larger than any accepted one.",
                minor_max=MINOR_MAX,
            )
        if not isinstance(currency, str) or currency not in DECIMALS:
            raise TeikiError(
                ErrorCode.INVALID_CURRENCY,
                "The currency is not an ISO 4217 code in capitals.",
                currency=str(currency),
            )
        return data

    @property
    def decimals(self) -> int:
        return DECIMALS[self.currency]

    @property
    def major(self) -> Decimal:
        """The exact amount in the currency's own unit."""
        return Decimal(self.minor).scaleb(-self.decimals)

    def __str__(self) -> str:
        """`1,000 JPY`, `10.00 USD`, `1.000 BHD`: the code, not a symbol, so that ¥ is never ambiguous."""
        return f"{self.major:,.{self.decimals}f} {self.currency}"

    def plus(self, other: Money) -> Money:
        self._require_same_currency(other)
        return Money(minor=self.minor + other.minor, currency=self.currency)

    def minus(self, other: Money) -> Money:
        self._require_same_currency(other)
        return Money(minor=self.minor - other.minor, currency=self.currency)

    def _require_same_currency(self, other: Money) -> None:
        if other.currency != self.currency:
            raise TeikiError(
                ErrorCode.CURRENCY_MISMATCH,
                "Amounts of two currencies cannot be put together.",
                expected=self.currency,
                got=other.currency,
            )


def require_positive(money: Money) -> Money:
    """A charge takes more than nothing: zero and negative amounts are `invalid_money`."""
    if money.minor <= 0:
        raise TeikiError(ErrorCode.INVALID_MONEY, "The amount must be more than zero.", minor=money.minor)
    return money


def parse_money(text: str, currency: str) -> Money:
    """What a person types, in the currency's own unit: `"10.50"` USD → 1050; `"1000"` JPY → 1000.

    Raises:
        TeikiError: `invalid_money` when it is no number, or has more decimals than the currency.
    """
    if currency not in DECIMALS:
        raise TeikiError(
            ErrorCode.INVALID_CURRENCY, "The currency is not an ISO 4217 code in capitals.", currency=currency
        )
    match = _TYPED.fullmatch(text.strip())
    if match is None:
        raise TeikiError(
            ErrorCode.INVALID_MONEY,
            "The amount is not a number like 1,000 or 10.50.",
            text=repeatable(text, 40),
        )
    decimals = DECIMALS[currency]
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > decimals:
        raise TeikiError(
            ErrorCode.INVALID_MONEY,
            f"{currency} has {decimals} decimals; the amount has more.",
            text=repeatable(text, 40),
        )
    minor = int(match["whole"].replace(",", "") + fraction.ljust(decimals, "0"))
    return Money(minor=-minor if match["sign"] else minor, currency=currency)
