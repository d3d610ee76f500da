"""What a product says, and what an order takes from it.

A product has a type, a way it is sold, a price, options, a usage period, points, a membership numbering and fields that
its customers fill in. An order copies these terms when it is placed and keeps them, so they are judged here, once, and
contradictions are refused by name (spec: orders.md §§1, 6, 8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, field_serializer, field_validator, model_validator

from domain.answers import FieldType, read_answer
from domain.billing_calendar import UTC, add_months, parse_zone, place
from domain.durations import Duration, parse_duration
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable, require_free_text
from domain.money import Money
from domain.terms import require_instant

__all__ = [
    "CustomField",
    "FieldType",
    "FixedPeriod",
    "Option",
    "ProductTerms",
    "ProductType",
    "SalesMethod",
    "check_custom_fields",
    "check_identification",
    "points_of",
    "price_of",
    "usage_of",
    "with_price",
]

OPTIONS_MAX: Final = 100
FIELDS_MAX: Final = 50
CHOICES_MAX: Final = 200
NAME_CHARACTERS_MAX: Final = 80
RATE_DECIMALS_MAX: Final = 6
USAGE_YEARS_MAX: Final = 100


class ProductType(StrEnum):
    """What is sold (spec: orders.md §1)."""

    DIGITAL = "digital"
    MEMBERSHIP = "membership"
    SPONSORSHIP = "sponsorship"
    SUBSCRIPTION_VOUCHER = "subscription_voucher"
    TICKET = "ticket"


class SalesMethod(StrEnum):
    """How it is paid for: once, again and again, or not at all because a token proves the right to it."""

    ONE_TIME = "one_time"
    RECURRING = "recurring"
    TOKEN_AUTH = "token_auth"  # noqa: S105 - a way of selling, not a secret


class _Agreed(BaseModel):
    """Orders keep these for decades: new fields always get a default, no default ever changes, and no rule becomes
    stricter, because what was once agreed must be readable for ever.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class CustomField(_Agreed):
    """One question to the customer; `choices` belong to the type `choice` and to no other."""

    name: str
    type: FieldType = FieldType.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> CustomField:
        _require_names([self.name], what="custom field")
        if (self.type is FieldType.CHOICE) != bool(self.choices):
            raise _contradiction(
                "A field of the type choice lists its choices; any other has none.", field=self.name
            )
        _require_names(self.choices, what="choice", most=CHOICES_MAX)
        return self


class Option(_Agreed):
    """A variant of the product. Its price, if it has one, replaces the product's."""

    name: str
    price: Money | None = None


class FixedPeriod(_Agreed):
    """The same two instants for every customer, whenever they bought. Aware, kept in UTC."""

    starts_at: datetime
    ends_at: datetime

    @field_validator("starts_at", "ends_at", mode="before")
    @classmethod
    def _written_as_an_instant(cls, value: Any) -> Any:
        if not isinstance(value, str | datetime):  # a bare number would be read as seconds since 1970
            raise TeikiError(
                ErrorCode.INVALID_INSTANT, "An instant is written like 2026-12-01T09:00:00+09:00."
            )
        return value

    @field_validator("starts_at", "ends_at")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        return require_instant(value)

    @model_validator(mode="after")
    def _forward(self) -> FixedPeriod:
        if self.ends_at <= self.starts_at:
            raise TeikiError(
                ErrorCode.INVALID_USAGE_PERIOD,
                "A usage period ends after it starts.",
                starts_at=self.starts_at.isoformat(),
                ends_at=self.ends_at.isoformat(),
            )
        return self


