"""What was agreed: the terms of a subscription, as asked for and as kept.

`SubscriptionSpec` is what a caller gives; `agree` turns it into `Terms`, with the anchor fixed, or refuses it
by name. Nothing else in the product validates terms (spec: subscriptions.md §1).
"""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain.billing_calendar import (
    UTC,
    BillingCalendar,
    is_last_of_month,
    parse_period,
    parse_zone,
)
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.money import Money, require_positive
from domain.retry import RetryPolicy

METADATA_PAIRS_MAX: Final = 50
CHARGES_MAX: Final = 100_000
START_AHEAD_DAYS_MAX: Final = 3_660
DEFAULT_CHARGE_TIME: Final = time(7, 0)
DEFAULT_ZONE: Final = "Asia/Tokyo"


def require_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """A merchant's own pairs as they may be stored.

    Raises:
        TeikiError: `metadata_too_large`, and those of `require_free_text`.
    """
    if len(metadata) > METADATA_PAIRS_MAX:
        raise TeikiError(
            ErrorCode.METADATA_TOO_LARGE, f"At most {METADATA_PAIRS_MAX} pairs.", pairs=len(metadata)
        )
    return {
        require_free_text(key, what="metadata key"): require_free_text(value, what="metadata value")
        for key, value in metadata.items()
    }


class ResumePolicy(StrEnum):
    """What a resume does with the payments that fell due meanwhile (spec: subscriptions.md §5)."""

    NEXT_CYCLE = "next_cycle"
    CATCH_UP = "catch_up"


