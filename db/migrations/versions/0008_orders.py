"""Orders and what they bring: permissions, membership numbers, Konbini slips, notes.

Revision 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _orders()
    _deposits()
    _permissions()
    _membership_counters()
    _order_notes()
    op.execute(sa.schema.CreateSequence(sa.Sequence("order_numbers_seq")))


def downgrade() -> None:
    op.execute(sa.schema.DropSequence(sa.Sequence("order_numbers_seq")))
    for table in ("order_notes", "permissions", "deposits", "membership_counters", "orders"):
        op.drop_table(table)


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("product_id", sa.Text(collation="C"), nullable=False),
        sa.Column("payment_method_id", sa.Text(collation="C"), nullable=True),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("product_type", sa.Text(), nullable=False),
        sa.Column("product_name", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("pay", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payment_status", sa.Text(), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("points_expected", sa.BigInteger(), nullable=False),
        sa.Column("points_earned", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("next_kind", sa.Text(), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_payment_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deposit_id", sa.Text(collation="C"), nullable=True),
        sa.Column("subscription_id", sa.Text(collation="C"), nullable=True),
        sa.Column("custom_fields", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("notes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("latest_note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "product_name_lowered",
            sa.Text(collation="C"),
            sa.Computed("lower(product_name)", persisted=True),
            nullable=False,
        ),
        sa.Column("has_notes", sa.Boolean(), sa.Computed("notes > 0", persisted=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "left(number, 8) = to_char(created_at AT TIME ZONE 'Asia/Tokyo', 'YYYYMMDD')",
            name=op.f("ck_orders_number_tells_its_day"),
        ),
        sa.CheckConstraint(
            "(completed_at IS NULL) OR status <> 'in_process'",
            name=op.f("ck_orders_completed_is_not_in_process"),
        ),
        sa.CheckConstraint(
            "(pay = 'none') = (payment_method_id IS NULL)", name=op.f("ck_orders_paid_by_something")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_orders_currency_code")),
        sa.CheckConstraint(
            "next_kind IN ('charge', 'ask', 'attention', 'slip', 'subscription', 'confirm', 'expire', 'lapse', "
            "'refund')",
            name=op.f("ck_orders_next_kind_known"),
        ),
        sa.CheckConstraint(
            "pay IN ('card', 'konbini', 'recurring', 'none')", name=op.f("ck_orders_pay_known")
        ),
        sa.CheckConstraint(
            "payment_status IN ('no_payment', 'payment_pending', 'payment_deadline_expired', "
            "'cancel_before_payment', 'payment_completed', 'recurring_payment', 'refunded', "
            "'recurring_payment_canceled')",
            name=op.f("ck_orders_payment_status_known"),
        ),
        sa.CheckConstraint(
            "product_type IN ('digital', 'membership', 'sponsorship', 'subscription_voucher', 'ticket')",
            name=op.f("ck_orders_product_type_known"),
        ),
        sa.CheckConstraint(
            "status IN ('in_process', 'complete', 'purchase_confirmed', 'expired', 'canceled')",
            name=op.f("ck_orders_status_known"),
        ),
        sa.CheckConstraint("(next_kind IS NULL) = (next_at IS NULL)", name=op.f("ck_orders_next_step_whole")),
        sa.CheckConstraint(
            "amount_minor >= 0 AND (currency IS NOT NULL OR amount_minor = 0)",
            name=op.f("ck_orders_amount_whole"),
        ),
        sa.CheckConstraint(
            "paid_minor >= refunded_minor AND refunded_minor >= 0",
            name=op.f("ck_orders_refunded_at_most_paid"),
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_orders_customer_id")),
        sa.ForeignKeyConstraint(
            ["payment_method_id", "customer_id"],
            ["payment_methods.id", "payment_methods.customer_id"],
            name="fk_orders_payment_method_of_customer",
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_orders_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("number", name="uq_orders_number"),
    )
    newest = (sa.text("created_at DESC"), sa.text("id DESC"))
    facets = ("status", "payment_status", "product_type", "pay", "has_notes")
    op.create_index("ix_orders_created", "orders", [*newest])
    op.create_index("ix_orders_facets", "orders", [*facets, *newest])
    op.create_index("ix_orders_product", "orders", ["product_id", *facets, *newest])
    op.create_index(
        "ix_orders_customer",
        "orders",
        ["customer_id", *newest],
        postgresql_include=[*facets, "product_id", "product_name_lowered", "number"],
    )
    op.create_index("ix_orders_product_name", "orders", ["product_name_lowered", "product_id", *newest])


def _deposits() -> None:
    op.create_table(
        "deposits",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("customer_name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("payment_number", sa.Text(), server_default="", nullable=False),
        sa.Column("confirmation_number", sa.Text(), server_default="", nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_deposits_currency_code")),
        sa.CheckConstraint(
            "status IN ('requested', 'issued', 'preliminary', 'paid', 'expired', 'canceled', 'failed')",
            name=op.f("ck_deposits_status_known"),
        ),
        sa.CheckConstraint(
            "store IN ('seven_eleven', 'family_mart', 'lawson', 'ministop', 'seicomart', 'daily_yamazaki')",
            name=op.f("ck_deposits_store_known"),
        ),
        sa.CheckConstraint("final_at >= deadline_at", name=op.f("ck_deposits_grace_after_deadline")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_deposits_number_from_one")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_deposits_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposits")),
        sa.UniqueConstraint("order_id", "number", name="uq_deposits_slip"),
    )
    op.create_index("ix_deposits_gateway_id", "deposits", ["gateway_id"], unique=False)


def _permissions() -> None:
    op.create_table(
        "permissions",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("order_day", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("product_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("acquisition", sa.Text(), nullable=False),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Text(), nullable=True),
        sa.Column("membership_number", sa.BigInteger(), nullable=True),
        sa.Column(
            "identification", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("identified_by_customer", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "acquisition IN ('purchase', 'token_auth', 'admin')",
            name=op.f("ck_permissions_acquisition_known"),
        ),
        sa.CheckConstraint(
            "status <> 'used' OR used_at IS NOT NULL", name=op.f("ck_permissions_used_is_dated")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'used', 'expired', 'revoked')", name=op.f("ck_permissions_status_known")
        ),
        sa.CheckConstraint(
            "(used_at IS NULL) = (used_by IS NULL)", name=op.f("ck_permissions_used_by_someone")
        ),
        sa.CheckConstraint("membership_number >= 1", name=op.f("ck_permissions_numbers_from_one")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_permissions_customer_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_permissions_order_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_permissions_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permissions")),
        sa.UniqueConstraint("order_id", name="uq_permissions_order"),
        sa.UniqueConstraint("product_id", "membership_number", name="uq_permissions_membership_number"),
    )
    op.create_index(
        "ix_permissions_created",
        "permissions",
        [sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_permissions_order_day",
        "permissions",
        ["order_day", sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_permissions_customer",
        "permissions",
        ["customer_id", sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_permissions_product",
        "permissions",
        ["product_id", "status", sa.text("created_at DESC"), sa.text("id DESC")],
    )


def _membership_counters() -> None:
    op.create_table(
        "membership_counters",
        sa.Column("product_id", sa.Text(collation="C"), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_membership_counters_product_id")
        ),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_membership_counters")),
    )


def _order_notes() -> None:
    op.create_table(
        "order_notes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_notes_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_notes")),
    )
    op.create_index("ix_order_notes_order", "order_notes", ["order_id", "id"], unique=False)
