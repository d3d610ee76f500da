"""What endpoints were told, and what they answered: per object, per payment, per endpoint (spec: customers.md §5)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Integer, Row, Select, and_, cast, select, true, tuple_

from db.engine import Database
from db.reads.cursor import decode_cursor, encode_cursor, page_size
from db.tables import deliveries, delivery_tries, endpoints, outbox
from domain.errors import ErrorCode, TeikiError
from domain.notifications import body_of, notification_id

LIMIT_DEFAULT: Final = 50
_d, _t, _o = deliveries.c, delivery_tries.c, outbox.c

DeliveryState = Literal["waiting", "held", "delivered", "given_up", "dropped"]


class NotificationFilter(BaseModel):
    """Which deliveries; every condition given must hold.

    Attributes:
        object_id: of the subscription, order or incident that it is about.
        number: of the payment of that object.
        endpoint_id: where to.
        state: how it stands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object_id: str | None = None
    number: int | None = None
    endpoint_id: str | None = None
    state: DeliveryState | None = None


class NotificationItem(BaseModel):
    """One notification to one endpoint. Instants are aware and in UTC.

    Attributes:
        number: of the payment it is about, if it is about one.
        happened_at: when the event was written.
        next_at: of the next try, while it waits for one.
        status: of the last answer; None: there was none, and `error` says why.
    """

    model_config = ConfigDict(frozen=True)

    notification_id: str
    topic: str
    object_id: str
    number: int | None
    endpoint_id: str
    state: DeliveryState
    tries: int
    happened_at: datetime
    next_at: datetime | None
    finished_at: datetime | None
    status: int | None
    error: str | None


class NotificationPage(BaseModel):
    items: list[NotificationItem]
    next_cursor: str | None


class Try(BaseModel):
    """One sending: when, how long it took, and what came back (its first characters)."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: datetime
    took_ms: int
    status: int | None
    answer: str
    error: str


class DeliveryView(BaseModel):
    """How the notification fares at one endpoint. `tried_until`: it is given up when that has passed."""

    model_config = ConfigDict(frozen=True)

    endpoint_id: str
    url: str
    state: DeliveryState
    next_at: datetime | None
    tried_until: datetime
    finished_at: datetime | None
    tries: list[Try]


class NotificationView(BaseModel):
    """One notification. `body`: exactly what is sent; `deliveries`: none when no endpoint was to hear of it."""

    model_config = ConfigDict(frozen=True)

    notification_id: str
    topic: str
    object_id: str
    happened_at: datetime
    passed_on_at: datetime | None
    body: str
    deliveries: list[DeliveryView]


async def list_notifications(
    db: Database,
    wanted: NotificationFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> NotificationPage:
    """One page of deliveries, the latest event first.

    Raises:
        TeikiError: `invalid_cursor`, `invalid_input`.
    """
    wanted = wanted or NotificationFilter()
    query = _items().limit(page_size(limit) + 1).order_by(_d.event_id.desc(), _d.endpoint_id.desc())
    for column, value in (
        (_d.subject_id, wanted.object_id),
        (_number(), wanted.number),
        (_d.endpoint_id, wanted.endpoint_id),
        (_d.state, wanted.state),
    ):
        if value is not None:
            query = query.where(column == value)
    if cursor is not None:
        query = query.where(tuple_(_d.event_id, _d.endpoint_id) < tuple_(*_place(cursor)))
    async with db.reading() as connection:
        rows = (await connection.execute(query)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = last and encode_cursor(last.happened_at, f"{last.event_id}/{last.endpoint_id}")
    return NotificationPage(items=[_item(row) for row in rows[:limit]], next_cursor=following)


async def get_notification(db: Database, event_id: int) -> NotificationView:
    """One notification, and what became of it at every endpoint.

    Raises:
        TeikiError: `notification_not_found`.
    """
    of_endpoints = (
        select(*deliveries.columns, endpoints.c.url)
        .select_from(deliveries.join(endpoints, endpoints.c.id == _d.endpoint_id))
        .where(_d.event_id == event_id)
        .order_by(_d.endpoint_id)
    )
    of_tries = select(delivery_tries).where(_t.event_id == event_id, _t.endpoint_id.in_(_told(event_id)))
    async with db.reading() as connection:
        event = (await connection.execute(select(outbox).where(_o.id == event_id))).one_or_none()
        if event is None:
            raise TeikiError(
                ErrorCode.NOTIFICATION_NOT_FOUND,
                "There is no such notification.",
                notification_id=notification_id(event_id),
            )
        told = (await connection.execute(of_endpoints)).mappings().all()
        tried = (await connection.execute(of_tries.order_by(_t.number))).mappings().all()
    return NotificationView(
        notification_id=notification_id(event_id),
        topic=event.topic,
        object_id=event.subject_id,
        happened_at=event.created_at,
        passed_on_at=event.delivered_at,
        body=body_of(event.topic, event.created_at, event.payload),
        deliveries=[
            DeliveryView.model_validate(
                {**row, "tries": [dict(one) for one in tried if one["endpoint_id"] == row["endpoint_id"]]}
            )
            for row in told
        ],
    )


def _told(event_id: int) -> Select[Any]:
    return select(_d.endpoint_id).where(_d.event_id == event_id)


def _number() -> Any:
    return cast(_o.payload["number"].astext, Integer)


def _items() -> Select[Any]:
    last = (
        select(_t.status, _t.error)
        .where(and_(_t.endpoint_id == _d.endpoint_id, _t.event_id == _d.event_id))
        .order_by(_t.number.desc())
        .limit(1)
        .lateral("last")
    )
    return select(
        _d.event_id,
        _d.endpoint_id,
        _d.subject_id.label("object_id"),
        _d.state,
        _d.tries,
        _d.next_at,
        _d.finished_at,
        _o.topic,
        _o.payload["number"].label("number"),
        _o.created_at.label("happened_at"),
        last.c.status,
        last.c.error,
    ).select_from(deliveries.join(outbox, _o.id == _d.event_id).join(last, true(), isouter=True))


def _item(row: Row[Any]) -> NotificationItem:
    found = dict(row._mapping)
    return NotificationItem.model_validate(
        {**found, "notification_id": notification_id(found.pop("event_id"))}
    )


def _place(cursor: str) -> tuple[int, str]:
    _, place = decode_cursor(cursor)
    event_id, _, endpoint_id = place.partition("/")
    if not event_id.isdecimal():
        raise TeikiError(ErrorCode.INVALID_CURSOR, "This cursor was not made by a list.")
    return int(event_id), endpoint_id
