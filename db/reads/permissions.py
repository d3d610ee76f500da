"""Permissions: who may use what, until when, and how they came by it (spec: orders.md §6).

One line of the list is also what an order's page shows of its permission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.catalogue_tables import customers
from db.engine import Database
from db.order_tables import orders, permissions
from db.reads import permission_places as places
from db.reads.cursor import SearchText, after, encode_cursor, page_size, prefix_pattern
from db.reads.order_numbers import tells_only_a_day
from domain.permission import Acquisition, PermissionStatus

LIMIT_DEFAULT: Final = 50
_p, _o, _c = permissions.c, orders.c, customers.c


class PermissionFilter(BaseModel):
    """Which permissions; every condition given must hold.

    Attributes:
        status: any of these.
        order_number: of its order, or how it begins.
        acquired_from: and later; `acquired_to`: and earlier, exclusive.
        text: the beginning of its id, or of the customer's e-mail or name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: SearchText | None = None
    status: frozenset[PermissionStatus] | None = None
    customer_id: SearchText | None = None
    order_number: SearchText | None = None
    acquired_from: AwareDatetime | None = None
    acquired_to: AwareDatetime | None = None
    membership_number: int | None = Field(default=None, ge=1, lt=2**63)
    text: SearchText | None = None


class PermissionItem(BaseModel):
    """One permission. Instants are aware and in UTC.

    Attributes:
        starts_at: and `ends_at` (None: without end): the usage period.
        used_at: when a ticket was processed, by `used_by`.
        identification: what is known of the holder; empty when nothing was collected (shown as "-").
    """

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    order_number: str
    customer_id: str
    customer_email: str
    customer_name: str
    product_id: str
    product_name: str
    status: PermissionStatus
    reason: str
    acquisition: Acquisition
    acquired_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    used_at: datetime | None
    used_by: str | None
    membership_number: int | None
    identification: dict[str, str]
    created_at: datetime


class PermissionPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[PermissionItem]
    next_cursor: str | None


async def list_permissions(
    db: Database,
    filter: PermissionFilter | None = None,  # noqa: A002 - the field's word
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> PermissionPage:
    """One page, newest first.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    size = page_size(limit)
    async with db.reading() as connection:
        query = await page_query(connection, filter or PermissionFilter(), cursor, size)
        found = (await connection.execute(query)).all()
    rows = found[:limit]
    more = len(found) > limit
    return PermissionPage(
        items=[permission_item(row) for row in rows],
        next_cursor=encode_cursor(rows[-1].created_at, rows[-1].id) if more else None,
    )


async def page_query(
    connection: AsyncConnection,
    wanted: PermissionFilter,
    cursor: str | None,
    limit: int,
    few: int = places.FEW,
) -> Select[Any]:
    """The statement of one page; one row more than the page tells whether another follows.

    Args:
        connection: for what is looked up first.
        wanted: which.
        cursor: after this entry.
        limit: entries of a page.
        few: up to so many are looked up one by one; a test makes it small.
    """
    older = [after(cursor, _p.created_at, _p.id)] if cursor is not None else []
    if wanted.order_number is not None:
        async with places.looked_up(connection):
            place = await places.of_number(connection, wanted.order_number, few)
        others = [] if tells_only_a_day(wanted.order_number) else [_numbered(wanted.order_number)]
        rest = conditions(wanted.model_copy(update={"order_number": None}))
        return shown(places.found([place], [*rest, *others, *older], limit + 1))
    if wanted.text is not None:
        async with places.looked_up(connection):
            several = await places.of_text(connection, wanted.text, few)
        if several is not None:
            rest = conditions(wanted.model_copy(update={"text": None}))
            return shown(places.found(several, [*rest, *older], limit + 1))
    chosen = select(permissions).where(*conditions(wanted), *older)
    return shown(chosen.order_by(_p.created_at.desc(), _p.id.desc()).limit(limit + 1))


def _numbered(beginning: str) -> ColumnElement[bool]:
    """Looked up for each permission: those of the right days are few, or nearly all fit."""
    number = select(_o.number).where(_o.id == _p.order_id).scalar_subquery()
    return func.starts_with(number, beginning)


def matching(wanted: PermissionFilter) -> Select[Any]:
    """All that match, as lines of the list, newest first: what an export streams."""
    return shown(select(permissions).where(*conditions(wanted)))


def shown(chosen: Select[Any]) -> Select[Any]:
    """The chosen permissions with what a line shows of their order and customer; chosen first, joined then."""
    p = chosen.subquery("p")
    return (
        select(
            p,
            _o.number.label("order_number"),
            _o.product_name,
            _c.email.label("customer_email"),
            _c.name.label("customer_name"),
        )
        .join(orders, _o.id == p.c.order_id)
        .join(customers, _c.id == p.c.customer_id)
        .order_by(p.c.created_at.desc(), p.c.id.desc())
    )


def permission_item(row: Row[Any]) -> PermissionItem:
    """The line of a row that `shown` selected."""
    return PermissionItem(**{name: row._mapping[name] for name in PermissionItem.model_fields})


def conditions(wanted: PermissionFilter) -> Sequence[ColumnElement[bool]]:
    """What the filter means, as conditions on `permissions`: all must hold."""
    given: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.product_id, _p.product_id.__eq__),
        (wanted.status, lambda statuses: _p.status.in_(sorted(status.value for status in statuses))),
        (wanted.customer_id, _p.customer_id.__eq__),
        (wanted.order_number, _of_orders),
        (wanted.acquired_from, _p.acquired_at.__ge__),
        (wanted.acquired_to, _p.acquired_at.__lt__),
        (wanted.membership_number, _p.membership_number.__eq__),
        (wanted.text, _beginning_with),
    ]
    return [condition(value) for value, condition in given if value is not None]


def _of_orders(number: str) -> ColumnElement[bool]:
    return _p.order_id.in_(select(_o.id).where(_o.number.like(prefix_pattern(number))))


def _beginning_with(text: str) -> ColumnElement[bool]:
    pattern = prefix_pattern(text.lower())
    people = select(_c.id).where(or_(func.lower(_c.email).like(pattern), func.lower(_c.name).like(pattern)))
    return or_(_p.id.like(prefix_pattern(text)), _p.customer_id.in_(people))
