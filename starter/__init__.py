"""Teiki's client SDK: what services import.

from starter import Money, SubscriptionSpec, Teiki

Names are loaded when they are first used: the command line shares this package, and `teiki --help` must not wait for
Temporal and SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.reads.payments import PaymentFilter
    from db.reads.subscriptions import SubscriptionFilter
    from domain.errors import ErrorCode, TeikiError
    from domain.money import Money
    from domain.product import CustomField, FixedPeriod, Option, ProductTerms, ProductType, SalesMethod
    from domain.projection import SubscriptionView
    from domain.resume import Plan
    from domain.retry import RetryPolicy
    from domain.subscription import Status
    from domain.terms import ResumePolicy, SubscriptionSpec
    from starter.exports import Export
    from starter.subscriptions import Subscription
    from starter.teiki import Teiki

__all__ = [
    "CustomField",
    "ErrorCode",
    "Export",
    "FixedPeriod",
    "Money",
    "Option",
    "PaymentFilter",
    "Plan",
    "ProductTerms",
    "ProductType",
    "ResumePolicy",
    "RetryPolicy",
    "SalesMethod",
    "Status",
    "Subscription",
    "SubscriptionFilter",
    "SubscriptionSpec",
    "SubscriptionView",
    "Teiki",
    "TeikiError",
]

_HOMES = {
    "CustomField": "domain.product",
    "ErrorCode": "domain.errors",
    "FixedPeriod": "domain.product",
    "Money": "domain.money",
    "Option": "domain.product",
    "Export": "starter.exports",
    "PaymentFilter": "db.reads.payments",
    "Plan": "domain.resume",
    "ProductTerms": "domain.product",
    "ProductType": "domain.product",
    "ResumePolicy": "domain.terms",
    "RetryPolicy": "domain.retry",
    "SalesMethod": "domain.product",
    "Status": "domain.subscription",
    "Subscription": "starter.subscriptions",
    "SubscriptionFilter": "db.reads.subscriptions",
    "SubscriptionSpec": "domain.terms",
    "SubscriptionView": "domain.projection",
    "Teiki": "starter.teiki",
    "TeikiError": "domain.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
