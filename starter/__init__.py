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
    from domain.projection import SubscriptionView
    from domain.resume import Plan
    from domain.retry import RetryPolicy
    from domain.subscription import Status
    from domain.terms import ResumePolicy, SubscriptionSpec
    from starter.exports import Export
    from starter.subscriptions import Subscription
    from starter.teiki import Teiki

__all__ = [
    "ErrorCode",
    "Export",
    "Money",
    "PaymentFilter",
    "Plan",
    "ResumePolicy",
    "RetryPolicy",
    "Status",
    "Subscription",
    "SubscriptionFilter",
    "SubscriptionSpec",
    "SubscriptionView",
    "Teiki",
    "TeikiError",
]

_HOMES = {
    "ErrorCode": "domain.errors",
    "Export": "starter.exports",
    "Money": "domain.money",
    "PaymentFilter": "db.reads.payments",
    "Plan": "domain.resume",
    "ResumePolicy": "domain.terms",
    "RetryPolicy": "domain.retry",
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
