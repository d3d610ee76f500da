"""Payments and attempts belong to an object: a subscription or an order.

The key of a payment becomes (object, number); two generated columns keep the foreign keys. `payers` says who pays for
an object, and by what. Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KINDS = ("operation", "status", "skip", "payment", "refund", "link", "incident", "note")
_NEW_KINDS = (*_KINDS, "points", "fee", "custom_fields", "identification")

_PAYERS = """
CREATE VIEW payers AS
SELECT id, customer_id, payment_method_id, product_id, zone FROM subscriptions
UNION ALL
SELECT id, customer_id, payment_method_id, product_id, zone FROM orders
"""
_NAMED = """
CREATE FUNCTION object_named(object_id text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object(
        CASE WHEN left(object_id, 4) = 'ord_' THEN 'order_id' ELSE 'subscription_id' END, object_id)
$$
"""


def upgrade() -> None:
    op.drop_constraint("fk_payments_subscription_id", "payments", type_="foreignkey")
    op.alter_column("attempts", "subscription_id", new_column_name="object_id")
    op.alter_column("payments", "subscription_id", new_column_name="object_id")
    for name, prefix in (("subscription_id", "sub_"), ("order_id", "ord_")):
        made = sa.Computed(f"CASE WHEN left(object_id, 4) = '{prefix}' THEN object_id END", persisted=True)
        op.add_column("payments", sa.Column(name, sa.Text(collation="C"), made))
    op.create_foreign_key(
        "fk_payments_subscription_id", "payments", "subscriptions", ["subscription_id"], ["id"]
    )
    op.create_foreign_key("fk_payments_order_id", "payments", "orders", ["order_id"], ["id"])
    op.create_check_constraint(
        op.f("ck_payments_of_one_object"), "payments", "num_nonnulls(subscription_id, order_id) = 1"
    )
    op.create_index(
        "uq_payments_of_order",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text("order_id IS NOT NULL AND state IN ('collecting', 'settled')"),
    )
    op.execute(_PAYERS)
    op.execute(_NAMED)
    _event_kinds(_NEW_KINDS)


def downgrade() -> None:
    _event_kinds(_KINDS)
    op.execute("DROP FUNCTION object_named(text)")
    op.execute("DROP VIEW payers")
    op.drop_index("uq_payments_of_order", "payments")
    op.drop_constraint(op.f("ck_payments_of_one_object"), "payments", type_="check")
    for name in ("order_id", "subscription_id"):
        op.drop_constraint(f"fk_payments_{name}", "payments", type_="foreignkey")
        op.drop_column("payments", name)
    op.alter_column("payments", "object_id", new_column_name="subscription_id")
    op.alter_column("attempts", "object_id", new_column_name="subscription_id")
    op.create_foreign_key(
        "fk_payments_subscription_id", "payments", "subscriptions", ["subscription_id"], ["id"]
    )


def _event_kinds(kinds: tuple[str, ...]) -> None:
    known = ", ".join(f"'{kind}'" for kind in kinds)
    op.drop_constraint(op.f("ck_history_kind_known"), "history", type_="check")
    op.create_check_constraint(op.f("ck_history_kind_known"), "history", f"kind IN ({known})")
