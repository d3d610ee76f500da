"""Credits: their table, whose credit an attempt is, what is left of each payment.

A payment can be refunded in part; a payment method can be a SEPA debit; a refund that was made twice is an incident of
its own. Revision 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LIVE = "state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')"
_STATES = ("scheduled", "collecting", "settled", "skipped", "failed", "refunded")
_METHODS = ("card", "konbini", "bank_transfer")
_INCIDENTS = (
    "double_charge",
    "charge_without_attempt",
    "charge_missing_at_gateway",
    "refund_missing_at_gateway",
    "amount_differs",
    "state_differs",
    "ledger_differs",
    "attempt_stuck",
    "workflow_missing",
)
_BALANCES = """
CREATE VIEW payment_balances AS
SELECT c.object_id, c.number, c.gateway_id AS charge_id, c.payment_method_id, c.currency,
    c.amount_minor AS settled_minor,
    (c.amount_minor
        - COALESCE((SELECT sum(r.amount_minor) FROM attempts r
                    WHERE r.object_id = c.object_id AND r.number = c.number AND r.purpose = 'refund'
                      AND r.credit_id IS NULL
                      AND r.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')), 0)
        - COALESCE((SELECT sum(k.amount_minor) FROM credits k
                    WHERE k.object_id = c.object_id AND k.number = c.number AND k.status <> 'failed'), 0)
    )::bigint AS balance_minor
FROM attempts c WHERE c.purpose = 'charge' AND c.state = 'settled'
"""


def upgrade() -> None:
    _credits()
    op.add_column("attempts", sa.Column("credit_id", sa.Text(collation="C"), nullable=True))
    op.create_foreign_key("fk_attempts_credit_id", "attempts", "credits", ["credit_id"], ["id"])
    op.create_check_constraint(
        op.f("ck_attempts_credit_returns"), "attempts", "credit_id IS NULL OR purpose = 'refund'"
    )
    _one_attempt("credit_id")
    _known("payments", "state", (*_STATES, "partially_refunded"))
    _known("payment_methods", "kind", (*_METHODS, "sepa_debit"))
    _known("incidents", "kind", (*_INCIDENTS, "double_refund"))
    _settled("'settled', 'refunded', 'partially_refunded'", "'collecting', 'settled', 'partially_refunded'")
    op.execute(_BALANCES)


def downgrade() -> None:
    op.execute("DROP VIEW payment_balances")
    _settled("'settled', 'refunded'", "'collecting', 'settled'")
    _known("incidents", "kind", _INCIDENTS)
    _known("payment_methods", "kind", _METHODS)
    _known("payments", "state", _STATES)
    _one_attempt()
    op.drop_constraint(op.f("ck_attempts_credit_returns"), "attempts", type_="check")
    op.drop_constraint("fk_attempts_credit_id", "attempts", type_="foreignkey")
    op.drop_column("attempts", "credit_id")
    op.drop_table("credits")


def _credits() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "credits",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("object_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("accept_risk", sa.Boolean(), nullable=False),
        sa.Column("block_all", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("ended_at", instant, nullable=True),
        sa.Column("counted_at", instant, nullable=True),
        sa.CheckConstraint("status IN ('open', 'returned', 'failed')", name=op.f("ck_credits_status_known")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_credits_currency_code")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_credits_amount_positive")),
        sa.CheckConstraint("(ended_at IS NULL) = (status = 'open')", name=op.f("ck_credits_ended_is_dated")),
        sa.ForeignKeyConstraint(
            ["object_id", "number"], ["payments.object_id", "payments.number"], name="fk_credits_payment"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credits")),
    )
    op.create_index("ix_credits_payment", "credits", ["object_id", "number"])
    op.create_index("ix_credits_created", "credits", [sa.text("created_at DESC"), sa.text("id DESC")])


def _one_attempt(*more: str) -> None:
    """One attempt of each number, one live attempt: of a payment, and of each of its credits."""
    op.drop_constraint("uq_attempts_attempt", "attempts", type_="unique")
    op.drop_index("uq_attempts_live", "attempts")
    op.create_unique_constraint(
        "uq_attempts_attempt",
        "attempts",
        ["object_id", "number", "purpose", "attempt", "returns", *more],
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "uq_attempts_live",
        "attempts",
        ["object_id", "number", "purpose", "returns", *more],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text(_LIVE),
    )


def _known(table: str, column: str, words: tuple[str, ...]) -> None:
    known = ", ".join(f"'{word}'" for word in words)
    op.drop_constraint(op.f(f"ck_{table}_{column}_known"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{column}_known"), table, f"{column} IN ({known})")


def _settled(states: str, of_order: str) -> None:
    """Which states of a payment are dated by its settling, and of which an order has one payment at most."""
    op.drop_constraint(op.f("ck_payments_settled_is_dated"), "payments", type_="check")
    op.create_check_constraint(
        op.f("ck_payments_settled_is_dated"), "payments", f"(settled_at IS NOT NULL) = (state IN ({states}))"
    )
    op.drop_index("uq_payments_of_order", "payments")
    op.create_index(
        "uq_payments_of_order",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text(f"order_id IS NOT NULL AND state IN ({of_order})"),
    )
