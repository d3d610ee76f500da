"""The tables. What must never happen is refused here, by the database itself.

Foreign keys, checks and unique indexes carry the invariants: one live attempt per payment, one ledger transfer per
attempt and kind, a card that belongs to the customer who pays with it. Triggers in the migration make ledger and
history append-only. Ids are opaque text in "C" order; instants are `timestamptz`; money is minor units
(spec: charging.md §§2–3, subscriptions.md §9).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.subscription import Status, StepKind

PAYMENT_STATES: Final = ("scheduled", "collecting", "settled", "skipped", "failed", "refunded")
ATTEMPT_STATES: Final = (
    "sent",
    "unsent",
    "unknown",
    "pending",
    "attention",
    "settled",
    "declined",
    "abandoned",
)
OPEN_STATES: Final = ("sent", "unsent", "unknown", "pending", "attention")
"""An attempt whose outcome is not known. With `settled` they are live: nothing else may be sent for the payment."""
LIVE_STATES: Final = (*OPEN_STATES, "settled")
ACCOUNTS: Final = (
    "customer",
    "gateway_receivable",
    "revenue",
    "refunds",
    "fees",
    "chargebacks",
    "repayments",
)
EVENT_KINDS: Final = ("operation", "status", "skip", "payment", "refund", "link", "incident", "note")
PURPOSES: Final = ("charge", "refund", "twin")
"""`twin`: giving back a second charge that the gateway made for a payment that had its charge already."""
INCIDENT_KINDS: Final = (
    "double_charge",
    "charge_without_attempt",
    "charge_missing_at_gateway",
    "refund_missing_at_gateway",
    "amount_differs",
    "state_differs",
    "ledger_differs",
    "attempt_stuck",
    "refund_refused",
    "workflow_missing",
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
events_seq: Final = Sequence("events_seq", metadata=metadata)
"""Attempts and history draw from one sequence, so that both sort together."""


def quoted(values: Any) -> str:
    """`'a', 'b'`: the constants of a check or an index predicate."""
    return ", ".join(f"'{value}'" for value in values)


def _id(name: str, *args: Any, **kwargs: Any) -> Column[Any]:
    return Column(name, Text(collation="C"), *args, **kwargs)


def _instant(name: str, *, nullable: bool = False, **kwargs: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, **kwargs)


def _words(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _recorded_at() -> Column[Any]:
    return _instant("recorded_at", server_default=func.clock_timestamp())


def _seq(**kwargs: Any) -> Column[Any]:
    return Column("seq", BigInteger, nullable=False, server_default=events_seq.next_value(), **kwargs)


def _one_of(column: str, values: Any) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({quoted(values)})", name=f"{column}_known")


def _currency() -> CheckConstraint:
    return CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_code")


customers: Final = Table(
    "customers",
    metadata,
    _id("id", primary_key=True),
    _words("email"),
    _words("name"),
    _instant("blocked_at", nullable=True),
    _instant("created_at"),
    _instant("updated_at"),
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
    _id("id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("price_minor", BigInteger),
    Column("currency", Text),
    _instant("created_at"),
    _instant("updated_at"),
    _currency(),
    CheckConstraint("price_minor >= 0 AND (price_minor IS NULL) = (currency IS NULL)", name="price_whole"),
    Index("ix_products_created", text("created_at DESC"), text("id DESC")),
)

payment_methods: Final = Table(
    "payment_methods",
    metadata,
    _id("id", primary_key=True),
    _id("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("token", Text, nullable=False),
    Column("kind", Text, nullable=False),
    _words("brand"),
    _words("last_four"),
    Column("expires_month", SmallInteger),
    Column("expires_year", SmallInteger),
    _instant("blocked_at", nullable=True),
    _instant("created_at"),
    _one_of("kind", ("card", "konbini", "bank_transfer")),
    CheckConstraint("last_four ~ '^([0-9]{4})?$'", name="last_four_only"),
    CheckConstraint("expires_month BETWEEN 1 AND 12", name="expires_month_valid"),
    # What subscriptions point at: a card together with its owner.
    UniqueConstraint("id", "customer_id", name="uq_payment_methods_owner"),
    Index("ix_payment_methods_customer", "customer_id", "id"),
    Index("ix_payment_methods_last_four", "last_four", "brand"),
)

subscriptions: Final = Table(
    "subscriptions",
    metadata,
    _id("id", primary_key=True),
    _id("customer_id", ForeignKey("customers.id"), nullable=False),
    _id("product_id", ForeignKey("products.id"), nullable=False),
    _id("order_id"),
    _id("payment_method_id", nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("anchor_on", Date, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("next_kind", Text),
    _instant("next_at", nullable=True),
    Column("failing", Boolean, nullable=False),
    Column("charges", Integer, nullable=False),
    Column("charged_minor", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("next_amount_minor", BigInteger),
    _instant("cancel_at", nullable=True),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _instant("created_at"),
    _instant("updated_at"),
    ForeignKeyConstraint(
        ["payment_method_id", "customer_id"],
        ["payment_methods.id", "payment_methods.customer_id"],
        name="fk_subscriptions_payment_method_of_customer",
    ),
    _one_of("status", [status.value for status in Status]),
    _one_of("next_kind", [kind.value for kind in StepKind if kind is not StepKind.VERIFY]),
    _currency(),
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
    _id("subscription_id", ForeignKey("subscriptions.id"), nullable=False),
    Column("number", Integer, nullable=False),
    _instant("due_at"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    _instant("settled_at", nullable=True),
    Column("skip_reason", Text),
    PrimaryKeyConstraint("subscription_id", "number"),
    _one_of("state", PAYMENT_STATES),
    _currency(),
    CheckConstraint("number >= 1", name="number_from_one"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("(settled_at IS NOT NULL) = (state IN ('settled', 'refunded'))", name="settled_is_dated"),
    CheckConstraint("(skip_reason IS NOT NULL) = (state = 'skipped')", name="skipped_has_reason"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    _id("key", primary_key=True),
    _id("subscription_id", nullable=False),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    _id("reference", nullable=False),
    Column("state", Text, nullable=False),
    _id("payment_method_id", ForeignKey("payment_methods.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _instant("sent_at"),
    _recorded_at(),
    _instant("resolved_at", nullable=True),
    Column("decline", Text),
    Column("gateway_code", Text),
    Column("gateway_id", Text),
    Column("returns", Text),
    _words("hint"),
    Column("idempotency_check_failed", Boolean, nullable=False, server_default=text("false")),
    Column("needs_verification", Boolean, nullable=False, server_default=text("false")),
    _instant("verified_at", nullable=True),
    Column("resend_turn", Integer, nullable=False, server_default="0"),
    _seq(),
    ForeignKeyConstraint(
        ["subscription_id", "number"],
        ["payments.subscription_id", "payments.number"],
        name="fk_attempts_payment",
    ),
    UniqueConstraint("reference", name="uq_attempts_reference"),
    UniqueConstraint(
        "subscription_id",
        "number",
        "purpose",
        "attempt",
        "returns",
        name="uq_attempts_attempt",
        postgresql_nulls_not_distinct=True,
    ),
    _one_of("purpose", PURPOSES),
    _one_of("state", ATTEMPT_STATES),
    _currency(),
    CheckConstraint("attempt >= 1", name="attempt_from_one"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint(
        "(resolved_at IS NOT NULL) = (state IN ('settled', 'declined', 'abandoned'))",
        name="resolved_is_dated",
    ),
    CheckConstraint("state <> 'settled' OR gateway_id IS NOT NULL", name="settled_has_gateway_id"),
    CheckConstraint("state <> 'declined' OR decline IS NOT NULL", name="declined_has_reason"),
    CheckConstraint("(returns IS NULL) = (purpose = 'charge')", name="returns_a_charge"),
    Index(
        "uq_attempts_live",
        "subscription_id",
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
        "subscription_id",
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
    _id("attempt_key", ForeignKey("attempts.key"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("debit_account", Text, nullable=False),
    Column("credit_account", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _instant("at"),
    _recorded_at(),
    UniqueConstraint("attempt_key", "kind", name="uq_ledger_attempt_kind"),
    _one_of("kind", ("charge", "refund", "fee", "chargeback", "repayment", "correction")),
    _one_of("debit_account", ACCOUNTS),
    _one_of("credit_account", ACCOUNTS),
    _currency(),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("debit_account <> credit_account", name="two_accounts"),
)

history: Final = Table(
    "history",
    metadata,
    _seq(primary_key=True),
    _id("subject_id", nullable=False),
    Column("kind", Text, nullable=False),
    _instant("at"),
    _recorded_at(),
    Column("actor", Text, nullable=False),
    _words("comment"),
    Column("number", Integer),
    Column("data", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _id("event_key"),
    _one_of("kind", EVENT_KINDS),
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
    _id("request_id", nullable=False),
    Column("fingerprint", Text, nullable=False),
    _id("subject_id", nullable=False),
    Column("response", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _instant("at"),
    PrimaryKeyConstraint("scope", "request_id"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    _id("subject_id", nullable=False),
    Column("payload", JSONB, nullable=False),
    _instant("created_at", server_default=func.clock_timestamp()),
    _instant("delivered_at", nullable=True),
    Index("ix_outbox_waiting", "id", postgresql_where=text("delivered_at IS NULL")),
)

incidents_seq: Final = Sequence("incidents_seq", metadata=metadata)
incidents: Final = Table(
    "incidents",
    metadata,
    _id("id", primary_key=True, server_default=text("'inc_' || nextval('incidents_seq')")),
    Column("kind", Text, nullable=False),
    # The same trouble found again is the same incident.
    _id("dedupe_key", nullable=False),
    _id("subject_id"),
    Column("number", Integer),
    _id("attempt_key", ForeignKey("attempts.key")),
    Column("gateway_id", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _instant("opened_at", server_default=func.clock_timestamp()),
    _instant("closed_at", nullable=True),
    Column("closed_by", Text),
    _words("closing_comment"),
    UniqueConstraint("dedupe_key", name="uq_incidents_dedupe_key"),
    _one_of("kind", INCIDENT_KINDS),
    _currency(),
    CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed_by_someone"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("(amount_minor IS NULL) = (currency IS NULL)", name="amount_whole"),
    Index("ix_incidents_open", "opened_at", "id", postgresql_where=text("closed_at IS NULL")),
    Index("ix_incidents_subject", "subject_id", "opened_at"),
)

reconciliations: Final = Table(
    "reconciliations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("gateway", Text, nullable=False),
    # What the run covered, by the gateway's own clock.
    _instant("since"),
    _instant("until"),
    _instant("started_at"),
    _instant("finished_at"),
    Column("report", JSONB, nullable=False),
    CheckConstraint("since <= until", name="window_forward"),
    Index("ix_reconciliations_gateway", "gateway", text("until DESC")),
)

card_links: Final = Table(
    "card_links",
    metadata,
    Column("token_hash", Text(collation="C"), primary_key=True),
    _id("subscription_id", ForeignKey("subscriptions.id"), nullable=False),
    _id("form_id"),
    _instant("expires_at"),
    _instant("created_at"),
    _instant("used_at", nullable=True),
    _instant("revoked_at", nullable=True),
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

gateway_circuits: Final = Table(
    "gateway_circuits",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    _instant("opened_at", nullable=True),
    _instant("retry_at", nullable=True),
    _words("last_hint"),
    _instant("updated_at"),
    _one_of("state", ("closed", "open", "half_open")),
    CheckConstraint("failures >= 0", name="failures_counted"),
    CheckConstraint(
        "(state = 'closed') = (opened_at IS NULL) AND (opened_at IS NULL) = (retry_at IS NULL)",
        name="open_since_and_until",
    ),
)
