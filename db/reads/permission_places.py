"""Where a page of permissions is looked for when a beginning is given: of its order's number, its id, its holder.

As with orders, a beginning that few share is looked up one by one, newest first of each; one that thousands share is
met by walking. Permissions keep the day of their order, so what begins with a day is a bundle of days.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, func, select, true, union
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import bindparam

from db.order_tables import NUMBER_DAY_CHARACTERS, orders, permissions
from db.reads import order_streams as streams

FEW: Final = 1_000
"""Orders, permissions or customers that are looked up one by one."""
_p, _o = permissions.c, orders.c
_LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True)
class Place:
    """Permissions whose `column` is one of these."""

    column: ColumnElement[Any]
    keys: Sequence[str]


@asynccontextmanager
async def looked_up(connection: AsyncConnection) -> AsyncIterator[None]:
    """Meanwhile no more is read than is looked for, though many with a common beginning be at a table's end."""
    await connection.execute(sql(streams.settings("off")))
    yield
    await connection.execute(sql(streams.settings("on")))


async def of_number(connection: AsyncConnection, number: str, few: int) -> Place:
    """By their orders, or, of many, by the days on which those were placed."""
    if len(number) > NUMBER_DAY_CHARACTERS:
        ids = await _few(connection, _beginning(select(_o.id), _o.number, number), few)
        if ids is not None:
            return Place(_p.order_id, ids)
    return Place(_p.order_day, await _days(connection, number[:NUMBER_DAY_CHARACTERS]))


async def of_text(connection: AsyncConnection, text: str, few: int) -> Sequence[Place] | None:
    """By their ids, and by their holders. None: too many share the beginning."""
    ids = await _few(connection, _beginning(select(_p.id), _p.id, text), few)
    if ids is None:
        return None
    lowered = text.lower()
    parameters = {"people": lowered, "people_end": lowered + _LAST_CHARACTER, "most": few + 1}
    people = (await connection.execute(sql(streams.PEOPLE), parameters)).scalars().all()
    return None if len(people) > few else [Place(_p.id, ids), Place(_p.customer_id, sorted(set(people)))]


def found(places: Sequence[Place], others: Sequence[ColumnElement[bool]], size: int) -> Select[Any]:
    """The newest of each key, and of those the newest."""
    newest = (_p.created_at.desc(), _p.id.desc())
    each = []
    for place in places:
        keys = (
            func.unnest(bindparam(None, list(place.keys), ARRAY(Text))).table_valued("key").render_derived()
        )
        # Bounded again outside, so that the planner knows how few they are.
        of_key = select(_p.id, _p.created_at).where(place.column == keys.c.key, *others)
        mine = of_key.order_by(*newest).limit(size).correlate(keys).lateral()
        bundle = select(mine.c.id).select_from(keys.join(mine, true()))
        each.append(bundle.order_by(mine.c.created_at.desc(), mine.c.id.desc()).limit(size).subquery())
    ids = union(*(select(one.c.id) for one in each)).subquery()
    return select(permissions).where(_p.id.in_(select(ids.c.id))).order_by(*newest).limit(size)


def _beginning(query: Select[Any], column: ColumnElement[str], text: str) -> Select[Any]:
    return query.where(column >= text, column < text + _LAST_CHARACTER)


async def _few(connection: AsyncConnection, query: Select[Any], few: int) -> Sequence[str] | None:
    found = (await connection.execute(query.limit(few + 1))).scalars().all()
    return found if len(found) <= few else None


async def _days(connection: AsyncConnection, beginning: str) -> Sequence[str]:
    """The days that begin so and brought a permission: leaped from one to the next."""
    within = _beginning(select(_p.order_day), _p.order_day, beginning).order_by(_p.order_day).limit(1)
    days = within.cte("days", recursive=True)
    following = within.where(_p.order_day > days.c.order_day).correlate(days).lateral()
    every = days.union_all(select(following.c.order_day).select_from(days.join(following, true())))
    return (await connection.execute(select(every.c.order_day))).scalars().all()
