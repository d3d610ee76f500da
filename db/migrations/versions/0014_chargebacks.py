"""Payments that were charged back, and the money that comes for them.

New states of a payment, new purposes of an attempt, an account for money that came otherwise than through the gateway,
and the table of repayments. Revision 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_STATES = ("scheduled", "collecting", "settled", "skipped", "failed", "refunded", "partially_refunded")
_DATED = ("settled", "refunded", "partially_refunded")
_NEW_STATES = ("chargeback", "partially_repaid", "repaid")
_PURPOSES = ("charge", "refund", "twin")
_NEW_PURPOSES = ("chargeback", "repayment", "receipt")
_ACCOUNTS = ("customer", "gateway_receivable", "revenue", "refunds", "fees", "chargebacks", "repayments")
_EVENTS = (
    *("operation", "status", "skip", "payment", "refund", "link", "incident", "note"),
    *("points", "fee", "custom_fields", "identification"),
)
_INCIDENTS = (
    *("double_charge", "charge_without_attempt", "charge_missing_at_gateway", "refund_missing_at_gateway"),
    *("amount_differs", "state_differs", "ledger_differs", "attempt_stuck", "workflow_missing"),
    "double_refund",
)


_LIVE = "'sent', 'unsent', 'unknown', 'pending', 'attention', 'settled'"


def upgrade() -> None:
    _words(
        states=(*_STATES, *_NEW_STATES),
        dated=(*_DATED, *_NEW_STATES),
        purposes=(*_PURPOSES, *_NEW_PURPOSES),
        accounts=(*_ACCOUNTS, "cash"),
        events=(*_EVENTS, "chargeback", "repayment"),
        incidents=(*_INCIDENTS, "returned_twice", "chargeback_unmatched"),
        gateway_id="state <> 'settled' OR gateway_id IS NOT NULL OR purpose = 'receipt'",
    )
    _balances(f"""
        - COALESCE((SELECT sum(b.amount_minor) FROM attempts b
                    WHERE b.object_id = c.object_id AND b.number = c.number AND b.purpose = 'chargeback'
                      AND b.state IN ({_LIVE})), 0)""")  # noqa: S608 - constants of ours
    _repayments()


def downgrade() -> None:
    _balances("")
    op.drop_table("repayments")
    _words(
        states=_STATES,
        dated=_DATED,
        purposes=_PURPOSES,
        accounts=_ACCOUNTS,
        events=_EVENTS,
        incidents=_INCIDENTS,
        gateway_id="state <> 'settled' OR gateway_id IS NOT NULL",
    )


def _balances(charged_back: str) -> None:
    """What is left of a payment: what the bank took back is not."""
    op.execute(f"""
CREATE OR REPLACE VIEW payment_balances AS
SELECT c.object_id, c.number, c.gateway_id AS charge_id, c.payment_method_id, c.currency,
    c.amount_minor AS settled_minor,
    (c.amount_minor
        - COALESCE((SELECT sum(r.amount_minor) FROM attempts r
                    WHERE r.object_id = c.object_id AND r.number = c.number AND r.purpose = 'refund'
                      AND r.credit_id IS NULL AND r.state IN ({_LIVE})), 0)
        {charged_back}
        - COALESCE((SELECT sum(k.amount_minor) FROM credits k
                    WHERE k.object_id = c.object_id AND k.number = c.number AND k.status <> 'failed'), 0)
    )::bigint AS balance_minor
FROM attempts c WHERE c.purpose = 'charge' AND c.state = 'settled'
""")  # noqa: S608 - constants of ours


def _words(
    *,
    states: tuple[str, ...],
    dated: tuple[str, ...],
    purposes: tuple[str, ...],
    accounts: tuple[str, ...],
    events: tuple[str, ...],
    incidents: tuple[str, ...],
    gateway_id: str,
) -> None:
    _check("payments", "state_known", f"state IN ({_quoted(states)})")
    _check("payments", "settled_is_dated", f"(settled_at IS NOT NULL) = (state IN ({_quoted(dated)}))")
    _check("attempts", "purpose_known", f"purpose IN ({_quoted(purposes)})")
    _check("attempts", "settled_has_gateway_id", gateway_id)
    _check("ledger", "debit_account_known", f"debit_account IN ({_quoted(accounts)})")
    _check("ledger", "credit_account_known", f"credit_account IN ({_quoted(accounts)})")
    _check("history", "kind_known", f"kind IN ({_quoted(events)})")
    _check("incidents", "kind_known", f"kind IN ({_quoted(incidents)})")


def _check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _repayments() -> None:
    op.create_table(
        "repayments",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("object_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("method", sa.Text()),
        sa.Column("received_as", sa.Text()),
        sa.Column("received_on", sa.Date()),
        sa.Column("token_hash", sa.Text(collation="C")),
        sa.Column("form_id", sa.Text(collation="C")),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("reminders", sa.Integer(), server_default="0", nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repayments")),
        sa.ForeignKeyConstraint(
            ["object_id", "number"],
            ["payments.object_id", "payments.number"],
            name="fk_repayments_payment",
        ),
        sa.UniqueConstraint("token_hash", name="uq_repayments_token_hash"),
        *_checks(),
    )
    op.create_index(
        "uq_repayments_open",
        "repayments",
        ["object_id", "number"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_repayments_payment", "repayments", ["object_id", "number", "created_at"])
    op.create_index("ix_repayments_created", "repayments", [sa.text("created_at DESC"), sa.text("id DESC")])


def _checks() -> list[sa.CheckConstraint]:
    conditions = {
        "kind_known": "kind IN ('link', 'manual')",
        "status_known": "status IN ('open', 'paid', 'expired', 'canceled')",
        "currency_code": "currency ~ '^[A-Z]{3}$'",
        "amount_positive": "amount_minor > 0",
        "paid_within_amount": "paid_minor BETWEEN 0 AND amount_minor",
        "paid_has_money": "(status = 'paid') = (paid_minor > 0)",
        "link_has_token": "(kind = 'link') = (token_hash IS NOT NULL)",
        "link_expires": "(kind = 'link') = (expires_at IS NOT NULL)",
        "manual_has_method": "(kind = 'manual') = (method IS NOT NULL)",
        "manual_has_day": "(kind = 'manual') = (received_on IS NOT NULL)",
    }
    return [
        sa.CheckConstraint(condition, name=op.f(f"ck_repayments_{name}"))
        for name, condition in conditions.items()
    ]
