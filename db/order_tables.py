"""Orders and what they bring: permissions, membership numbers, Konbini slips, notes (spec: orders.md).

An order keeps the terms it was bought with (`terms`); what lists filter by are columns of their own. A slip is paid
under the order's id and its own number, so that its money is in `payments` and `attempts` like all other money.
"""

from __future__ import annotations

from typing import Final, get_args

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    column,
    event,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import currency, id_, instant, metadata, one_of, words
from domain.deposit import DepositStatus
from domain.order_state import OrderStatus, PaymentStatus
from domain.order_steps import StepKind
from domain.order_terms import JAPAN, Pay, Store
from domain.permission import Acquisition, PermissionStatus
from domain.product import ProductType

order_numbers_seq: Final = Sequence("order_numbers_seq", metadata=metadata)
PAYERS: Final = """
CREATE VIEW payers AS
SELECT id, customer_id, payment_method_id, product_id, zone FROM subscriptions
UNION ALL
SELECT id, customer_id, payment_method_id, product_id, zone FROM orders
"""
"""Who pays for an object, by what, and what it is about."""
payers: Final = table(
    "payers",
    column("id"),
    column("customer_id"),
    column("payment_method_id"),
    column("product_id"),
    column("zone"),
)
OBJECT_NAMED: Final = """
CREATE FUNCTION object_named(object_id text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object(
        CASE WHEN left(object_id, 4) = 'ord_' THEN 'order_id' ELSE 'subscription_id' END, object_id)
$$
"""
"""An object's id as a notice names it."""
for _statement in (PAYERS, OBJECT_NAMED):
    event.listen(metadata, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]

NUMBER_ZONE: Final = JAPAN
NUMBER_DAY_CHARACTERS: Final = 8
"""An order number begins with the day on which it was placed, there."""

_NEWEST: Final = (text("created_at DESC"), text("id DESC"))

