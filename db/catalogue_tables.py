"""The catalogue's tables: who buys, what is sold, and by what it is paid (spec: orders.md §1).

A payment method is a token of the payment company with what may be shown of it; it belongs to one customer.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import currency, id_, instant, metadata, one_of, words
from domain.product import ProductType, SalesMethod

customers: Final = Table(
    "customers",
    metadata,
    id_("id", primary_key=True),
    words("email"),
    words("name"),
    # Since when nothing is charged: the id itself is blocked (`id_blocked_at`), or one of this customer's e-mails or
    # phones. What every charge looks at, so it stands here; `db.contacts.hold` keeps it.
    instant("blocked_at", nullable=True),
    instant("id_blocked_at", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    CheckConstraint("id_blocked_at IS NULL OR blocked_at IS NOT NULL", name="a_blocked_id_holds_back"),
    Index("ix_customers_created", text("created_at DESC"), text("id DESC")),
)
for _column in (customers.c.email, customers.c.name):
    # For "starts with", whatever the case and the database's collation.
    Index(
        f"ix_customers_{_column.name}",
        func.lower(_column).label("lowered"),
        postgresql_ops={"lowered": "text_pattern_ops"},
    )

products: Final = Table(
    "products",
    metadata,
    id_("id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("price_minor", BigInteger),
    Column("currency", Text),
    instant("created_at"),
    instant("updated_at"),
    Column("type", Text, nullable=False, server_default="digital"),
    Column("sales_method", Text, nullable=False, server_default="one_time"),
    Column("terms", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    one_of("type", [kind.value for kind in ProductType]),
    one_of("sales_method", [method.value for method in SalesMethod]),
    currency(),
    CheckConstraint("price_minor >= 0 AND (price_minor IS NULL) = (currency IS NULL)", name="price_whole"),
    Index("ix_products_created", text("created_at DESC"), text("id DESC")),
    Index("ix_products_type", "type", text("created_at DESC"), text("id DESC")),
)

payment_methods: Final = Table(
    "payment_methods",
    metadata,
    id_("id", primary_key=True),
    id_("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("token", Text, nullable=False),
    Column("kind", Text, nullable=False),
    words("brand"),
    words("last_four"),
    Column("expires_month", SmallInteger),
    Column("expires_year", SmallInteger),
    instant("blocked_at", nullable=True),
    instant("created_at"),
    one_of("kind", ("card", "konbini", "bank_transfer", "sepa_debit")),
    CheckConstraint("last_four ~ '^([0-9]{4})?$'", name="last_four_only"),
    CheckConstraint("expires_month BETWEEN 1 AND 12", name="expires_month_valid"),
    # What subscriptions point at: a card together with its owner.
    UniqueConstraint("id", "customer_id", name="uq_payment_methods_owner"),
    Index("ix_payment_methods_customer", "customer_id", "id"),
    Index("ix_payment_methods_last_four", "last_four", "brand"),
)
