"""Credits, and what is left of each payment (spec: customers.md §3).

The balance of a payment is counted in one place, the view `payment_balances`: what was settled less everything that
went back or is on its way back. Whoever decides by it locks the payment first (`db.balances`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    column,
    event,
    table,
    text,
)

from db.columns import LIVE_STATES, currency, id_, instant, metadata, one_of, quoted, words
from domain.credit import CreditStatus

credits_: Final = Table(
    "credits",
    metadata,
    id_("id", primary_key=True),
    id_("object_id", nullable=False),
    Column("number", Integer, nullable=False),
    # The order concerned: the payment's own, or the one that its subscription pays.
    id_("order_id"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("accept_risk", Boolean, nullable=False),
    Column("block_all", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    words("comment"),
    instant("created_at"),
    instant("ended_at", nullable=True),
    # When the order concerned counted it as refunded.
    instant("counted_at", nullable=True),
    ForeignKeyConstraint(
        ["object_id", "number"], ["payments.object_id", "payments.number"], name="fk_credits_payment"
    ),
    one_of("status", [status.value for status in CreditStatus]),
    currency(),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("(ended_at IS NULL) = (status = 'open')", name="ended_is_dated"),
    Index("ix_credits_payment", "object_id", "number"),
    Index("ix_credits_created", text("created_at DESC"), text("id DESC")),
)

PAYMENT_BALANCES: Final = f"""
CREATE VIEW payment_balances AS
SELECT c.object_id, c.number, c.gateway_id AS charge_id, c.payment_method_id, c.currency,
    c.amount_minor AS settled_minor,
    (c.amount_minor
        - COALESCE((SELECT sum(r.amount_minor) FROM attempts r
                    WHERE r.object_id = c.object_id AND r.number = c.number AND r.purpose = 'refund'
                      AND r.credit_id IS NULL AND r.state IN ({quoted(LIVE_STATES)})), 0)
        - COALESCE((SELECT sum(b.amount_minor) FROM attempts b
                    WHERE b.object_id = c.object_id AND b.number = c.number AND b.purpose = 'chargeback'
                      AND b.state IN ({quoted(LIVE_STATES)})), 0)
        - COALESCE((SELECT sum(k.amount_minor) FROM credits k
                    WHERE k.object_id = c.object_id AND k.number = c.number AND k.status <> 'failed'), 0)
    )::bigint AS balance_minor
FROM attempts c WHERE c.purpose = 'charge' AND c.state = 'settled'
"""  # noqa: S608 - constants of ours, no input
"""A credit is counted as a whole from its acceptance on, whatever becomes of its attempts; a refund by its attempt."""
payment_balances: Final = table(
    "payment_balances",
    column("object_id"),
    column("number"),
    column("charge_id"),
    column("payment_method_id"),
    column("currency"),
    column("settled_minor"),
    column("balance_minor"),
)
event.listen(metadata, "after_create", DDL(PAYMENT_BALANCES))  # type: ignore[no-untyped-call]