class ProductTerms(_Agreed):
    """What a product says. Everything has a default, so that entries from before a field existed can be read.

    Attributes:
        price: before any option; None: none is named (token authentication, or each option names its own).
        usage_period: an ISO 8601 duration from the acquisition ("P30D", "P1M", "PT48H"), two fixed instants, or
            None: without end.
        point_rate: points per unit of price, 0 to 1, given as text ("0.01"); None: no points.
        membership_numbers: each customer gets the product's next number.
        identification_fields: what is collected about the holder of the permission.

    Raises:
        TeikiError: `invalid_product`, `invalid_usage_period`, `invalid_point_rate`, `invalid_instant`,
            `invalid_money`, `currency_mismatch`, `invalid_input`, `card_number_refused`.
    """

    type: ProductType = ProductType.DIGITAL
    sales_method: SalesMethod = SalesMethod.ONE_TIME
    price: Money | None = None
    options: tuple[Option, ...] = ()
    usage_period: str | FixedPeriod | None = None
    point_rate: Decimal | None = None
    membership_numbers: bool = False
    identification_fields: tuple[str, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()

    @field_validator("usage_period")
    @classmethod
    def _usable(cls, period: str | FixedPeriod | None) -> str | FixedPeriod | None:
        if isinstance(period, str):
            _usage_duration(period)
        return period

    @field_validator("point_rate", mode="before")
    @classmethod
    def _exact(cls, rate: Any) -> Decimal | None:
        return None if rate is None else _parse_rate(rate)

    @field_serializer("point_rate")
    def _as_text(self, rate: Decimal | None) -> str | None:
        return None if rate is None else f"{rate:f}"

    @model_validator(mode="after")
    def _consistent(self) -> ProductTerms:
        _require_names([option.name for option in self.options], what="option", most=OPTIONS_MAX)
        _require_names(self.identification_fields, what="identification field", most=FIELDS_MAX)
        _require_names([field.name for field in self.custom_fields], what="custom field", most=FIELDS_MAX)
        _require_prices([self.price, *(option.price for option in self.options)])
        if self.type is ProductType.TICKET and self.sales_method is SalesMethod.RECURRING:
            raise _contradiction(
                "A ticket is used once, so it is not sold as a recurring payment.",
                type=self.type.value,
                sales_method=self.sales_method.value,
            )
        return self


def usage_of(
    period: str | FixedPeriod | None, acquired_at: datetime, *, zone: str
) -> tuple[datetime, datetime | None]:
    """When the right to use begins and ends, as instants in UTC; no end is None.

    Months and days of a duration are counted on the zone's wall clock (bought on the 31st for P1M: until the last
    day of the next month), hours exactly. A fixed period is its own, whenever it was acquired.

    Args:
        period: as `ProductTerms.usage_period`.
        acquired_at: aware; for a Konbini deposit the instant of payment.
        zone: IANA name.

    Raises:
        TeikiError: `invalid_usage_period`, `invalid_zone`, `invalid_instant`.
    """
    start = require_instant(acquired_at)
    if period is None:
        return start, None
    if isinstance(period, FixedPeriod):
        return period.starts_at, period.ends_at
    duration, clock = _usage_duration(period), parse_zone(zone)
    if not duration.months and not duration.days:
        return start, start + timedelta(seconds=duration.seconds)
    local = start.astimezone(clock).replace(tzinfo=None)
    day = add_months(local.date(), duration.months) + timedelta(days=duration.days)
    moved = place(datetime.combine(day, local.time()), clock)
    return start, (moved + timedelta(seconds=duration.seconds)).astimezone(UTC)


def points_of(price: Money, rate: Decimal | None) -> int:
    """Price × rate in the currency's own unit, rounded down: 3,500 JPY × 0.01 → 35; 35.00 USD × 0.01 → 0."""
    if price.minor < 0:
        raise TeikiError(ErrorCode.INVALID_MONEY, "A price is not negative.", minor=price.minor)
    if rate is None:
        return 0
    numerator, denominator = rate.as_integer_ratio()  # whole numbers all the way: no rounding but the last
    return int(price.minor * numerator // (denominator * 10**price.decimals))


def price_of(terms: ProductTerms, options: Iterable[str] = ()) -> Money:
    """The price with these options; the one that names a price replaces the product's.

    Raises:
        TeikiError: `invalid_option` (unknown, named twice, or two that each name a price); `price_missing`.
    """
    known = {option.name: option for option in terms.options}
    chosen = list(options)
    for name in chosen:
        if name not in known or chosen.count(name) > 1:
            raise TeikiError(
                ErrorCode.INVALID_OPTION,
                "An option is one of the product's, named once.",
                option=repeatable(name, NAME_CHARACTERS_MAX),
                options=list(known),
            )
    priced = [name for name in chosen if known[name].price is not None]
    if len(priced) > 1:
        raise TeikiError(ErrorCode.INVALID_OPTION, "Two options that each name a price.", options=priced)
    price = known[priced[0]].price if priced else terms.price
    if price is None:
        raise TeikiError(ErrorCode.PRICE_MISSING, "The product names no price for this.", options=chosen)
    return price


def with_price(terms: ProductTerms, price: Money | None) -> ProductTerms:
    """The terms with a price that was given beside them; `invalid_product` when they name another one."""
    if price is None or terms.price == price:
        return terms
    if terms.price is not None:
        raise _contradiction("The price is given twice, and not the same.")
    # Built anew and not copied: the options' currency is judged too.
    return ProductTerms.model_validate(terms.model_dump(exclude_unset=True) | {"price": price})


def check_custom_fields(
    terms: ProductTerms, answers: Mapping[str, Any]
) -> dict[str, str | int | float | bool]:
    """The answers as they are kept (JSON values, in the fields' order); what was left empty is left out.

    Raises:
        TeikiError: `invalid_custom_field` (unknown, missing, of another type, not a choice), `invalid_input`,
            `card_number_refused`.
    """
    _require_known(answers, [field.name for field in terms.custom_fields], ErrorCode.INVALID_CUSTOM_FIELD)
    kept = {}
    for field in terms.custom_fields:
        answer = answers.get(field.name)
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            if field.required:
                raise TeikiError(
                    ErrorCode.INVALID_CUSTOM_FIELD, "This field must be filled in.", field=field.name
                )
            continue
        kept[field.name] = read_answer(field.name, field.type, answer, choices=field.choices)
    return kept


def check_identification(terms: ProductTerms, info: Mapping[str, str]) -> dict[str, str]:
    """What was told about the holder, in the fields' order. None of it is a must; what was left empty is left out.

    Raises:
        TeikiError: `invalid_identification` (unknown field, no text), `invalid_input`, `card_number_refused`.
    """
    _require_known(info, terms.identification_fields, ErrorCode.INVALID_IDENTIFICATION)
    kept = {}
    for name in terms.identification_fields:
        value = info.get(name, "")
        if not isinstance(value, str):
            raise TeikiError(
                ErrorCode.INVALID_IDENTIFICATION, "Identification information is text.", field=name
            )
        if value.strip():
            kept[name] = require_free_text(value.strip(), what="identification information")
    return kept


def _usage_duration(text: str) -> Duration:
    try:
        duration = parse_duration(text)
    except TeikiError as error:
        raise TeikiError(
            ErrorCode.INVALID_USAGE_PERIOD,
            "A usage period is a duration like P30D, P1M or PT48H, two instants, or none.",
            usage_period=repeatable(text, 40),
        ) from error
    years = duration.months / 12 + duration.days / 365 + duration.seconds / (365 * 86_400)
    if years > USAGE_YEARS_MAX:
        raise TeikiError(
            ErrorCode.INVALID_USAGE_PERIOD,
            f"A usage period is at most {USAGE_YEARS_MAX} years; leave it out for one without end.",
            usage_period=repeatable(text, 40),
        )
    return duration


def _parse_rate(given: Any) -> Decimal:
    """A float is refused even when it looks right: 0.1 is not a tenth."""
    try:
        rate = Decimal(given) if isinstance(given, str | Decimal) or type(given) is int else Decimal("NaN")
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or not 0 <= rate <= 1 or rate != rate.quantize(Decimal(10) ** -RATE_DECIMALS_MAX):
        raise TeikiError(
            ErrorCode.INVALID_POINT_RATE,
            f'A point rate is a text from 0 to 1 with at most {RATE_DECIMALS_MAX} decimals, like "0.01".',
            point_rate=repeatable(given, 40),
        )
    return abs(rate.normalize())  # one way to write it; and no negative zero


def _require_names(names: Iterable[str], *, what: str, most: int = 1) -> None:
    counted = Counter(names)
    if counted.total() > most:
        raise _contradiction(f"A product has at most {most} of these: {what}.", given=counted.total())
    for name, times in counted.items():
        require_free_text(name, what=what, characters_max=NAME_CHARACTERS_MAX)
        if times > 1 or not name or name != name.strip():
            raise _contradiction(f"Each {what} has a name of its own, without spaces around it.", name=name)


def _require_prices(prices: Iterable[Money | None]) -> None:
    named = [price for price in prices if price is not None]
    for price in named:
        if price.minor < 0:
            raise TeikiError(ErrorCode.INVALID_MONEY, "A price is not negative.", minor=price.minor)
        named[0].plus(price)  # refuses two currencies


def _require_known(given: Mapping[str, Any], known: Iterable[str], code: ErrorCode) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            raise TeikiError(
                code,
                "The product has no such field.",
                field=repeatable(name, NAME_CHARACTERS_MAX),
                fields=names,
            )


def _contradiction(message: str, **facts: Any) -> TeikiError:
    return TeikiError(ErrorCode.INVALID_PRODUCT, message, **facts)
