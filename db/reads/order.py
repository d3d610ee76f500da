"""One order, whole: what was bought, by whom, the permission, money, notes and history (spec: orders.md §§6–9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.order_tables import deposits, order_notes, orders, permissions
from db.reads import orders as order_list
from db.reads import permissions as permission_list
from db.reads.catalogue import CustomerItem, ProductItem, customer_item, product_item
from db.reads.deposits import DepositItem, deposit_item
from db.reads.order_payments import PaymentEntry, payment_history
from db.reads.orders import OrderItem
from db.reads.permissions import PermissionItem
from db.tables import attempts, customers, history, ledger, products
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.money import Money
from domain.order_history import Tab, told
from domain.order_state import OrderStatus
from domain.order_terms import OrderTerms

_MONEY_BACK: Final = ("refund", "fee")


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class NoteItem(_Shown):
    """What an admin left for other admins."""

    id: int
    at: datetime
    author: str
    text: str


class Points(_Shown):
    """`expected` until they are earned at the purchase's confirmation; `taken_back` by refunds."""

    expected: int
    earned: int
    taken_back: int


class MoneyBack(_Shown):
    """An entry of the ledger: a refund, or the fee of a remittance."""

    kind: str
    payment: int
    amount: Money
    at: datetime


class OrderEvent(_Shown):
    """One event of history: in which tab, what, and what it changed.

    Attributes:
        payment: the number of the payment it is about.
        kind: and `data`: as it was written.
    """

    seq: int
    at: datetime
    actor: str
    tab: Tab
    what: str
    before: Any
    after: Any
    payment: int | None
    comment: str
    kind: str
    data: dict[str, Any]


class OrderDetail(OrderItem):
    """Everything about one order. Instants are aware and in UTC; show them in `zone` too.

    Attributes:
        payment_history: empty for token authentication.
        next_payment_at: of a recurring order; how many were made is `payments`.
        subscription_id: of a recurring order: its payments are the subscription's.
        refunds: and `fees`: from the ledger, oldest first.
        order_notes: newest first. `history`: of all tabs, oldest first.
    """

    terms: OrderTerms
    paid_minor: int
    refunded_minor: int
    completed_at: datetime | None
    confirmed_at: datetime | None
    ends_at: datetime | None
    next_kind: str | None
    next_at: datetime | None
    next_payment_at: datetime | None
    subscription_id: str | None
    custom_fields: dict[str, Any]
    metadata: dict[str, str]
    updated_at: datetime
    customer: CustomerItem
    product: ProductItem
    permission: PermissionItem | None
    deposits: list[DepositItem]
    payment_history: list[PaymentEntry]
    points: Points
    refunds: list[MoneyBack]
    fees: list[MoneyBack]
    order_notes: list[NoteItem]
    history: list[OrderEvent]

    def tab(self, name: str) -> list[OrderEvent]:
        """The events of one tab; all of them for `history`."""
        return [event for event in self.history if name in ("history", event.tab)]


async def show_order(db: Database, id_or_number: str) -> OrderDetail:
    """The whole order, from one snapshot.

    Args:
        db: the database.
        id_or_number: "ord_…", or the order number.

    Raises:
        TeikiError: `order_not_found`.
    """
    if "\x00" in id_or_number:
        raise _not_found(id_or_number)
    named = or_(orders.c.id == id_or_number, orders.c.number == id_or_number)
    async with db.reading() as connection:
        row = await _first(connection, order_list.shown(select(orders).where(named)))
        if row is None:
            raise _not_found(id_or_number)
        of = _Of(connection, row)
        return OrderDetail(
            **order_list.item_of(row).model_dump(),
            **{name: row._mapping[name] for name in _COPIED},
            terms=OrderTerms.model_validate(row.terms),
            customer=customer_item(await of.one(select(customers).where(customers.c.id == row.customer_id))),
            product=product_item(await of.one(select(products).where(products.c.id == row.product_id))),
            permission=await of.permission(),
            order_notes=await of.notes(),
            **await of.money_and_history(),
        )


_COPIED: Final = (
    "paid_minor",
    "refunded_minor",
    "completed_at",
    "confirmed_at",
    "ends_at",
    "next_kind",
    "next_at",
    "next_payment_at",
    "subscription_id",
    "custom_fields",
    "metadata",
    "updated_at",
)


