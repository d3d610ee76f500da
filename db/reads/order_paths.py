"""How a page of orders is found quickly among millions, however rare the combination of filters.

The list is sorted by time, the filters are not, and no planner can know that canceled tickets are rare: left alone it
walks back through years. So the way is chosen here. Each index is a bundle of *streams*: orders with the same words
(status, payment status, type, method, notes), newest first. Which words occur together is read off the index by leaping
from one to the next; a page is the newest of the streams that fit. A customer's orders are one stream. What is searched
as text is looked for in three places, each for itself: numbers, products' names, customers.

Only few things are left to be checked row by row, and then where they are frequent: a beginning that thousands of
customers share. `db.reads.orders.conditions` says what the filters mean; this says the same, faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isqrt
from typing import Any, Final

from sqlalchemy import CursorResult, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.order_tables import FACETS
from db.reads import order_streams as streams
from db.reads.order_numbers import days_of, tells_only_a_day

PEOPLE_MAX: Final = 5_000
"""Customers whose streams are looked through one by one; more share so common a beginning that a walk meets them."""
WALK: Final = 20
"""The same, in another way: with the square root of so many times all customers, both ways are as long."""
KNOWN_MAX: Final = 10_000
"""Customers whose ids a walk keeps, to compare with; of more it looks each up."""
NAMES_MAX: Final = 500
"""Names of products that are looked through one by one."""
STREAMS_MAX: Final = 1_000
"""Streams of several products that are looked through one by one."""
NUMBERS_MAX: Final = 1_000
"""Orders of one day that are looked up by their numbers."""
_LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True)
class Limits:
    """Beyond them streams are walked along instead."""

    people: int = PEOPLE_MAX
    known: int = KNOWN_MAX
    names: int = NAMES_MAX
    streams: int = STREAMS_MAX
    numbers: int = NUMBERS_MAX


@dataclass(frozen=True)
class Search:
    """What a page must fulfil, sorted by how it is looked for.

    Attributes:
        size: the most orders wanted.
        facets: words by column, each any of several.
        product: of this one.
        customers: of any of these. None: of all.
        older_than: the last page's end.
        number: the beginning of the number.
        names: the beginning of the product's name, or `people`: of the customer's e-mail or name; either is enough.
            Both in lower case.
        limits: how many are looked through one by one; tests make them small.
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
    limits: Limits = field(default_factory=Limits)

    def within(self, first: datetime, last: datetime) -> Search:
        """Also created from `first` and before `last`."""
        return replace(
            self,
            created_from=max(filter(None, (self.created_from, first))),
            created_to=min(filter(None, (self.created_to, last))),
        )

    def with_one_end(self) -> Search:
        """An index is read from one end only, and would begin at the later of two."""
        if self.created_to is None or self.older_than is None:
            return self
        if self.older_than[0] < self.created_to:
            return replace(self, created_to=None)
        return replace(self, older_than=None)

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
            "known_max": self.limits.known,
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
    await connection.execute(text(streams.settings("off")))
    way = _Way(connection)
    found = await (way.pick(search) if beginning is None else way.beginning_with(search, beginning))
    await connection.execute(text(streams.settings("on")))
    return found