class SubscriptionSpec(BaseModel):
    """A subscription as it is asked for.

    Attributes:
        amount: minor units and ISO 4217 code, charged each cycle. May be left out when `total_amount` and
            `total_charges` give it.
        period: `daily weekly biweekly monthly bimonthly quarterly semiannually annually` or `P10D`, `P2M` …
        start_on: local date of the first payment in `zone`; None: it is charged now and now is the anchor.
        charge_time: local wall time, used with `start_on`.
        total_charges: a fixed number of charges, at least 2. None: open-ended.
        total_amount: charged in equal parts of `amount`, the remainder last.
        metadata: up to 50 pairs of strings, returned as given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_id: str
    product_id: str
    payment_method_id: str
    order_id: str | None = None
    amount: Money | None = None
    period: str
    start_on: date | None = None
    charge_time: time = DEFAULT_CHARGE_TIME
    zone: str = DEFAULT_ZONE
    preserve_end_of_month: bool = False
    total_charges: int | None = None
    total_amount: Money | None = None
    retry: RetryPolicy = RetryPolicy()
    resume_policy: ResumePolicy = ResumePolicy.NEXT_CYCLE
    metadata: dict[str, str] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, metadata: dict[str, str]) -> dict[str, str]:
        return require_metadata(metadata)


class Terms(BaseModel):
    """The agreed terms, as the workflow keeps them for decades. New fields always get a default."""

    model_config = ConfigDict(frozen=True)

    amount_minor: int
    currency: str
    period: str
    anchor_on: date
    charge_time: time
    zone: str
    preserve_end_of_month: bool = False
    total_charges: int | None = None
    total_amount_minor: int | None = None
    retry: RetryPolicy = RetryPolicy()
    resume_policy: ResumePolicy = ResumePolicy.NEXT_CYCLE

    @property
    def calendar(self) -> BillingCalendar:
        return BillingCalendar(
            self.anchor_on, self.charge_time, self.zone, self.period, self.preserve_end_of_month
        )

    @property
    def last_charge_takes_the_rest(self) -> bool:
        return self.total_amount_minor is not None


def agree(spec: SubscriptionSpec, *, now: datetime) -> Terms:
    """The terms with the anchor fixed.

    Args:
        spec: what was asked for.
        now: aware instant of the agreement; the anchor when `start_on` is left out.

    Raises:
        TeikiError: one of `invalid_period`, `invalid_zone`, `invalid_money`, `too_few_charges`,
            `invalid_total_amount`, `currency_mismatch`, `start_on_in_past`, `retry_exceeds_cycle`,
            `preserve_end_of_month_not_allowed`, `invalid_input`.
    """
    step = parse_period(spec.period)
    zone = parse_zone(spec.zone)
    if spec.charge_time.tzinfo is not None:
        raise TeikiError(ErrorCode.INVALID_INPUT, "charge_time is a wall time; the zone has its own field.")
    spec.retry.require_fits(spec.period)

    local_now = now.astimezone(zone)
    if spec.start_on is None:
        anchor_on, charge_time = local_now.date(), local_now.time().replace(microsecond=0, fold=0)
    else:
        anchor_on, charge_time = spec.start_on, spec.charge_time
        if anchor_on < local_now.date():
            raise TeikiError(
                ErrorCode.START_ON_IN_PAST,
                "The first payment cannot be on a day that is over.",
                start_on=anchor_on.isoformat(),
                today=local_now.date().isoformat(),
            )
        if (anchor_on - local_now.date()).days > START_AHEAD_DAYS_MAX:
            raise TeikiError(
                ErrorCode.INVALID_INPUT,
                "The first payment is at most ten years ahead.",
                start_on=anchor_on.isoformat(),
            )
    if spec.preserve_end_of_month and (not step.months or step.days or not is_last_of_month(anchor_on)):
        raise TeikiError(
            ErrorCode.PRESERVE_END_OF_MONTH_NOT_ALLOWED,
            "It needs a period of months and a first payment on the last day of its month.",
            period=spec.period,
            first_payment_on=anchor_on.isoformat(),
        )
    amount, total_charges = _amounts(spec)
    return Terms(
        amount_minor=amount.minor,
        currency=amount.currency,
        period=spec.period,
        anchor_on=anchor_on,
        charge_time=charge_time,
        zone=spec.zone,
        preserve_end_of_month=spec.preserve_end_of_month,
        total_charges=total_charges,
        total_amount_minor=spec.total_amount.minor if spec.total_amount else None,
        retry=spec.retry,
        resume_policy=spec.resume_policy,
    )


def _amounts(spec: SubscriptionSpec) -> tuple[Money, int | None]:
    """The amount of one charge and the number of charges, from whichever of the three were given."""
    charges = spec.total_charges
    if charges is not None and not 2 <= charges <= CHARGES_MAX:
        raise TeikiError(
            ErrorCode.TOO_FEW_CHARGES,
            f"A fixed number of charges is 2 to {CHARGES_MAX}.",
            total_charges=charges,
        )
    if spec.total_amount is None:
        if spec.amount is None:
            raise TeikiError(ErrorCode.INVALID_MONEY, "An amount is needed.")
        return require_positive(spec.amount), charges

    total = require_positive(spec.total_amount)
    if spec.amount is None:
        if charges is None:
            raise _bad_total("A total amount needs the amount of a charge or the number of charges.")
        amount = Money(minor=total.minor // charges, currency=total.currency)
    else:
        amount = require_positive(spec.amount)
        total.minus(amount)  # refuses two currencies
    if amount.minor <= 0 or amount.minor >= total.minor:
        raise _bad_total(
            "A total amount is charged in at least two parts.", total=total.minor, part=amount.minor
        )
    if charges is None:
        charges = -(-total.minor // amount.minor)
        if charges > CHARGES_MAX:
            raise _bad_total(f"That is more than {CHARGES_MAX} charges.", total_charges=charges)
    elif spec.amount is not None and charges != -(-total.minor // amount.minor):
        raise _bad_total(
            "The amount, the number of charges and the total do not agree.",
            total=total.minor,
            part=amount.minor,
            total_charges=charges,
        )
    return amount, charges


def _bad_total(message: str, **facts: Any) -> TeikiError:
    return TeikiError(ErrorCode.INVALID_TOTAL_AMOUNT, message, **facts)


def require_instant(value: datetime) -> datetime:
    """An aware instant, in UTC; `invalid_instant` for a local time without a zone."""
    if value.tzinfo is None:
        raise TeikiError(
            ErrorCode.INVALID_INSTANT, "An instant needs a zone or an offset.", value=value.isoformat()
        )
    return value.astimezone(UTC)
