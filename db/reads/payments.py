"""The list of payments: one line per scheduled payment of any subscription, page by page, newest due first.

Filters are typed fields, as in the list of subscriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, func, literal, select, tuple_
from sqlalchemy.sql.selectable import LateralFromClause

from db.columns import PaymentState
from db.engine import Database
from db.reads.cursor import decode_cursor, encode_cursor, page_size
from db.tables import attempts, customers, payers, payment_methods, payments, products
from domain.errors import ErrorCode, TeikiError
from domain.money import Money

LIMIT_DEFAULT: Final = 50
_p, _s, _c, _m = payments.c, payers.c, customers.c, payment_methods.c


class PaymentFilter(BaseModel):
    """Which payments; every condition given must hold.

    Attributes:
        object_id: a subscription's or an order's.
        customer_email: the whole address, whatever its case.
        state: any of these.
        due_from: and later; `due_to`: and earlier, exclusive. The same for `settled_*`.
        amount_min: minor units, inclusive, of `currency`, which must be given with it. The same for `amount_max`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object_id: str | None = None
    customer_id: str | None = None
    customer_email: str | None = Field(default=None, max_length=320)
    product_id: str | None = None
    state: frozenset[PaymentState] | None = None
    due_from: AwareDatetime | None = None
    due_to: AwareDatetime | None = None
    settled_from: AwareDatetime | None = None
    settled_to: AwareDatetime | None = None
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    amount_min: int | None = Field(default=None, ge=0)
    amount_max: int | None = Field(default=None, ge=0)


class PaymentItem(BaseModel):
    """One line of the list. Instants are aware and in UTC; `zone` is the subscription's own.

    Attributes:
        attempts: how many times the charge was attempted.
        decline: why the last attempt was declined, if it was.
        gateway_id: where the gateway shows the last attempt.
    """

    model_config = ConfigDict(frozen=True)

    object_id: str
    number: int
    state: PaymentState
    skip_reason: str | None
    customer_id: str
    customer_email: str
    customer_name: str
    product_id: str
    product_name: str
    amount: Money
    due_at: datetime
    settled_at: datetime | None
    zone: str
    attempts: int
    last_attempt_state: str | None
    last_attempt_at: datetime | None
    decline: str | None
    gateway_id: str | None
    card_brand: str | None
    card_last_four: str | None


class PaymentPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[PaymentItem]
    next_cursor: str | None


def last_charge(payment: FromClause) -> LateralFromClause:
    """The last attempt at a payment's charge, and how many there were."""
    a = attempts.c
    return (
        select(
            a.attempt.label("attempts"),
            a.state.label("last_attempt_state"),
            a.sent_at.label("last_attempt_at"),
            a.decline,
            a.gateway_id,
            a.payment_method_id,
        )
        .where(
            a.object_id == payment.c.object_id,
            a.number == payment.c.number,
            a.purpose == "charge",
        )
        .order_by(a.attempt.desc())
        .limit(1)
        .lateral("last")
    )


