"""The first tables; ledger and history are append-only from the start.

Revision 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
_REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
_APPEND_ONLY = ("ledger", "history")

branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("events_seq")))
    op.create_table(
        "customers",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
    )
    op.create_index(
        "ix_customers_created",
        "customers",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_customers_email",
        "customers",
        [sa.literal_column("lower(email)").label("lowered")],
        unique=False,
        postgresql_ops={"lowered": "text_pattern_ops"},
    )
    op.create_index(
        "ix_customers_name",
        "customers",
        [sa.literal_column("lower(name)").label("lowered")],
        unique=False,
        postgresql_ops={"lowered": "text_pattern_ops"},
    )
    op.create_table(
        "history",
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("nextval('events_seq')"), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("event_key", sa.Text(collation="C"), nullable=True),
        sa.CheckConstraint("actor <> ''", name=op.f("ck_history_actor_named")),
        sa.CheckConstraint(
            "kind IN ('operation', 'status', 'skip', 'payment', 'refund', 'link', 'incident', 'note')",
            name=op.f("ck_history_kind_known"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_history")),
    )
    op.create_index("ix_history_subject", "history", ["subject_id", "seq"], unique=False)
    op.create_index(
        "uq_history_event_key",
        "history",
        ["event_key"],
        unique=True,
        postgresql_where=sa.text("event_key IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_waiting", "outbox", ["id"], unique=False, postgresql_where=sa.text("delivered_at IS NULL")
    )
    op.create_table(
        "products",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_products_currency_code")),
        sa.CheckConstraint(
            "price_minor >= 0 AND (price_minor IS NULL) = (currency IS NULL)",
            name=op.f("ck_products_price_whole"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_index(
        "ix_products_created",
        "products",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "requests",
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("request_id", sa.Text(collation="C"), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "response",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "request_id", name=op.f("pk_requests")),
    )
    op.create_table(
        "payment_methods",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), server_default="", nullable=False),
        sa.Column("last_four", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_month", sa.SmallInteger(), nullable=True),
        sa.Column("expires_year", sa.SmallInteger(), nullable=True),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('card', 'konbini', 'bank_transfer')", name=op.f("ck_payment_methods_kind_known")
        ),
        sa.CheckConstraint("last_four ~ '^([0-9]{4})?$'", name=op.f("ck_payment_methods_last_four_only")),
        sa.CheckConstraint(
            "expires_month BETWEEN 1 AND 12", name=op.f("ck_payment_methods_expires_month_valid")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_payment_methods_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_methods")),
        sa.UniqueConstraint("id", "customer_id", name="uq_payment_methods_owner"),
    )
    op.create_index("ix_payment_methods_customer", "payment_methods", ["customer_id", "id"], unique=False)
    op.create_index("ix_payment_methods_last_four", "payment_methods", ["last_four", "brand"], unique=False)
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("product_id", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=True),
        sa.Column("payment_method_id", sa.Text(collation="C"), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("anchor_on", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("next_kind", sa.Text(), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failing", sa.Boolean(), nullable=False),
        sa.Column("charges", sa.Integer(), nullable=False),
        sa.Column("charged_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("next_amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_subscriptions_currency_code")),
        sa.CheckConstraint(
            "next_kind IN ('payment', 'retry', 'ask', 'cancel', 'refund', 'attention')",
            name=op.f("ck_subscriptions_next_kind_known"),
        ),
        sa.CheckConstraint(
            "status IN ('unverified', 'current', 'unconfirmed', 'unpaid', "
            "'suspended', 'canceled', 'completed')",
            name=op.f("ck_subscriptions_status_known"),
        ),
        sa.CheckConstraint(
            "(next_kind IS NULL) = (next_at IS NULL)", name=op.f("ck_subscriptions_next_step_whole")
        ),
        sa.CheckConstraint(
            "amount_minor > 0 AND next_amount_minor > 0", name=op.f("ck_subscriptions_amount_positive")
        ),
        sa.CheckConstraint(
            "charges >= 0 AND charged_minor >= 0", name=op.f("ck_subscriptions_charged_not_negative")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_subscriptions_customer_id")),
        sa.ForeignKeyConstraint(
            ["payment_method_id", "customer_id"],
            ["payment_methods.id", "payment_methods.customer_id"],
            name="fk_subscriptions_payment_method_of_customer",
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_subscriptions_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index(
        "ix_subscriptions_cancel",
        "subscriptions",
        ["cancel_at"],
        unique=False,
        postgresql_where=sa.text("cancel_at IS NOT NULL"),
    )
    op.create_index(
        "ix_subscriptions_created",
        "subscriptions",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_subscriptions_customer",
        "subscriptions",
        ["customer_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_subscriptions_failing",
        "subscriptions",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("failing"),
    )
    op.create_index(
        "ix_subscriptions_metadata",
        "subscriptions",
        ["metadata"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
    op.create_index("ix_subscriptions_next", "subscriptions", ["next_at"], unique=False)
    op.create_index("ix_subscriptions_payment_method", "subscriptions", ["payment_method_id"], unique=False)
    op.create_index(
        "ix_subscriptions_product",
        "subscriptions",
        ["product_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_subscriptions_status",
        "subscriptions",
        ["status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "card_links",
        sa.Column("token_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("subscription_id", sa.Text(collation="C"), nullable=False),
        sa.Column("form_id", sa.Text(collation="C"), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_card_links_subscription_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_card_links")),
    )
    op.create_index(
        "ix_card_links_subscription", "card_links", ["subscription_id", "created_at"], unique=False
    )
    op.create_index(
        "uq_card_links_usable",
        "card_links",
        ["subscription_id"],
        unique=True,
        postgresql_where=sa.text("used_at IS NULL AND revoked_at IS NULL"),
    )
    op.create_table(
        "payments",
        sa.Column("subscription_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(settled_at IS NOT NULL) = (state IN ('settled', 'refunded'))",
            name=op.f("ck_payments_settled_is_dated"),
        ),
        sa.CheckConstraint(
            "(skip_reason IS NOT NULL) = (state = 'skipped')", name=op.f("ck_payments_skipped_has_reason")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_payments_currency_code")),
        sa.CheckConstraint(
            "state IN ('scheduled', 'collecting', 'settled', 'skipped', 'failed', 'refunded')",
            name=op.f("ck_payments_state_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_payments_number_from_one")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_payments_subscription_id")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "number", name=op.f("pk_payments")),
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("subscription_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payment_method_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decline", sa.Text(), nullable=True),
        sa.Column("gateway_code", sa.Text(), nullable=True),
        sa.Column("gateway_id", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.Column("idempotency_check_failed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("needs_verification", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("nextval('events_seq')"), nullable=False),
        sa.CheckConstraint(
            "(resolved_at IS NOT NULL) = (state IN ('settled', 'declined', 'abandoned'))",
            name=op.f("ck_attempts_resolved_is_dated"),
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_attempts_currency_code")),
        sa.CheckConstraint("purpose IN ('charge', 'refund')", name=op.f("ck_attempts_purpose_known")),
        sa.CheckConstraint(
            "state <> 'declined' OR decline IS NOT NULL", name=op.f("ck_attempts_declined_has_reason")
        ),
        sa.CheckConstraint(
            "state <> 'settled' OR gateway_id IS NOT NULL", name=op.f("ck_attempts_settled_has_gateway_id")
        ),
        sa.CheckConstraint(
            "state IN ('sent', 'unsent', 'unknown', 'pending', "
            "'attention', 'settled', 'declined', 'abandoned')",
            name=op.f("ck_attempts_state_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_attempts_amount_positive")),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_attempts_attempt_from_one")),
        sa.ForeignKeyConstraint(
            ["payment_method_id"], ["payment_methods.id"], name=op.f("fk_attempts_payment_method_id")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id", "number"],
            ["payments.subscription_id", "payments.number"],
            name="fk_attempts_payment",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempts")),
        sa.UniqueConstraint("reference", name="uq_attempts_reference"),
        sa.UniqueConstraint("subscription_id", "number", "purpose", "attempt", name="uq_attempts_attempt"),
    )
    op.create_index(
        "ix_attempts_unknown",
        "attempts",
        ["subscription_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('unknown', 'attention')"),
    )
    op.create_index(
        "uq_attempts_gateway_id",
        "attempts",
        ["gateway_id"],
        unique=True,
        postgresql_where=sa.text("state = 'settled'"),
    )
    op.create_index(
        "uq_attempts_live",
        "attempts",
        ["subscription_id", "number", "purpose"],
        unique=True,
        postgresql_where=sa.text("state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("attempt_key", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit_account", sa.Text(), nullable=False),
        sa.Column("credit_account", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "credit_account IN ('customer', 'gateway_receivable', 'revenue', 'refunds', "
            "'fees', 'chargebacks', 'repayments')",
            name=op.f("ck_ledger_credit_account_known"),
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_ledger_currency_code")),
        sa.CheckConstraint(
            "debit_account IN ('customer', 'gateway_receivable', 'revenue', 'refunds', "
            "'fees', 'chargebacks', 'repayments')",
            name=op.f("ck_ledger_debit_account_known"),
        ),
        sa.CheckConstraint(
            "kind IN ('charge', 'refund', 'fee', 'chargeback', 'repayment', 'correction')",
            name=op.f("ck_ledger_kind_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_ledger_amount_positive")),
        sa.CheckConstraint("debit_account <> credit_account", name=op.f("ck_ledger_two_accounts")),
        sa.ForeignKeyConstraint(["attempt_key"], ["attempts.key"], name=op.f("fk_ledger_attempt_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("attempt_key", "kind", name="uq_ledger_attempt_kind"),
    )
    op.execute(_REFUSE)
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("ledger")
    op.drop_table("attempts")
    op.drop_table("payments")
    op.drop_table("card_links")
    op.drop_table("subscriptions")
    op.drop_table("payment_methods")
    op.drop_table("requests")
    op.drop_table("products")
    op.drop_table("outbox")
    op.drop_table("history")
    op.drop_table("customers")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DROP SEQUENCE events_seq")