class _Of:
    """The rows that belong to one order, read in its snapshot."""

    def __init__(self, connection: AsyncConnection, row: Row[Any]) -> None:
        self._connection = connection
        self._row = row
        # A recurring order is paid by its subscription.
        self._payers = {row.id: "order"}
        if row.subscription_id:
            self._payers[row.subscription_id] = "subscription"

    async def one(self, query: Select[Any]) -> Row[Any]:
        (row,) = await self.all(query)
        return row

    async def all(self, query: Select[Any]) -> list[Row[Any]]:
        return list(await self._connection.execute(query))

    async def permission(self) -> PermissionItem | None:
        mine = select(permissions).where(permissions.c.order_id == self._row.id)
        row = await _first(self._connection, permission_list.shown(mine))
        return permission_list.permission_item(row) if row is not None else None

    async def notes(self) -> list[NoteItem]:
        n = order_notes.c
        rows = await self.all(select(order_notes).where(n.order_id == self._row.id).order_by(n.id.desc()))
        return [NoteItem(id=row.id, at=row.at, author=row.author, text=row.text) for row in rows]

    async def money_and_history(self) -> dict[str, Any]:
        row, a, d, h = self._row, attempts.c, deposits.c, history.c
        tries = await self.all(
            select(attempts).where(a.object_id.in_(self._payers)).order_by(a.sent_at, a.seq)
        )
        slips = await self.all(select(deposits).where(d.order_id == row.id).order_by(d.number))
        # What its slips went through stands under their own ids.
        subjects = dict.fromkeys((slip.id for slip in slips), "deposit") | self._payers
        events = await self.all(select(history).where(h.subject_id.in_(subjects)).order_by(h.at, h.seq))
        back = await self._money_back()
        return {
            "deposits": [deposit_item(slip) for slip in slips],
            "payment_history": payment_history(
                pay=row.pay,
                installments=OrderTerms.model_validate(row.terms).installments,
                attempts=tries,
                slips=slips,
                refund_reasons=_refund_reasons(events),
                cancel_reason=row.reason if row.status == OrderStatus.CANCELED.value else None,
            ),
            "points": Points(
                expected=row.points_expected, earned=row.points_earned, taken_back=_taken_back(events)
            ),
            "refunds": [entry for entry in back if entry.kind == "refund"],
            "fees": [entry for entry in back if entry.kind == "fee"],
            "history": [_event(event, of=subjects[event.subject_id]) for event in events],
        }

    async def _money_back(self) -> list[MoneyBack]:
        of_payers = attempts.c.object_id.in_(self._payers)
        query = (
            select(ledger, attempts.c.number)
            .join(attempts, attempts.c.key == ledger.c.attempt_key)
            .where(of_payers, ledger.c.kind.in_(_MONEY_BACK))
            .order_by(ledger.c.at, ledger.c.id)
        )
        return [
            MoneyBack(
                kind=row.kind,
                payment=row.number,
                amount=Money(minor=row.amount_minor, currency=row.currency),
                at=row.at,
            )
            for row in await self.all(query)
        ]


async def _first(connection: AsyncConnection, query: Select[Any]) -> Row[Any] | None:
    row: Row[Any] | None = (await connection.execute(query)).first()
    return row


def _not_found(id_or_number: str) -> TeikiError:
    return TeikiError(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order=repeatable(id_or_number))


def _event(row: Row[Any], *, of: str) -> OrderEvent:
    line = told(row.kind, row.data, of=of)
    return OrderEvent(
        **{name: row._mapping[name] for name in ("seq", "at", "actor", "comment", "kind", "data")},
        **line._asdict(),
        payment=row.number,
    )


def _refund_reasons(events: Iterable[Row[Any]]) -> Mapping[tuple[int, str | None], str]:
    told_why = (event for event in events if event.kind == "refund" and "reason" in event.data)
    return {
        (event.number, event.data.get("returns") or event.data.get("credit_id")): event.data["reason"]
        for event in told_why
    }


def _taken_back(events: Iterable[Row[Any]]) -> int:
    back: Iterable[int] = (
        event.data["points"]
        for event in events
        if event.kind == "points" and event.data["what"] == "taken_back"
    )
    return -sum(back)
