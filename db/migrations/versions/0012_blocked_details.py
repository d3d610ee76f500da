"""Customers' details: e-mail addresses and phones as rows of their own, each active or blocked; whose an attempt is.

A customer who was blocked as a whole is one whose id is blocked. Revision 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
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
    _attempts_of_customers()
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


def _attempts_of_customers() -> None:
    op.add_column("attempts", sa.Column("customer_id", sa.Text(collation="C")))
    op.execute(
        "UPDATE attempts a SET customer_id = m.customer_id FROM payment_methods m WHERE m.id = a.payment_method_id"
    )
    op.execute(
        """
        CREATE FUNCTION attempts_customer() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            SELECT customer_id INTO NEW.customer_id FROM payment_methods WHERE id = NEW.payment_method_id;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER attempts_customer BEFORE INSERT ON attempts FOR EACH ROW"
        " WHEN (NEW.customer_id IS NULL) EXECUTE FUNCTION attempts_customer()"
    )
    op.create_index(
        "ix_attempts_customer",
        "attempts",
        ["customer_id", sa.literal_column("sent_at DESC"), sa.literal_column("key DESC")],
        postgresql_include=["object_id", "purpose", "state", "amount_minor", "currency", "credit_id"],
    )
    op.create_index(
        "ix_ledger_disputes",
        "ledger",
        ["attempt_key"],
        postgresql_include=["kind", "currency", "amount_minor", "at"],
        postgresql_where=sa.text("kind IN ('chargeback', 'repayment')"),
    )


def downgrade() -> None:
    op.drop_index("ix_ledger_disputes", "ledger")
    op.drop_index("ix_attempts_customer", "attempts")
    op.execute("DROP TRIGGER attempts_customer ON attempts")
    op.execute("DROP FUNCTION attempts_customer")
    op.drop_column("attempts", "customer_id")
    op.drop_constraint(op.f("ck_customers_a_blocked_id_holds_back"), "customers", type_="check")
    op.drop_column("customers", "id_blocked_at")
    op.drop_table("customer_contacts")
    op.drop_table("contacts")
