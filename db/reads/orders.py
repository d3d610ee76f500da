"""The list of orders: what may be asked, what a line shows, page by page (spec: orders.md §10).

Filters are typed fields, never a query language. `conditions` says what they mean, for the list and for exports alike;
how a page is found quickly among millions is in `db.reads.order_paths`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.catalogue_tables import customers
from db.engine import Database
from db.order_tables import orders
from db.reads.cursor import SearchText, decode_cursor, encode_cursor, page_size, prefix_pattern
from db.reads.order_paths import Search, pick
from domain.money import Money
from domain.order_state import OrderStatus, PaymentStatus
from domain.order_terms import Pay
from domain.product import ProductType

LIMIT_DEFAULT: Final = 50
_o, _c = orders.c, customers.c


class OrderFilter(BaseModel):
    """Which orders; every condition given must hold.

    Attributes:
        number: the order number, or how it begins.
        created_from: and later; `created_to`: and earlier, exclusive.
        product_type: any of these. The same for `status`, `payment_status` and `pay`, the payment method.
        customer_email: the whole address, whatever its case.
        has_notes: somebody left (or nobody left) a note.
        text: the beginning of the number, of the customer's e-mail or name, or of the product's name as ordered,
            whatever their case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: SearchText | None = None
    created_from: AwareDatetime | None = None
    created_to: AwareDatetime | None = None
    product_type: frozenset[ProductType] | None = None
    product_id: SearchText | None = None
    status: frozenset[OrderStatus] | None = None
    payment_status: frozenset[PaymentStatus] | None = None
    pay: frozenset[Pay] | None = None
    customer_email: SearchText | None = None
    customer_id: SearchText | None = None
    has_notes: bool | None = None
    text: SearchText | None = None


class OrderItem(BaseModel):
    """One line of the list. Instants are aware and in UTC; `zone` is the merchant's.

    Attributes:
        payments: how many were made: shown as "N-times" for a recurring payment.
        expires_on: local date; shown when the recurring payment was canceled.
        amount: None where nothing is paid.
        notes: how many; `latest_note` is empty when there are none.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    number: str
    created_at: datetime
    zone: str
    product_type: ProductType
    product_id: str
    product_name: str
    options: list[str]
    status: OrderStatus
    reason: str
    payment_status: PaymentStatus
    payments: int
    expires_on: date | None
    pay: Pay
    amount: Money | None
    customer_id: str
    customer_email: str
    customer_name: str
    notes: int
    latest_note: str


class OrderPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[OrderItem]
    next_cursor: str | None


async def list_orders(
    db: Database,
    filter: OrderFilter | None = None,  # noqa: A002 - the field's word
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> OrderPage:
    """One page, newest first.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    wanted, size = filter or OrderFilter(), page_size(limit) + 1
    older_than = None if cursor is None else decode_cursor(cursor)
    async with db.reading() as connection:
        search = await search_of(connection, wanted, older_than, size)
        found = await pick(connection, search, wanted.text)
        page = shown(select(orders).where(_o.id.in_([order_id for _, order_id in found[:limit]])))
        rows = (await connection.execute(page)).all()
    return OrderPage(
        items=[item_of(row) for row in rows],
        next_cursor=encode_cursor(*found[limit - 1]) if len(found) > limit else None,
    )


async def search_of(
    connection: AsyncConnection, wanted: OrderFilter, older_than: tuple[datetime, str] | None, size: int
) -> Search:
    """The filter, sorted by how it is looked for; one row more than the page tells whether another follows."""
    given = {name: words for name in FACETS if (words := getattr(wanted, name)) is not None}
    facets = {name: sorted(word.value for word in words) for name, words in given.items()}
    people = None if wanted.customer_id is None else [wanted.customer_id]
    if wanted.customer_email is not None:
        of_address = (await connection.execute(customers_with(wanted.customer_email))).scalars().all()
        people = [person for person in of_address if wanted.customer_id in (None, person)]
    return Search(
        size=size,
        facets=facets if wanted.has_notes is None else {**facets, "has_notes": [wanted.has_notes]},
        product=wanted.product_id,
        customers=people,
        created_from=wanted.created_from,
        created_to=wanted.created_to,
        older_than=older_than,
        number=wanted.number,
    )


def matching(wanted: OrderFilter) -> Select[Any]:
    """All that match, as lines of the list, newest first: what an export streams."""
    return shown(select(orders).where(*conditions(wanted)))


def shown(chosen: Select[Any]) -> Select[Any]:
    """The chosen orders with what a line shows of their customer; chosen first, joined then."""
    o = chosen.subquery("o")
    return (
        select(o, _c.email.label("customer_email"), _c.name.label("customer_name"))
        .join(customers, _c.id == o.c.customer_id)
        .order_by(o.c.created_at.desc(), o.c.id.desc())
    )


def item_of(row: Row[Any]) -> OrderItem:
    """The line of a row that `shown` selected."""
    amount = None if row.currency is None else Money(minor=row.amount_minor, currency=row.currency)
    names = [name for name in OrderItem.model_fields if name != "amount"]
    return OrderItem(**{name: row._mapping[name] for name in names}, amount=amount)


def conditions(wanted: OrderFilter) -> Sequence[ColumnElement[bool]]:
    """What the filter means, as conditions on `orders`: all must hold."""
    given: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.number, lambda number: _o.number.like(prefix_pattern(number))),
        (wanted.created_from, _o.created_at.__ge__),
        (wanted.created_to, _o.created_at.__lt__),
        (wanted.product_id, _o.product_id.__eq__),
        (wanted.customer_id, _o.customer_id.__eq__),
        (wanted.has_notes, _o.has_notes.is_),
        (wanted.customer_email, lambda email: _o.customer_id.in_(customers_with(email))),
        (wanted.text, lambda text: or_(*beginning_with(text))),
        *((getattr(wanted, name), _any_of(name)) for name in FACETS),
    ]
    return [condition(value) for value, condition in given if value is not None]


FACETS: Final = ("product_type", "status", "payment_status", "pay")
"""The filters with few, fixed words; each takes any of several."""


def _any_of(name: str) -> Callable[[Any], ColumnElement[bool]]:
    return lambda values: _o[name].in_(sorted(value.value for value in values))


def customers_with(email: str) -> Select[Any]:
    return select(_c.id).where(func.lower(_c.email) == email.lower())


def beginning_with(text: str) -> Sequence[ColumnElement[bool]]:
    """The places where the text may stand: each is enough."""
    pattern = prefix_pattern(text.lower())
    people = select(_c.id).where(or_(func.lower(_c.email).like(pattern), func.lower(_c.name).like(pattern)))
    return (
        _o.number.like(prefix_pattern(text)),
        _o.customer_id.in_(people),
        _o.product_name_lowered.like(pattern),
    )
