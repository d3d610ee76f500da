"""What happened to one subscription, in order: attempts and history merged (spec: interfaces.md §3).

A charge stands at the instant it was sent, even when its outcome was learned later. Instants are aware and in UTC;
who shows them converts to the zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import Row, select

from db.engine import Database
from db.tables import attempts, history, payment_methods, payments
from domain.money import Money


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)

    at: datetime
    seq: int = Field(exclude=True, repr=False)


class ChargeEntry(_Entry):
    type: Literal["charge"] = "charge"
    payment: int
    attempt: int
    due: datetime
    outcome: Literal["succeeded", "failed", "pending"]
    decline: str | None = None
    amount: Money


class SkipEntry(_Entry):
    type: Literal["skip"] = "skip"
    payment: int
    due: datetime
    reason: str


class StatusEntry(_Entry):
    type: Literal["status"] = "status"
    object: str = "subscription"
    from_: str | None = Field(alias="from")
    to: str
    reason: str
    payment: int | None = None


class OperationEntry(_Entry):
    type: Literal["operation"] = "operation"
    do: str
    result: Literal["accepted"] = "accepted"
    actor: str
    comment: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)


class RefundEntry(_Entry):
    type: Literal["refund"] = "refund"
    payment: int
    outcome: Literal["succeeded", "failed", "pending"]
    reason: str | None = None
    decline: str | None = None
    amount: Money


class PointsEntry(_Entry):
    """`points` is negative when they are taken back."""

    type: Literal["points"] = "points"
    what: Literal["earned", "taken_back"]
    points: int


class FeeEntry(_Entry):
    """What the payment company took for a remittance."""

    type: Literal["fee"] = "fee"
    payment: int | None = None
    reason: str
    amount: Money


class IncidentEntry(_Entry):
    """Something that does not add up and that people see; `amount` when money is at stake."""

    type: Literal["incident"] = "incident"
    payment: int | None = None
    kind: str
    outcome: Literal["opened", "closed"] = "opened"
    amount: Money | None = None


Entry = (
    ChargeEntry
    | SkipEntry
    | StatusEntry
    | OperationEntry
    | RefundEntry
    | PointsEntry
    | FeeEntry
    | IncidentEntry
)
_ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="type")])

_ATTEMPTS: Final = (
    select(attempts, payments.c.due_at, payment_methods.c.kind)
    .join(
        payments,
        (payments.c.object_id == attempts.c.object_id) & (payments.c.number == attempts.c.number),
    )
    .join(payment_methods, payment_methods.c.id == attempts.c.payment_method_id)
    .order_by(attempts.c.sent_at, attempts.c.seq)
)
_EVENTS: Final = select(history).order_by(history.c.at, history.c.seq)


async def timeline(db: Database, object_id: str, *, creation: bool = False) -> list[Entry]:
    """Every attempt and event of a subscription, by instant, then by the order of writing.

    Args:
        db: the database.
        object_id: whose; one that does not exist has an empty timeline.
        creation: also the operation that opened it (a scenario has no such event).
    """
    async with db.reading() as connection:
        of_attempts = await connection.execute(_ATTEMPTS.where(attempts.c.object_id == object_id))
        of_history = await connection.execute(_EVENTS.where(history.c.subject_id == object_id))
    entries = [entry for row in of_attempts if (entry := _of_attempt(row)) is not None]
    entries += [entry for row in of_history if (entry := _of_event(row, creation=creation)) is not None]
    return sorted(entries, key=lambda entry: (entry.at, entry.seq))


def outcome_of(state: str) -> Literal["succeeded", "failed", "pending"] | None:
    """An attempt's state in the words of a timeline; None for one that surely never left the house."""
    if state in ("unsent", "abandoned"):
        return None
    if state == "settled":
        return "succeeded"
    return "failed" if state == "declined" else "pending"


def _of_attempt(row: Row[Any]) -> Entry | None:
    outcome = outcome_of(row.state)
    # A slip's issue is no charge: what becomes of the deposit is told by its statuses.
    if outcome is None or row.purpose != "charge" or row.kind == "konbini":
        return None
    return ChargeEntry(
        at=row.sent_at,
        seq=row.seq,
        payment=row.number,
        attempt=row.attempt,
        due=row.due_at,
        outcome=outcome,
        decline=row.decline,
        amount=Money(minor=row.amount_minor, currency=row.currency),
    )


def _of_event(row: Row[Any], *, creation: bool) -> Entry | None:
    """The entry of an event; None for kinds that attempts tell better, and for the creation unless wanted."""
    if row.kind == "operation" and row.data["do"] in ("create", "place") and not creation:
        return None
    read = _READERS.get(row.kind)
    return read(row, {"at": row.at, "seq": row.seq}) if read is not None else None


def _operation(row: Row[Any], common: dict[str, Any]) -> Entry:
    arguments = row.data.get("arguments", {})
    return OperationEntry(
        **common, do=row.data["do"], actor=row.actor, comment=row.comment, arguments=arguments
    )


def _status(row: Row[Any], common: dict[str, Any]) -> Entry | None:
    """How something began is no change, except that a permission was granted."""
    if row.data["from"] is None and row.data.get("object") != "permission":
        return None
    return _ENTRY.validate_python(common | {"type": "status", "payment": row.number} | row.data)


def _skip(row: Row[Any], common: dict[str, Any]) -> Entry:
    return SkipEntry(**common, payment=row.number, due=row.data["due"], reason=row.data["reason"])


def _refund(row: Row[Any], common: dict[str, Any]) -> Entry | None:
    data = row.data
    if data["outcome"] not in ("succeeded", "failed"):
        return None
    return RefundEntry(
        **common,
        payment=row.number,
        outcome=data["outcome"],
        reason=data.get("reason"),
        decline=data.get("decline"),
        amount=_money(data),
    )


def _points(row: Row[Any], common: dict[str, Any]) -> Entry:
    return PointsEntry(**common, what=row.data["what"], points=row.data["points"])


def _fee(row: Row[Any], common: dict[str, Any]) -> Entry:
    return FeeEntry(**common, payment=row.number, reason=row.data["reason"], amount=_money(row.data))


def _incident(row: Row[Any], common: dict[str, Any]) -> Entry:
    data = row.data
    return IncidentEntry(
        **common,
        payment=row.number,
        kind=data["kind"],
        outcome=data.get("outcome", "opened"),
        amount=_money(data) if "currency" in data else None,
    )


def _money(data: dict[str, Any]) -> Money:
    return Money(minor=data["amount_minor"], currency=data["currency"])


_READERS: Final[dict[str, Callable[[Row[Any], dict[str, Any]], Entry | None]]] = {
    "operation": _operation,
    "status": _status,
    "skip": _skip,
    "refund": _refund,
    "points": _points,
    "fee": _fee,
    "incident": _incident,
}
