"""Money: payments, their attempts, and the ledger (spec: charging.md §§2–3).

What must never happen is refused here: two live attempts of one payment, two ledger transfers of one attempt and kind,
an order that is paid twice, a movement at the gateway that settles two attempts.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from db.columns import (
    ACCOUNTS,
    ATTEMPT_STATES,
    LIVE_STATES,
    OPEN_STATES,
    PAYMENT_STATES,
    PURPOSES,
    SETTLED_STATES,
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
        f"(settled_at IS NOT NULL) = (state IN ({quoted(SETTLED_STATES)}))", name="settled_is_dated"
    ),
    CheckConstraint("(skip_reason IS NOT NULL) = (state = 'skipped')", name="skipped_has_reason"),
    CheckConstraint("num_nonnulls(subscription_id, order_id) = 1", name="of_one_object"),
    # An order is paid once: another slip's payment begins only after the earlier one's has failed.
    Index(
        "uq_payments_of_order",
        "order_id",
        unique=True,
        postgresql_where=text(
            "order_id IS NOT NULL AND state IN ('collecting', 'settled', 'partially_refunded')"
        ),
    ),
    Index("ix_payments_due", text("due_at DESC"), text("object_id DESC"), text("number DESC")),
)

attempts: Final = Table(
    "attempts",
    metadata,
    id_("key", primary_key=True),
    id_("object_id", nullable=False),
    # Whose card it is. For the customer page; a trigger fills it where a statement does not.
    id_("customer_id"),
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
    id_("credit_id", ForeignKey("credits.id")),
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
        "credit_id",
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
    CheckConstraint("credit_id IS NULL OR purpose = 'refund'", name="credit_returns"),
    Index(
        "uq_attempts_live",
        "object_id",
        "number",
        "purpose",
        "returns",
        "credit_id",
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
    # All of a customer's, newest first, with what the customer page adds up and sorts by.
    Index(
        "ix_attempts_customer",
        "customer_id",
        text("sent_at DESC"),
        text("key DESC"),
        postgresql_include=["object_id", "purpose", "state", "amount_minor", "currency", "credit_id"],
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
    # Few, and looked for at each of a customer's attempts.
    Index(
        "ix_ledger_disputes",
        "attempt_key",
        postgresql_include=["kind", "currency", "amount_minor", "at"],
        postgresql_where=text("kind IN ('chargeback', 'repayment')"),
    ),
)
