"""The tables. What must never happen is refused here, by the database itself.

Foreign keys, checks and unique indexes carry the invariants: one live attempt per payment, one ledger transfer per
attempt and kind, a card that belongs to the customer who pays with it. Triggers in the migration make ledger and
history append-only. Ids are opaque text in "C" order; instants are `timestamptz`; money is minor units
(spec: charging.md §§2–3, subscriptions.md §9).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.audit_tables import audit, role_grants
from db.catalogue_tables import customers, payment_methods, products
from db.columns import (
    EVENT_KINDS,
    currency,
    id_,
    instant,
    metadata,
    one_of,
    recorded_at,
    seq,
    words,
)
from db.credit_tables import credits_, payment_balances
from db.customer_tables import contacts, customer_contacts
from db.export_tables import export_downloads, exports, sealed_secrets
from db.money_tables import attempts, ledger, payments
from db.notification_tables import deliveries, delivery_tries, endpoints
from db.order_tables import deposits, membership_counters, order_notes, orders, payers, permissions
from db.repayment_tables import repayments
from db.watch_tables import incidents, reconciliations
from db.webhook_tables import webhook_inbox
from domain.subscription import Status, StepKind

__all__ = [
    "APPEND_ONLY",
    "attempts",
    "audit",
    "card_links",
    "contacts",
    "credits_",
    "customer_contacts",
    "customers",
    "deliveries",
    "delivery_tries",
    "deposits",
    "endpoints",
    "export_downloads",
    "exports",
    "history",
    "incidents",
    "ledger",
    "membership_counters",
    "metadata",
    "order_notes",
    "orders",
    "outbox",
    "payers",
    "payment_balances",
    "payment_methods",
    "payments",
    "permissions",
    "products",
    "reconciliations",
    "repayments",
    "requests",
    "role_grants",
    "sealed_secrets",
    "subscriptions",
    "webhook_inbox",
]

subscriptions: Final = Table(
    "subscriptions",
    metadata,
    id_("id", primary_key=True),
    id_("customer_id", ForeignKey("customers.id"), nullable=False),
    id_("product_id", ForeignKey("products.id"), nullable=False),
    id_("order_id"),
    id_("payment_method_id", nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("anchor_on", Date, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("next_kind", Text),
    instant("next_at", nullable=True),
    Column("failing", Boolean, nullable=False),
    Column("charges", Integer, nullable=False),
    Column("charged_minor", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("next_amount_minor", BigInteger),
    instant("cancel_at", nullable=True),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    instant("created_at"),
    instant("updated_at"),
    ForeignKeyConstraint(
        ["payment_method_id", "customer_id"],
        ["payment_methods.id", "payment_methods.customer_id"],
        name="fk_subscriptions_payment_method_of_customer",
    ),
    one_of("status", [status.value for status in Status]),
    one_of("next_kind", [kind.value for kind in StepKind if kind is not StepKind.VERIFY]),
    currency(),
    CheckConstraint("(next_kind IS NULL) = (next_at IS NULL)", name="next_step_whole"),
    CheckConstraint("charges >= 0 AND charged_minor >= 0", name="charged_not_negative"),
    CheckConstraint("amount_minor > 0 AND next_amount_minor > 0", name="amount_positive"),
    Index("ix_subscriptions_created", text("created_at DESC"), text("id DESC")),
    Index("ix_subscriptions_status", "status", text("created_at DESC"), text("id DESC")),
    Index(
        "ix_subscriptions_customer",
        "customer_id",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_include=["product_id"],
    ),
    Index("ix_subscriptions_product", "product_id", text("created_at DESC"), text("id DESC")),
    Index("ix_subscriptions_payment_method", "payment_method_id"),
    Index("ix_subscriptions_next", "next_at"),
    Index("ix_subscriptions_cancel", "cancel_at", postgresql_where=text("cancel_at IS NOT NULL")),
    Index(
        "ix_subscriptions_failing",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_where=text("failing"),
    ),
    # Most have no metadata; those that have none cost no index entry at each renewal.
    Index(
        "ix_subscriptions_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=text("metadata <> '{}'::jsonb"),
    ),
)

history: Final = Table(
    "history",
    metadata,
    seq(primary_key=True),
    id_("subject_id", nullable=False),
    Column("kind", Text, nullable=False),
    instant("at"),
    recorded_at(),
    Column("actor", Text, nullable=False),
    words("comment"),
    Column("number", Integer),
    Column("data", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    id_("event_key"),
    one_of("kind", EVENT_KINDS),
    CheckConstraint("actor <> ''", name="actor_named"),
    Index("ix_history_subject", "subject_id", "seq"),
    Index(
        "uq_history_event_key",
        "event_key",
        unique=True,
        postgresql_where=text("event_key IS NOT NULL"),
    ),
)

requests: Final = Table(
    "requests",
    metadata,
    Column("scope", Text(collation="C"), nullable=False),
    id_("request_id", nullable=False),
    Column("fingerprint", Text, nullable=False),
    id_("subject_id", nullable=False),
    Column("response", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    instant("at"),
    PrimaryKeyConstraint("scope", "request_id"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    id_("subject_id", nullable=False),
    Column("payload", JSONB, nullable=False),
    instant("created_at", server_default=func.clock_timestamp()),
    instant("delivered_at", nullable=True),
    Index("ix_outbox_waiting", "id", postgresql_where=text("delivered_at IS NULL")),
)

card_links: Final = Table(
    "card_links",
    metadata,
    Column("token_hash", Text(collation="C"), primary_key=True),
    id_("subscription_id", ForeignKey("subscriptions.id"), nullable=False),
    id_("form_id"),
    instant("expires_at"),
    instant("created_at"),
    instant("used_at", nullable=True),
    instant("revoked_at", nullable=True),
    # Opening a new link voids the old one: at most one can be used (subscriptions.md §7).
    Index(
        "uq_card_links_usable",
        "subscription_id",
        unique=True,
        postgresql_where=text("used_at IS NULL AND revoked_at IS NULL"),
    ),
    Index("ix_card_links_subscription", "subscription_id", "created_at"),
)

APPEND_ONLY: Final = (ledger.name, history.name)
