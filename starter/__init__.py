"""Teiki's client SDK: what services import.

from starter import Money, SubscriptionSpec, Teiki

Names are loaded when they are first used: the command line shares this package, and `teiki --help` must not wait for
Temporal and SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.reads.notifications import NotificationFilter
    from db.reads.orders import OrderFilter
    from db.reads.payments import PaymentFilter
    from db.reads.permissions import PermissionFilter
    from db.reads.subscriptions import SubscriptionFilter
    from domain.errors import ErrorCode, TeikiError
    from domain.money import Money
    from domain.order_projection import OrderView
    from domain.order_state import OrderStatus, PaymentStatus
    from domain.order_terms import KonbiniSpec, OrderSpec, Pay, Store
    from domain.permission import PermissionStatus
    from domain.product import CustomField, FixedPeriod, Option, ProductTerms, ProductType, SalesMethod
    from domain.projection import SubscriptionView
    from domain.resume import Plan
    from domain.retry import RetryPolicy
    from domain.subscription import Status
    from domain.terms import ResumePolicy, SubscriptionSpec
    from starter.exports import Export
    from starter.orders import Order
    from starter.subscriptions import Subscription
    from starter.teiki import Teiki
    from workflows.repayment_messages import Received

__all__ = [
    "CustomField",
    "ErrorCode",
    "Export",
    "FixedPeriod",
    "KonbiniSpec",
    "Money",
    "NotificationFilter",
    "Option",
    "Order",
    "OrderFilter",
    "OrderSpec",
    "OrderStatus",
    "OrderView",
    "Pay",
    "PaymentFilter",
    "PaymentStatus",
    "PermissionFilter",
    "PermissionStatus",
    "Plan",
    "ProductTerms",
    "ProductType",
    "Received",
    "ResumePolicy",
    "RetryPolicy",
    "SalesMethod",
    "Status",
    "Store",
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
    "KonbiniSpec": "domain.order_terms",
    "Money": "domain.money",
    "NotificationFilter": "db.reads.notifications",
    "Option": "domain.product",
    "Export": "starter.exports",
    "PaymentFilter": "db.reads.payments",
    "Order": "starter.orders",
    "OrderFilter": "db.reads.orders",
    "OrderSpec": "domain.order_terms",
    "OrderStatus": "domain.order_state",
    "OrderView": "domain.order_projection",
    "Pay": "domain.order_terms",
    "PaymentStatus": "domain.order_state",
    "PermissionFilter": "db.reads.permissions",
    "PermissionStatus": "domain.permission",
    "Plan": "domain.resume",
    "ProductTerms": "domain.product",
    "ProductType": "domain.product",
    "Received": "workflows.repayment_messages",
    "ResumePolicy": "domain.terms",
    "RetryPolicy": "domain.retry",
    "SalesMethod": "domain.product",
    "Status": "domain.subscription",
    "Store": "domain.order_terms",
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
