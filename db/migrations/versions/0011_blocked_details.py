"""Customers' details: e-mail addresses and phones as rows of their own, each active or blocked.

A customer who was blocked as a whole is one whose id is blocked. Revision 0011, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

_CONTACTS_OF = {
    "email": ("eml", "lower(btrim(c.email))", "customers c", "c.id", "c.email", "c.created_at"),
    "phone": (
        "tel",
        "d.phone",
        "deposits d JOIN orders o ON o.id = d.order_id",
        "o.customer_id",
        "d.phone",
        "d.created_at",
    ),
}


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "contacts",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("blocked_at", instant),
        sa.Column("created_at", instant, nullable=False),
        sa.CheckConstraint("kind IN ('email', 'phone')", name=op.f("ck_contacts_kind_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("kind", "key", name="uq_contacts_key"),
    )
    op.create_table(
        "customer_contacts",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_contacts_customer_id")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_customer_contacts_contact_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", "contact_id", name=op.f("pk_customer_contacts")),
    )
    op.create_index("ix_customer_contacts_contact", "customer_contacts", ["contact_id", "customer_id"])
    op.add_column("customers", sa.Column("id_blocked_at", instant))
    op.execute("UPDATE customers SET id_blocked_at = blocked_at WHERE blocked_at IS NOT NULL")
    op.create_check_constraint(
        op.f("ck_customers_a_blocked_id_holds_back"),
        "customers",
        "id_blocked_at IS NULL OR blocked_at IS NOT NULL",
    )
    for kind, (prefix, key, source, owner, value, at) in _CONTACTS_OF.items():
        op.execute(
            f"INSERT INTO contacts (id, kind, value, key, created_at)"  # noqa: S608 - constants
            f" SELECT '{prefix}_' || replace(gen_random_uuid()::text, '-', ''), '{kind}', min({value}), {key},"
            f" min({at})"
            f" FROM {source} WHERE {key} <> '' GROUP BY {key}"
        )
        op.execute(
            f"INSERT INTO customer_contacts (customer_id, contact_id, since)"  # noqa: S608 - constants
            f" SELECT {owner}, k.id, min({at}) FROM {source}"
            f" JOIN contacts k ON k.kind = '{kind}' AND k.key = {key} GROUP BY {owner}, k.id"
        )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_customers_a_blocked_id_holds_back"), "customers", type_="check")
    op.drop_column("customers", "id_blocked_at")
    op.drop_table("customer_contacts")
    op.drop_table("contacts")