async def list_payments(
    db: Database,
    filter: PaymentFilter | None = None,  # noqa: A002 - the field's word
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> PaymentPage:
    """One page, the latest due first.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200 or an amount without its currency.
    """
    query = page_query(filter or PaymentFilter(), cursor, page_size(limit))
    async with db.reading() as connection:
        found = (await connection.execute(query)).all()
    rows = found[:limit]
    more = len(found) > limit
    last = f"{rows[-1].object_id}/{rows[-1].number}" if more else ""
    return PaymentPage(
        items=[_item(row) for row in rows],
        next_cursor=encode_cursor(rows[-1].due_at, last) if more else None,
    )


async def find_payment(db: Database, object_id: str, number: int) -> PaymentItem | None:
    """One payment as the list shows it; None: there is no such payment."""
    query = _query([_p.object_id == object_id, _p.number == number], 1)
    async with db.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    return _item(row) if row is not None else None


def page_query(wanted: PaymentFilter, cursor: str | None, limit: int) -> Select[Any]:
    """The statement of one page; one row more than the page tells whether another follows."""
    conditions = conditions_of(wanted)
    if cursor is not None:
        conditions.append(_after(cursor))
    return _query(conditions, limit)


def _query(conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    newest_first = (_p.due_at.desc(), _p.object_id.desc(), _p.number.desc())
    # Chosen first, joined then: a page joins at most its own lines.
    p = select(payments).where(*conditions).order_by(*newest_first).limit(limit + 1).subquery("p")
    last = last_charge(p)
    return (
        select(
            p,
            _s.customer_id,
            _s.product_id,
            _s.zone,
            _c.email.label("customer_email"),
            _c.name.label("customer_name"),
            products.c.name.label("product_name"),
            func.coalesce(last.c.attempts, 0).label("attempts"),
            last.c.last_attempt_state,
            last.c.last_attempt_at,
            last.c.decline,
            last.c.gateway_id,
            _m.brand.label("card_brand"),
            _m.last_four.label("card_last_four"),
        )
        .join(payers, _s.id == p.c.object_id)
        .join(customers, _c.id == _s.customer_id)
        .join(products, products.c.id == _s.product_id)
        .outerjoin(last, literal(True))
        .outerjoin(payment_methods, _m.id == last.c.payment_method_id)
        .order_by(p.c.due_at.desc(), p.c.object_id.desc(), p.c.number.desc())
    )


def conditions_of(wanted: PaymentFilter) -> list[ColumnElement[bool]]:
    """All of the filter's conditions, for the list and for the sheet of an export."""
    if wanted.currency is None and (wanted.amount_min is not None or wanted.amount_max is not None):
        raise TeikiError(ErrorCode.INVALID_INPUT, "An amount is compared in a currency: name it.")
    given: Sequence[tuple[Any, Any]] = (
        (wanted.object_id, _p.object_id.__eq__),
        (wanted.state, lambda states: _p.state.in_(sorted(states))),
        (wanted.due_from, _p.due_at.__ge__),
        (wanted.due_to, _p.due_at.__lt__),
        (wanted.settled_from, _p.settled_at.__ge__),
        (wanted.settled_to, _p.settled_at.__lt__),
        (wanted.currency, _p.currency.__eq__),
        (wanted.amount_min, _p.amount_minor.__ge__),
        (wanted.amount_max, _p.amount_minor.__le__),
    )
    conditions: list[ColumnElement[bool]] = [
        condition(value) for value, condition in given if value is not None
    ]
    owners: list[ColumnElement[bool]] = []
    if wanted.customer_id is not None:
        owners.append(_s.customer_id == wanted.customer_id)
    if wanted.product_id is not None:
        owners.append(_s.product_id == wanted.product_id)
    if wanted.customer_email is not None:
        same = select(_c.id).where(func.lower(_c.email) == wanted.customer_email.lower())
        owners.append(_s.customer_id.in_(same))
    if owners:
        conditions.append(_p.object_id.in_(select(_s.id).where(and_(*owners))))
    return conditions


def _after(cursor: str) -> ColumnElement[bool]:
    """The condition "older than the cursor", in the order of the index."""
    due_at, entry = decode_cursor(cursor)
    object_id, _, number = entry.rpartition("/")
    if not number.isdecimal() or len(number) > 9:
        raise TeikiError(ErrorCode.INVALID_CURSOR, "This cursor was not made by a list of payments.")
    last = tuple_(literal(due_at), literal(object_id), literal(int(number)))
    return tuple_(_p.due_at, _p.object_id, _p.number) < last


def _item(row: Row[Any]) -> PaymentItem:
    shown = {name: row._mapping[name] for name in PaymentItem.model_fields if name in row._mapping}
    return PaymentItem.model_validate(
        shown | {"amount": Money(minor=row.amount_minor, currency=row.currency)}
    )
