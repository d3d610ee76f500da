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
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.catalogue_tables import customers, payment_methods, products
from db.columns import (
    ACCOUNTS,
    ATTEMPT_STATES,
    DATED_STATES,
    EVENT_KINDS,
    LIVE_STATES,
    OPEN_STATES,
    PAYMENT_STATES,
    PURPOSES,
    currency,
    id_,
    instant,
    metadata,
    one_of,
    quoted,
    recorded_at,
    seq,
    words,
)
from db.export_tables import export_downloads, exports, sealed_secrets
from db.order_tables import deposits, membership_counters, order_notes, orders, payers, permissions
from db.repayment_tables import repayments
from db.watch_tables import incidents, reconciliations
from db.webhook_tables import webhook_inbox
from domain.subscription import Status, StepKind

__all__ = [
    "APPEND_ONLY",
    "attempts",
    "card_links",
    "customers",
    "deposits",
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
    "payment_methods",
    "payments",
    "permissions",
    "products",
    "reconciliations",
    "repayments",
    "requests",
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
    Index("ix_subscriptions_customer", "customer_id", text("created_at DESC"), text("id DESC")),
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

payments: Final = Table(
    "payments",
    metadata,
    # A subscription's or an order's; the two generated columns are what the foreign keys hang on.
    id_("object_id", nullable=False),
    id_(
        "subscription_id",
        Computed("CASE WHEN left(object_id, 4) = 'sub_' THEN object_id END", persisted=True),
        ForeignKey("subscriptions.id"),
    ),
    id_(
        "order_id",
        Computed("CASE WHEN left(object_id, 4) = 'ord_' THEN object_id END", persisted=True),
        ForeignKey("orders.id"),
    ),
    Column("number", Integer, nullable=False),
    instant("due_at"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    instant("settled_at", nullable=True),
    Column("skip_reason", Text),
    recorded_at(),
    PrimaryKeyConstraint("object_id", "number"),
    one_of("state", PAYMENT_STATES),
    currency(),
    CheckConstraint("number >= 1", name="number_from_one"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint(
        f"(settled_at IS NOT NULL) = (state IN ({quoted(DATED_STATES)}))", name="settled_is_dated"
    ),
    CheckConstraint("(skip_reason IS NOT NULL) = (state = 'skipped')", name="skipped_has_reason"),
    CheckConstraint("num_nonnulls(subscription_id, order_id) = 1", name="of_one_object"),
    # An order is paid once: another slip's payment begins only after the earlier one's has failed.
    Index(
        "uq_payments_of_order",
        "order_id",
        unique=True,
        postgresql_where=text("order_id IS NOT NULL AND state IN ('collecting', 'settled')"),
    ),
    Index("ix_payments_due", text("due_at DESC"), text("object_id DESC"), text("number DESC")),
)

attempts: Final = Table(
    "attempts",
    metadata,
    id_("key", primary_key=True),
    id_("object_id", nullable=False),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    id_("reference", nullable=False),
    Column("state", Text, nullable=False),
    id_("payment_method_id", ForeignKey("payment_methods.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("sent_at"),
    recorded_at(),
    instant("resolved_at", nullable=True),
    Column("decline", Text),
    Column("gateway_code", Text),
    Column("gateway_id", Text),
    Column("returns", Text),
    words("hint"),
    Column("idempotency_check_failed", Boolean, nullable=False, server_default=text("false")),
    Column("needs_verification", Boolean, nullable=False, server_default=text("false")),
    instant("verified_at", nullable=True),
    Column("resend_turn", Integer, nullable=False, server_default="0"),
    seq(),
    ForeignKeyConstraint(
        ["object_id", "number"],
        ["payments.object_id", "payments.number"],
        name="fk_attempts_payment",
    ),
    UniqueConstraint("reference", name="uq_attempts_reference"),
    UniqueConstraint(
        "object_id",
        "number",
        "purpose",
        "attempt",
        "returns",
        name="uq_attempts_attempt",
        postgresql_nulls_not_distinct=True,
    ),
    one_of("purpose", PURPOSES),
    one_of("state", ATTEMPT_STATES),
    currency(),
    CheckConstraint("attempt >= 1", name="attempt_from_one"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint(
        "(resolved_at IS NOT NULL) = (state IN ('settled', 'declined', 'abandoned'))",
        name="resolved_is_dated",
    ),
    CheckConstraint(
        "state <> 'settled' OR gateway_id IS NOT NULL OR purpose = 'receipt'", name="settled_has_gateway_id"
    ),
    CheckConstraint("state <> 'declined' OR decline IS NOT NULL", name="declined_has_reason"),
    # The charge that goes back; of a repayment and a receipt: the repayment they belong to.
    CheckConstraint("(returns IS NULL) = (purpose = 'charge')", name="returns_a_charge"),
    Index(
        "uq_attempts_live",
        "object_id",
        "number",
        "purpose",
        "returns",
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text(f"state IN ({quoted(LIVE_STATES)})"),
    ),
    # One movement of money at the gateway settles one attempt, never two.
    Index(
        "uq_attempts_gateway_id",
        "gateway_id",
        unique=True,
        postgresql_where=text("state = 'settled'"),
    ),
    Index(
        "ix_attempts_unknown",
        "object_id",
        postgresql_where=text("state IN ('unknown', 'attention')"),
    ),
    # What reconciliation and `teiki attention list` look through: few rows, whatever the table's size.
    Index(
        "ix_attempts_open",
        "recorded_at",
        postgresql_where=text(f"state IN ({quoted(OPEN_STATES)})"),
    ),
)

ledger: Final = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    id_("attempt_key", ForeignKey("attempts.key"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("debit_account", Text, nullable=False),
    Column("credit_account", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("at"),
    recorded_at(),
    UniqueConstraint("attempt_key", "kind", name="uq_ledger_attempt_kind"),
    one_of("kind", ("charge", "refund", "fee", "chargeback", "repayment", "correction")),
    one_of("debit_account", ACCOUNTS),
    one_of("credit_account", ACCOUNTS),
    currency(),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("debit_account <> credit_account", name="two_accounts"),
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
