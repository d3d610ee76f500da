"""How a page of orders is found quickly among millions, however rare the combination of filters.

The list is sorted by time, the filters are not, and no planner can know that canceled tickets are rare: left alone it
walks back through years. So the way is chosen here. Each index is a bundle of *streams*: orders with the same words
(status, payment status, type, method, notes), newest first. Which words occur together is read off the index by leaping
from one to the next; a page is the newest of the streams that fit. A customer's orders are one stream. What is searched
as text is looked for in three places, each for itself: numbers, products' names, customers.

Only few things are left to be checked row by row, and then in streams where they are frequent: a beginning that
thousands of customers share. `db.reads.orders.conditions` says what the filters mean; this says the same, faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import CursorResult, Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.order_tables import FACETS
from db.reads import order_streams as streams
from db.reads.order_numbers import days_of, tells_a_day, tells_only_a_day

PEOPLE_MAX: Final = 2_500
"""Customers whose streams are looked through one by one; more share so common a beginning that a walk meets them."""
NAMES_MAX: Final = 500
"""The same of products' names."""
STREAMS_MAX: Final = 4_000
"""Streams of several products that are looked through one by one."""
_LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True)
class Search:
    """What a page must fulfil, sorted by how it is looked for.

    Attributes:
        size: the most orders wanted.
        facets: words by column, each any of several.
        product: of this one.
        customers: of any of these. None: of all.
        older_than: the last page's end.
        number: the beginning of the number; `names`: of the product's name, `people`: of the customer's e-mail or
            name, both in lower case; `any_text`: of any of the three, as it was typed.
    """

    size: int
    facets: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    product: str | None = None
    customers: Sequence[str] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    older_than: tuple[datetime, str] | None = None
    number: str | None = None
    names: str | None = None
    people: str | None = None
    any_text: str | None = None
    people_max: int = PEOPLE_MAX
    names_max: int = NAMES_MAX

    def within(self, first: datetime, last: datetime) -> Search:
        """Also created from `first` and before `last`."""
        return replace(
            self,
            created_from=max(filter(None, (self.created_from, first))),
            created_to=min(filter(None, (self.created_to, last))),
        )

    def parameters(self) -> dict[str, Any]:
        at, order_id = self.older_than or (None, None)
        given = {
            **{f"any_{name}": list(words) for name, words in self.facets.items()},
            "size": self.size,
            "product": self.product,
            "products": None if self.product is None else [self.product],
            "customers": self.customers,
            "created_from": self.created_from,
            "created_to": self.created_to,
            "older_at": at,
            "older_id": order_id,
            "any_text": self.any_text,
            "any_lowered": None if self.any_text is None else self.any_text.lower(),
            **_beginnings(number=self.number, names=self.names, people=self.people),
        }
        return {name: value for name, value in given.items() if value is not None}


Found = Sequence[tuple[datetime, str]]
Words = Mapping[str, list[Any]]


def _beginnings(**given: str | None) -> dict[str, str]:
    """Each as a range: from itself to before whatever follows everything that begins with it."""
    known = {name: beginning for name, beginning in given.items() if beginning is not None}
    return known | {f"{name}_end": beginning + _LAST_CHARACTER for name, beginning in known.items()}


async def pick(connection: AsyncConnection, search: Search, beginning: str | None = None) -> Found:
    """Instant and id of the newest orders that fit, newest first.

    Args:
        connection: one snapshot, for all that is asked here.
        search: what must hold.
        beginning: of the number, of the product's name or of the customer's e-mail or name, whatever their case.
    """
    if beginning is None:
        return await _pick(connection, search)
    if search.customers is not None:
        return await _pick(connection, replace(search, any_text=beginning))
    found: set[tuple[datetime, str]] = set()
    for number in _numbers(search, beginning):
        found |= set(await _pick(connection, replace(search, number=number)))
    found |= set(await _of_names(connection, search, beginning.lower()))
    found |= set(await _of_people(connection, search, beginning.lower()))
    return sorted(found, reverse=True)[: search.size]


def _numbers(search: Search, beginning: str) -> list[str]:
    """How the number begins when it begins in both ways; nothing when it cannot."""
    other = search.number or ""
    longer, shorter = (beginning, other) if len(beginning) >= len(other) else (other, beginning)
    return [longer] if longer.startswith(shorter) else []


