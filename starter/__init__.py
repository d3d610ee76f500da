"""Teiki's client SDK: what services import.

from starter import Money, SubscriptionSpec, Teiki
"""

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.projection import SubscriptionView
from domain.resume import Plan
from domain.retry import RetryPolicy
from domain.subscription import Status
from domain.terms import ResumePolicy, SubscriptionSpec
from starter.subscriptions import Subscription
from starter.teiki import Teiki

__all__ = [
    "ErrorCode",
    "Money",
    "Plan",
    "ResumePolicy",
    "RetryPolicy",
    "Status",
    "Subscription",
    "SubscriptionSpec",
    "SubscriptionView",
    "Teiki",
    "TeikiError",
]