class _Way:
    """To one page, in its snapshot. Which words occur together is read once: they are the same for every place."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._known_words: Words | None = None

    async def beginning_with(self, search: Search, beginning: str) -> Found:
        lowered = beginning.lower()
        number = _number(search, beginning)
        found = [] if number is None else await self.pick(replace(search, number=number))
        if search.customers is not None:
            return _newest(search, found, await self._of_these(search, lowered))
        people = await self._of_people(search, lowered)
        if people is None:
            return _newest(search, found, await self.pick(replace(search, names=lowered, people=lowered)))
        names = await self._of_names(search, lowered)
        if names is None:
            names = await self.pick(replace(search, names=lowered))
        return _newest(search, found, names, people)

    async def pick(self, search: Search) -> Found:
        if search.number is not None:
            days = days_of(search.number)
            if days is None:
                return []
            only_a_day = tells_only_a_day(search.number)
            search = replace(search.within(*days), number=None if only_a_day else search.number)
        search = search.with_one_end()
        if search.customers is not None:
            return await self._read(search, streams.OF_CUSTOMERS, *_columns(search))
        if search.number is not None and await self._has_few_numbers(search):
            return await self._read(search, streams.OF_NUMBERS, *_columns(search))
        if search.product is None and not search.facets:
            return await self._read(search, _known(search) + streams.NEWEST)
        if search.number is not None or search.names is not None or search.people is not None:
            return await self._walk(search)
        of_streams = streams.STREAMS if search.product is None else streams.STREAMS_OF_PRODUCTS
        return await self._read(search, of_streams, **_words_k(await self._words(search)))

    async def _has_few_numbers(self, search: Search) -> bool:
        most = search.limits.numbers
        found = await self._connection.execute(
            text(streams.NUMBERS), search.parameters() | {"most": most + 1}
        )
        return int(found.scalar_one()) <= most

    async def _of_these(self, search: Search, beginning: str) -> Found:
        """Of the search's customers: all of those who are called so, and of all what is called so."""
        parameters = {"customers": search.customers, "people": beginning}
        called = (await self._connection.execute(text(streams.SAME_PEOPLE), parameters)).scalars().all()
        of_people = await self.pick(replace(search, customers=called)) if called else []
        return [*of_people, *await self.pick(replace(search, names=beginning))]

    async def _of_names(self, search: Search, beginning: str) -> Found | None:
        """None: too many products are called so."""
        limits = search.limits
        parameters = {**_beginnings(names=beginning), "most": limits.names + 1}
        named: Sequence[Row[Any]] = (await self._connection.execute(text(streams.NAMED), parameters)).all()
        if len(named) > limits.names:
            return None
        named = [row for row in named if search.product in (None, row.product_id)]
        if not named:
            return []
        if not search.facets:
            keys = {"name_k": [row.name for row in named], "product_id_k": [row.product_id for row in named]}
            return await self._read(search, streams.STREAMS_OF_NAMES, **keys)
        products = sorted({row.product_id for row in named})
        words = await self._words(search)
        if len(products) * len(words["status"]) > limits.streams:
            return None
        of_names = replace(search, names=beginning)
        return await self._read(of_names, streams.STREAMS_OF_PRODUCTS, **_words_k(words), products=products)

    async def _of_people(self, search: Search, beginning: str) -> Found | None:
        """None: too many customers are called so."""
        customers = (await self._connection.execute(text(streams.CUSTOMERS))).scalar_one()
        most = min(search.limits.people, isqrt(WALK * max(int(customers), 0)))
        parameters = {**_beginnings(people=beginning), "most": most + 1}
        people = (await self._connection.execute(text(streams.PEOPLE), parameters)).scalars().all()
        if len(people) > most:
            return None
        return await self.pick(replace(search, customers=sorted(set(people)))) if people else []

    async def _words(self, search: Search) -> Words:
        """The words that name the streams which fit."""
        if self._known_words is None:
            wanted = " AND ".join(_facets(search, "k")) or "TRUE"
            of_product = "" if search.product is None else streams.OF_THE_PRODUCT
            query = text(streams.WORDS.format(wanted=wanted, of_product=of_product))
            found = (await self._connection.execute(query, search.parameters())).mappings().all()
            self._known_words = {name: [row[name] for row in found] for name in FACETS}
        return self._known_words

    async def _walk(self, search: Search) -> Found:
        """The streams merged as they are read: no further than needed."""
        words = await self._words(search)
        count = len(words["status"])
        if not count:
            return []
        parameters = search.parameters()
        for name, listed in words.items():
            parameters |= {f"{name}_{index}": word for index, word in enumerate(listed)}
        conditions = (_all(_range(search)), _all(_texts(search)))
        merged = _known(search) + streams.merged(count, *conditions, of_product=search.product is not None)
        return _found(await self._connection.execute(text(merged), parameters))

    async def _read(self, search: Search, statement: str, *others: str, **more: Any) -> Found:
        """A page of a statement; `others`: conditions beside what is checked row by row."""
        query = text(statement.format(others=_all([*_checks(search), *others])))
        return _found(await self._connection.execute(query, search.parameters() | more))


def _number(search: Search, beginning: str) -> str | None:
    """How the number begins when it begins in both ways; None when it cannot."""
    shorter, longer = sorted((beginning, search.number or ""), key=len)
    return longer if longer.startswith(shorter) else None


def _known(search: Search) -> str:
    return "" if search.people is None else streams.KNOWN


def _newest(search: Search, *places: Found) -> Found:
    return sorted(set().union(*places), reverse=True)[: search.size]


def _found(rows: CursorResult[Any]) -> Found:
    return [(row.created_at, row.id) for row in rows]


def _words_k(words: Words) -> dict[str, Any]:
    return {f"{name}_k": listed for name, listed in words.items()}


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "TRUE"


def _columns(search: Search) -> list[str]:
    """Facets and product as conditions, where no stream fulfils them."""
    return [*_facets(search, "o"), *(["o.product_id = :product"] if search.product is not None else [])]


def _facets(search: Search, of: str) -> list[str]:
    return [f"{of}.{name} = ANY(:any_{name})" for name in search.facets]


_RANGE: Final = {
    "created_from": "o.created_at >= :created_from",
    "created_to": "o.created_at < :created_to",
    "older_than": "(o.created_at, o.id) < (:older_at, :older_id)",
}


def _range(search: Search) -> list[str]:
    return [condition for name, condition in _RANGE.items() if getattr(search, name) is not None]


def _texts(search: Search) -> list[str]:
    number = [streams.NUMBER] if search.number is not None else []
    called = {"names": streams.NAME, "people": streams.PERSON}
    either = [condition for name, condition in called.items() if getattr(search, name) is not None]
    return [*number, *([f"({' OR '.join(either)})"] if either else [])]


def _checks(search: Search) -> list[str]:
    return [*_range(search), *_texts(search)]