orders: Final = Table(
    "orders",
    metadata,
    id_("id", primary_key=True),
    id_("number", nullable=False),
    id_("customer_id", ForeignKey("customers.id"), nullable=False),
    id_("product_id", ForeignKey("products.id"), nullable=False),
    # How it is paid: for Konbini a method made with the order, for token authentication none.
    id_("payment_method_id"),
    Column("terms", JSONB, nullable=False),
    Column("product_type", Text, nullable=False),
    Column("product_name", Text, nullable=False),
    Column("options", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("pay", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text),
    Column("zone", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("paid_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("points_expected", BigInteger, nullable=False),
    Column("points_earned", BigInteger, nullable=False),
    instant("completed_at", nullable=True),
    instant("confirmed_at", nullable=True),
    instant("ends_at", nullable=True),
    Column("expires_on", Date),
    Column("next_kind", Text),
    instant("next_at", nullable=True),
    instant("next_payment_at", nullable=True),
    id_("deposit_id"),
    id_("subscription_id"),
    Column("custom_fields", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("notes", Integer, nullable=False, server_default="0"),
    words("latest_note"),
    # Both for the list alone, so that its indexes hold them.
    id_("product_name_lowered", Computed("lower(product_name)", persisted=True), nullable=False),
    Column("has_notes", Boolean, Computed("notes > 0", persisted=True), nullable=False),
    instant("created_at"),
    instant("updated_at"),
    ForeignKeyConstraint(
        ["payment_method_id", "customer_id"],
        ["payment_methods.id", "payment_methods.customer_id"],
        name="fk_orders_payment_method_of_customer",
    ),
    UniqueConstraint("number", name="uq_orders_number"),
    one_of("product_type", [kind.value for kind in ProductType]),
    one_of("pay", [pay.value for pay in Pay]),
    one_of("status", [status.value for status in OrderStatus]),
    one_of("payment_status", [status.value for status in PaymentStatus]),
    one_of("next_kind", [kind.value for kind in StepKind if kind is not StepKind.VERIFY]),
    currency(),
    CheckConstraint("amount_minor >= 0 AND (currency IS NOT NULL OR amount_minor = 0)", name="amount_whole"),
    CheckConstraint("paid_minor >= refunded_minor AND refunded_minor >= 0", name="refunded_at_most_paid"),
    CheckConstraint("(next_kind IS NULL) = (next_at IS NULL)", name="next_step_whole"),
    CheckConstraint("(pay = 'none') = (payment_method_id IS NULL)", name="paid_by_something"),
    # What begins with 2026 is what was placed in that year: db/reads/order_numbers.py.
    CheckConstraint(
        f"left(number, {NUMBER_DAY_CHARACTERS}) = to_char(created_at AT TIME ZONE '{NUMBER_ZONE}', 'YYYYMMDD')",
        name="number_tells_its_day",
    ),
    CheckConstraint("(completed_at IS NULL) OR status <> 'in_process'", name="completed_is_not_in_process"),
)
# A change of status writes to all of these, so they are few. Each is a bundle of streams, newest first, that the list
# merges (db/reads/order_paths.py): any combination of filters is found, however rare.
FACETS: Final = ("status", "payment_status", "product_type", "pay", "has_notes")
_FACETS: Final = tuple(orders.c[name] for name in FACETS)
_NEWEST_ORDER: Final = (orders.c.created_at.desc(), orders.c.id.desc())
Index("ix_orders_created", *_NEWEST_ORDER)
Index("ix_orders_facets", *_FACETS, *_NEWEST_ORDER)
Index("ix_orders_product", orders.c.product_id, *_FACETS, *_NEWEST_ORDER)
# Included: of a customer with 10,000 orders the few that fit are found without a look at the others.
Index(
    "ix_orders_customer",
    orders.c.customer_id,
    *_NEWEST_ORDER,
    postgresql_include=[*FACETS, "product_id", "product_name_lowered", "number"],
)
Index("ix_orders_product_name", orders.c.product_name_lowered, orders.c.product_id, *_NEWEST_ORDER)

permissions: Final = Table(
    "permissions",
    metadata,
    id_("id", primary_key=True),
    id_("order_id", ForeignKey("orders.id"), nullable=False),
    # Of the order's number: db/reads/permission_places.py.
    id_("order_day", nullable=False),
    id_("customer_id", ForeignKey("customers.id"), nullable=False),
    id_("product_id", ForeignKey("products.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("acquisition", Text, nullable=False),
    instant("acquired_at"),
    instant("starts_at"),
    instant("ends_at", nullable=True),
    instant("used_at", nullable=True),
    Column("used_by", Text),
    Column("membership_number", BigInteger),
    Column("identification", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # The customer tells it once; admins may change it at any time.
    Column("identified_by_customer", Boolean, nullable=False, server_default=text("false")),
    instant("created_at"),
    instant("updated_at"),
    UniqueConstraint("order_id", name="uq_permissions_order"),
    UniqueConstraint("product_id", "membership_number", name="uq_permissions_membership_number"),
    one_of("status", [status.value for status in PermissionStatus]),
    one_of("acquisition", get_args(Acquisition)),
    CheckConstraint("membership_number >= 1", name="numbers_from_one"),
    CheckConstraint("(used_at IS NULL) = (used_by IS NULL)", name="used_by_someone"),
    CheckConstraint("status <> 'used' OR used_at IS NOT NULL", name="used_is_dated"),
    Index("ix_permissions_created", *_NEWEST),
    Index("ix_permissions_order_day", "order_day", *_NEWEST),
    Index("ix_permissions_customer", "customer_id", *_NEWEST),
    Index("ix_permissions_product", "product_id", "status", *_NEWEST),
)

membership_counters: Final = Table(
    "membership_counters",
    metadata,
    id_("product_id", ForeignKey("products.id"), primary_key=True),
    # The last number given out, raised in the transaction that gives it: no gap, none twice.
    Column("last_number", BigInteger, nullable=False),
)

deposits: Final = Table(
    "deposits",
    metadata,
    id_("id", primary_key=True),
    id_("order_id", ForeignKey("orders.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("store", Text, nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    words("payment_number"),
    words("confirmation_number"),
    Column("gateway_id", Text),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("deadline_at"),
    instant("final_at"),
    instant("paid_at", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    UniqueConstraint("order_id", "number", name="uq_deposits_slip"),
    one_of("status", [status.value for status in DepositStatus]),
    one_of("store", [store.value for store in Store]),
    currency(),
    CheckConstraint("final_at >= deadline_at", name="grace_after_deadline"),
    CheckConstraint("number >= 1", name="number_from_one"),
    Index("ix_deposits_gateway_id", "gateway_id"),
)

order_notes: Final = Table(
    "order_notes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    id_("order_id", ForeignKey("orders.id"), nullable=False),
    instant("at"),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_order_notes_order", "order_id", "id"),
)
