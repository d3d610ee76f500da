"""Every refusal has a stable code, a sentence for people and the facts.

The codes are the product's promise to integrators: the same word in the SDK, on the command line,
over HTTP, in an update's failure and in a scenario's timeline (spec: interfaces.md).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """The stable names of everything that can be refused or go wrong."""

    # money and terms
    INVALID_MONEY = "invalid_money"
    INVALID_CURRENCY = "invalid_currency"
    INVALID_PERIOD = "invalid_period"
    INVALID_DURATION = "invalid_duration"
    INVALID_ZONE = "invalid_zone"
    INVALID_INSTANT = "invalid_instant"
    INVALID_INPUT = "invalid_input"
    START_ON_IN_PAST = "start_on_in_past"
    PRESERVE_END_OF_MONTH_NOT_ALLOWED = "preserve_end_of_month_not_allowed"
    RETRY_EXCEEDS_CYCLE = "retry_exceeds_cycle"
    INVALID_RETRY = "invalid_retry"
    TOO_FEW_CHARGES = "too_few_charges"
    INVALID_TOTAL_AMOUNT = "invalid_total_amount"
    AMOUNT_FIXED_BY_TOTAL = "amount_fixed_by_total"
    CURRENCY_MISMATCH = "currency_mismatch"
    METADATA_TOO_LARGE = "metadata_too_large"
    CARD_NUMBER_REFUSED = "card_number_refused"
    # products
    INVALID_PRODUCT = "invalid_product"
    INVALID_USAGE_PERIOD = "invalid_usage_period"
    INVALID_POINT_RATE = "invalid_point_rate"
    INVALID_OPTION = "invalid_option"
    PRICE_MISSING = "price_missing"
    INVALID_CUSTOM_FIELD = "invalid_custom_field"
    INVALID_IDENTIFICATION = "invalid_identification"
    # objects
    SUBSCRIPTION_NOT_FOUND = "subscription_not_found"
    CUSTOMER_NOT_FOUND = "customer_not_found"
    PRODUCT_NOT_FOUND = "product_not_found"
    PAYMENT_NOT_FOUND = "payment_not_found"
    REPAYMENT_NOT_FOUND = "repayment_not_found"
    DEPOSIT_NOT_FOUND = "deposit_not_found"
    PAYMENT_METHOD_NOT_FOUND = "payment_method_not_found"
    PAYMENT_METHOD_NOT_CARD = "payment_method_not_card"
    PAYMENT_METHOD_OF_OTHER_CUSTOMER = "payment_method_of_other_customer"
    CUSTOMER_BLOCKED = "customer_blocked"
    CUSTOMER_AMBIGUOUS = "customer_ambiguous"
    DETAIL_NOT_FOUND = "detail_not_found"
    NOT_BLOCKED = "not_blocked"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code, not a secret
    ORDER_NOT_FOUND = "order_not_found"
    PERMISSION_NOT_FOUND = "permission_not_found"
    # orders
    INVALID_PHONE = "invalid_phone"
    SALES_METHOD_MISMATCH = "sales_method_mismatch"
    KONBINI_NOT_SUPPORTED = "konbini_not_supported"
    KONBINI_AMOUNT_OUT_OF_RANGE = "konbini_amount_out_of_range"
    NOT_CANCELABLE = "not_cancelable"
    REFUND_AMOUNT_MISMATCH = "refund_amount_mismatch"
    PARTIAL_REFUND_NOT_SUPPORTED = "partial_refund_not_supported"
    REFUND_NOT_SUPPORTED = "refund_not_supported"
    NOT_A_TICKET = "not_a_ticket"
    NOT_KONBINI = "not_konbini"
    NOT_RECURRING = "not_recurring"
    ALREADY_PROCESSED = "already_processed"
    PERMISSION_NOT_ACTIVE = "permission_not_active"
    OUTSIDE_USAGE_PERIOD = "outside_usage_period"
    ORDER_ALREADY_CONFIRMED = "order_already_confirmed"
    IDENTIFICATION_ALREADY_GIVEN = "identification_already_given"
    FORBIDDEN = "forbidden"
    # operations
    INVALID_STATUS = "invalid_status"
    OPERATION_NOT_SUPPORTED = "operation_not_supported"
    NOT_SCHEDULED_FOR_CANCELLATION = "not_scheduled_for_cancellation"
    ALREADY_SCHEDULED_FOR_CANCELLATION = "already_scheduled_for_cancellation"
    RESUME_AT_IN_PAST = "resume_at_in_past"
    LINK_NOT_USABLE = "link_not_usable"
    REPAYMENT_EXCEEDS_BALANCE = "repayment_exceeds_balance"
    REQUEST_ID_CONFLICT = "request_id_conflict"
    INVALID_CURSOR = "invalid_cursor"
    NOTHING_TO_SETTLE = "nothing_to_settle"
    GATEWAY_DISAGREES = "gateway_disagrees"
    INCIDENT_NOT_FOUND = "incident_not_found"
    WEBHOOK_REFUSED = "webhook_refused"
    # credits
    CREDIT_EXCEEDS_BALANCE = "credit_exceeds_balance"
    CREDIT_NOT_FOUND = "credit_not_found"
    RISK_NOT_ACCEPTED = "risk_not_accepted"
    # roles
    LAST_ADMIN = "last_admin"
    # exports
    EXPORT_NOT_FOUND = "export_not_found"
    EXPORT_NOT_READY = "export_not_ready"
    EXPORT_EXPIRED = "export_expired"
    EXPORT_TIMED_OUT = "export_timed_out"
    EXPORT_CANCELED = "export_canceled"
    EXPORT_FAILED = "export_failed"
    EXPORT_PASSWORD_GONE = "export_password_gone"  # noqa: S105 - a code, not a secret
    EXPORT_PASSWORD_NEEDED = "export_password_needed"  # noqa: S105 - as above
    PASSWORD_EMPTY = "password_empty"  # noqa: S105 - as above
    EXPORT_TOO_LARGE = "export_too_large"
    # notifications
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    ENDPOINT_REFUSED = "endpoint_refused"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    NOTIFICATION_NOT_FOUND = "notification_not_found"
    # the machine room
    LIVE_ATTEMPT_EXISTS = "live_attempt_exists"
    GATEWAY_UNAVAILABLE = "gateway_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    SETTINGS_INVALID = "settings_invalid"
    SCENARIO_INVALID = "scenario_invalid"


class TeikiError(Exception):
    """A refusal: nothing was changed.

    Attributes:
        code: the stable name, one of `ErrorCode`.
        message: one sentence for people; never personal data.
        facts: what the caller needs to act (JSON values only).
    """

    def __init__(self, code: ErrorCode, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword arguments do not survive pickling by themselves (process pools, xdist).
        return _rebuild, (self.code, self.message, self.facts)

    def as_json(self) -> dict[str, Any]:
        """The error as the interfaces show it: `{"code": …, "message": …, <facts>}`."""
        return {"code": self.code.value, "message": self.message, **self.facts}


def _rebuild(code: ErrorCode, message: str, facts: dict[str, Any]) -> TeikiError:
    return TeikiError(code, message, **facts)