async def _of_names(connection: AsyncConnection, search: Search, beginning: str) -> Found:
    parameters = {**_beginnings(names=beginning), "most": search.names_max + 1}
    named: Sequence[Row[Any]] = (await connection.execute(text(streams.NAMED), parameters)).all()
    walk = replace(search, names=beginning)
    if len(named) > search.names_max:
        return await _pick(connection, walk)
    named = [row for row in named if search.product in (None, row.product_id)]
    if not named:
        return []
    if not search.facets:
        keys = {"name_k": [row.name for row in named], "product_id_k": [row.product_id for row in named]}
        return await _read(connection, search, streams.STREAMS_OF_NAMES, **keys)
    products = sorted({row.product_id for row in named})
    words = await _words(connection, search)
    if len(products) * len(words["status"]) > STREAMS_MAX:
        return await _pick(connection, walk)
    return await _read(connection, walk, streams.STREAMS_OF_PRODUCTS, **_words_k(words), products=products)


async def _of_people(connection: AsyncConnection, search: Search, beginning: str) -> Found:
    parameters = {**_beginnings(people=beginning), "most": search.people_max + 1}
    await connection.execute(text(streams.NO_SCAN))
    people = (await connection.execute(text(streams.PEOPLE), parameters)).scalars().all()
    common = len(people) > search.people_max
    return await _pick(
        connection, replace(search, people=beginning) if common else replace(search, customers=people)
    )


async def _pick(connection: AsyncConnection, search: Search) -> Found:
    if search.number is not None and tells_a_day(search.number):
        days = days_of(search.number)
        if days is None:
            return []
        search = search.within(*days)
    if search.customers is not None:
        return await _read(connection, search, streams.OF_CUSTOMERS, *_columns(search))
    if search.number is not None and not tells_only_a_day(search.number):
        return await _read(connection, search, streams.OF_NUMBERS, *_columns(search))
    if search.product is None and not search.facets:
        query = text(streams.NEWEST.format(others=" AND ".join(_checks(search)) or "TRUE"))
        return await _along(connection, query, search.parameters())
    words = await _words(connection, search)
    if search.people is not None or search.names is not None:
        return await _walk(connection, search, words)
    of_streams = streams.STREAMS if search.product is None else streams.STREAMS_OF_PRODUCTS
    return await _read(connection, search, of_streams, **_words_k(words))


async def _words(connection: AsyncConnection, search: Search) -> Words:
    """The words that name the streams which fit."""
    wanted = " AND ".join(_facets(search, "k")) or "TRUE"
    of_product = "" if search.product is None else streams.OF_THE_PRODUCT
    query = text(streams.WORDS.format(wanted=wanted, of_product=of_product))
    found = (await connection.execute(query, search.parameters())).mappings().all()
    return {name: [row[name] for row in found] for name in FACETS}


async def _walk(connection: AsyncConnection, search: Search, words: Words) -> Found:
    """The streams merged as they are read: what is checked row by row is checked no more often than the page needs."""
    count = len(words["status"])
    if not count:
        return []
    parameters = search.parameters()
    for name, listed in words.items():
        parameters |= {f"{name}_{index}": word for index, word in enumerate(listed)}
    of_product = search.product is not None
    query = text(streams.merged(count, " AND ".join(_checks(search)) or "TRUE", of_product=of_product))
    return await _along(connection, query, parameters)


async def _along(connection: AsyncConnection, query: TextClause, parameters: Mapping[str, Any]) -> Found:
    """Read in the order of the index and no further than needed, whatever the planner believes."""
    await connection.execute(text(streams.settings("off")))
    found = _found(await connection.execute(query, parameters))
    await connection.execute(text(streams.settings("on")))
    return found


async def _read(
    connection: AsyncConnection, search: Search, statement: str, *others: str, **more: Any
) -> Found:
    """A page of a statement; `others`: conditions beside what is checked row by row."""
    checks = " AND ".join([*_checks(search), *others]) or "TRUE"
    return _found(await connection.execute(text(statement.format(others=checks)), search.parameters() | more))


def _found(rows: CursorResult[Any]) -> Found:
    return [(row.created_at, row.id) for row in rows]


def _words_k(words: Words) -> dict[str, Any]:
    return {f"{name}_k": listed for name, listed in words.items()}


def _columns(search: Search) -> list[str]:
    """Facets and product as conditions, where no stream fulfils them."""
    return [*_facets(search, "o"), *(["o.product_id = :product"] if search.product is not None else [])]


def _facets(search: Search, of: str) -> list[str]:
    return [f"{of}.{name} = ANY(:any_{name})" for name in search.facets]


_CHECKS: Final = {
    "created_from": "o.created_at >= :created_from",
    "created_to": "o.created_at < :created_to",
    "older_than": "(o.created_at, o.id) < (:older_at, :older_id)",
    "number": streams.NUMBER,
    "names": streams.NAME,
    "people": streams.PERSON,
    "any_text": streams.ANY_TEXT,
}


def _checks(search: Search) -> list[str]:
    return [condition for name, condition in _CHECKS.items() if getattr(search, name) is not None]
