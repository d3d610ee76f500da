"""What the tables are made of: the words they may hold, and columns that look alike everywhere.

Ids are opaque text in "C" order; instants are `timestamptz`; money is minor units with its ISO 4217 code.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, MetaData, Sequence, Text, func

from domain.reconciliation import DifferenceKind

PaymentState = Literal[
    "scheduled",
    "collecting",
    "settled",
    "skipped",
    "failed",
    "refunded",
    "partially_refunded",
    "chargeback",
    "partially_repaid",
    "repaid",
]
PAYMENT_STATES: Final = get_args(PaymentState)
CHARGED_BACK_STATES: Final = ("chargeback", "partially_repaid", "repaid")
SETTLED_STATES: Final = ("settled", "refunded", "partially_refunded", *CHARGED_BACK_STATES)
"""Of a payment that was paid once, whatever became of the money."""
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
    "cash",
)
"""`cash`: money that came otherwise than through the gateway, which its book knows nothing of."""
EVENT_KINDS: Final = (
    "operation",
    "status",
    "skip",
    "payment",
    "refund",
    "link",
    "incident",
    "note",
    "points",
    "fee",
    "custom_fields",
    "identification",
    "chargeback",
    "repayment",
)
PURPOSES: Final = ("charge", "refund", "twin", "chargeback", "repayment", "receipt")
"""`twin`: giving back a second charge that the gateway made for a payment that had its charge already. `chargeback`:
the bank took the charge back. `repayment`: a new charge for money that was charged back; `receipt`: money for it that
came otherwise.
"""
INCIDENT_KINDS: Final = get_args(DifferenceKind)

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


def id_(name: str, *args: Any, **kwargs: Any) -> Column[Any]:
    return Column(name, Text(collation="C"), *args, **kwargs)


def instant(name: str, *, nullable: bool = False, **kwargs: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, **kwargs)


def words(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def recorded_at() -> Column[Any]:
    return instant("recorded_at", server_default=func.clock_timestamp())


def seq(**kwargs: Any) -> Column[Any]:
    return Column("seq", BigInteger, nullable=False, server_default=events_seq.next_value(), **kwargs)


def one_of(column: str, values: Any) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({quoted(values)})", name=f"{column}_known")


def currency() -> CheckConstraint:
    return CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_code")
