"""Endpoints as people see them: where to, and whether it arrives (spec: customers.md §5). Never a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select, true

from db.engine import Database
from db.tables import deliveries, delivery_tries, endpoints, outbox
from domain.errors import ErrorCode, TeikiError

_e, _d, _t = endpoints.c, deliveries.c, delivery_tries.c


class Failure(BaseModel):
    """A try that did not arrive. `status`: of the answer; None: there was none, and `error` says why."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    status: int | None
    error: str


class EndpointItem(BaseModel):
    """One endpoint and how it fares. Instants are aware and in UTC.

    Attributes:
        topics: what it is told of; empty: everything.
        old_secret_until: until then the secret before signs too.
        failing_since: its first failure without a success after it; None: the last thing that came was a success.
        waiting: deliveries that wait for a try, and `held`: those behind an earlier one of their object.
        given_up: deliveries that never arrived; they can be sent again.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    topics: tuple[str, ...]
    state: str
    created_at: datetime
    old_secret_until: datetime | None
    last_success_at: datetime | None
    failing_since: datetime | None
    last_failure: Failure | None
    waiting: int
    held: int
    given_up: int


async def list_endpoints(db: Database, *, with_removed: bool = False) -> list[EndpointItem]:
    """All, the oldest first."""
    query = _items().order_by(_e.created_at, _e.id)
    if not with_removed:
        query = query.where(_e.state != "removed")
    async with db.reading() as connection:
        return [_item(row) for row in (await connection.execute(query)).all()]


async def get_endpoint(db: Database, endpoint_id: str) -> EndpointItem:
    """One of them, also a removed one.

    Raises:
        TeikiError: `endpoint_not_found`.
    """
    async with db.reading() as connection:
        row = (await connection.execute(_items().where(_e.id == endpoint_id))).one_or_none()
    if row is None:
        raise TeikiError(ErrorCode.ENDPOINT_NOT_FOUND, "There is no such endpoint.", endpoint_id=endpoint_id)
    return _item(row)


async def unheard_for_s(db: Database) -> float:
    """Seconds since the oldest event happened that was not passed on to the endpoints yet; 0 when all were."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(outbox.c.created_at))
    query = select(age.label("age")).where(outbox.c.delivered_at.is_(None))
    async with db.reading() as connection:
        return float((await connection.execute(query)).scalar_one() or 0)


def _items() -> Select[Any]:
    def how_many(state: str) -> ColumnElement[int]:
        return func.count().filter(_d.state == state)

    counted = (
        select(
            how_many("waiting").label("waiting"),
            how_many("held").label("held"),
            how_many("given_up").label("given_up"),
        )
        .where(_d.endpoint_id == _e.id, _d.state.in_(("waiting", "held", "given_up")))
        .lateral("counted")
    )
    succeeded = (
        select(func.max(_d.finished_at).label("last_success_at"))
        .where(_d.endpoint_id == _e.id, _d.state == "delivered")
        .lateral("succeeded")
    )
    failed = (
        select(_t.at, _t.status, _t.error)
        .where(_t.endpoint_id == _e.id, or_(_t.error != "", _t.status < 200, _t.status >= 300))
        .order_by(_t.at.desc())
        .limit(1)
        .lateral("failed")
    )
    shown = (_e.id, _e.url, _e.topics, _e.state, _e.created_at, _e.failing_since)
    old_until = case((_e.old_secret_until > func.clock_timestamp(), _e.old_secret_until))
    return select(
        *shown,
        old_until.label("old_secret_until"),
        counted.c.waiting,
        counted.c.held,
        counted.c.given_up,
        succeeded.c.last_success_at,
        failed.c.at.label("failed_at"),
        failed.c.status.label("failed_status"),
        failed.c.error.label("failed_error"),
    ).select_from(endpoints.join(counted, true()).join(succeeded, true()).join(failed, true(), isouter=True))


def _item(row: Row[Any]) -> EndpointItem:
    found = dict(row._mapping)
    at, status, error = (found.pop(f"failed_{name}") for name in ("at", "status", "error"))
    failure = None if at is None else Failure(at=at, status=status, error=error)
    return EndpointItem.model_validate({**found, "last_failure": failure})
