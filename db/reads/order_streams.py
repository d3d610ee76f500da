"""The statements that read orders in streams; how they are put together is told in `order_paths`.

All of it is constant text of ours: values come as parameters, and only the conditions that a search has are there.
Beginnings are ranges and not LIKE: so a prepared plan knows its index whatever the value will be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from db.order_tables import FACETS


def _list(columns: Iterable[str], of: str) -> str:
    return ", ".join(f"{of}.{column}" for column in columns)


_O, _W, _N = _list(FACETS, "o"), _list(FACETS, "w"), _list(FACETS, "n")
_NEWEST_FIRST: Final = "ORDER BY o.created_at DESC, o.id DESC"
_PAGE: Final = f"{_NEWEST_FIRST} LIMIT :size"
_KEPT: Final = "o.created_at, o.id, o.number, o.product_name_lowered, o.customer_id"
_SAME: Final = " AND ".join(f"o.{column} = k.{column}" for column in FACETS)

WORDS: Final = f"""
WITH RECURSIVE words AS (
    (SELECT {_O} FROM orders o ORDER BY {_O} LIMIT 1)
    UNION ALL
    SELECT {_N} FROM words w CROSS JOIN LATERAL (
        SELECT {_O} FROM orders o WHERE ({_O}) > ({_W}) ORDER BY {_O} LIMIT 1) n
)
SELECT k.* FROM words k {{of_product}} WHERE {{wanted}}
"""
"""Which words occur together: one step down the index for each combination, however many orders it has."""
OF_THE_PRODUCT: Final = (
    f"CROSS JOIN LATERAL (SELECT 1 FROM orders o WHERE o.product_id = :product AND {_SAME} LIMIT 1) e"
)
"""Only those of one product."""
NAMED: Final = """
WITH RECURSIVE named AS (
    (SELECT o.product_name_lowered AS name, o.product_id FROM orders o
     WHERE o.product_name_lowered >= :names AND o.product_name_lowered < :names_end
     ORDER BY o.product_name_lowered, o.product_id LIMIT 1)
    UNION ALL
    SELECT n.name, n.product_id FROM named w CROSS JOIN LATERAL (
        SELECT o.product_name_lowered AS name, o.product_id FROM orders o
        WHERE (o.product_name_lowered, o.product_id) > (w.name, w.product_id) AND o.product_name_lowered < :names_end
        ORDER BY o.product_name_lowered, o.product_id LIMIT 1) n
)
SELECT name, product_id FROM named LIMIT :most
"""
"""Under which names which products were ordered, in the same way."""
_PEOPLE: Final = """
SELECT id FROM (
    SELECT c.id FROM customers c WHERE lower(c.email) ~>=~ :people AND lower(c.email) ~<~ :people_end
    UNION ALL
    SELECT c.id FROM customers c WHERE lower(c.name) ~>=~ :people AND lower(c.name) ~<~ :people_end
) c LIMIT """
PEOPLE: Final = f"{_PEOPLE} :most"
"""Some twice. Read no further than `most`, however many share the beginning."""
CUSTOMERS: Final = "SELECT reltuples FROM pg_class WHERE oid = 'customers'::regclass"
"""How many there are, as the last ANALYZE saw it."""
SAME_PEOPLE: Final = """
SELECT c.id FROM customers c WHERE c.id = ANY(:customers)
AND (starts_with(lower(c.email), :people) OR starts_with(lower(c.name), :people))
"""
NUMBERS: Final = """
SELECT count(*) FROM (
    SELECT FROM orders o WHERE o.number >= :number AND o.number < :number_end LIMIT :most) n
"""

# What is checked row by row. `|| ''` keeps the planner from looking numbers up where it should go along the streams.
NUMBER: Final = "starts_with(o.number || '', :number)"
NAME: Final = "starts_with(o.product_name_lowered || '', :names)"
KNOWN: Final = f"WITH known AS MATERIALIZED ({_PEOPLE} :known_max + 1) "
"""Before a statement with `PERSON`."""
# Customers read at once cost a tenth of customers looked up order by order; so many that they are not all known are
# met soon.
PERSON: Final = (
    "CASE WHEN (SELECT count(*) > :known_max FROM known) THEN"
    " (SELECT starts_with(lower(c.email), :people) OR starts_with(lower(c.name), :people)"
    " FROM customers c WHERE c.id = o.customer_id)"
    " ELSE o.customer_id IN (SELECT id FROM known) END"
)


def _of(streams: str, same: str) -> str:
    """The newest of each stream, and of those the newest."""
    return (
        f"SELECT o.created_at, o.id FROM {streams} CROSS JOIN LATERAL ("
        f"SELECT o.created_at, o.id FROM orders o WHERE {same} AND {{others}} {_PAGE}) o {_PAGE}"
    )


_WORDS: Final = "unnest({}) k ({})".format(
    ", ".join(f"CAST(:{name}_k AS {'boolean' if name == 'has_notes' else 'text'}[])" for name in FACETS),
    ", ".join(FACETS),
)
STREAMS: Final = _of(_WORDS, _SAME)
STREAMS_OF_PRODUCTS: Final = _of(
    f"unnest(CAST(:products AS text[])) p (id) CROSS JOIN {_WORDS}", f"o.product_id = p.id AND {_SAME}"
)
STREAMS_OF_NAMES: Final = _of(
    "unnest(CAST(:name_k AS text[]), CAST(:product_id_k AS text[])) k (name, product_id)",
    "o.product_name_lowered = k.name AND o.product_id = k.product_id",
)
OF_CUSTOMERS: Final = _of("unnest(CAST(:customers AS text[])) k (id)", "o.customer_id = k.id")
# Materialized: found by the number's own index, whatever the planner believes of the rest.
OF_NUMBERS: Final = (
    "WITH numbered AS MATERIALIZED (SELECT o.created_at, o.id FROM orders o"
    " WHERE o.number >= :number AND o.number < :number_end AND {others})"
    f" SELECT o.created_at, o.id FROM numbered o {_PAGE}"
)
NEWEST: Final = f"SELECT o.created_at, o.id FROM orders o WHERE {{others}} {_PAGE}"


def settings(state: str) -> str:
    """`off` before a page is looked for, so that streams are read in their order and only as far as needed."""
    names = ("enable_seqscan", "enable_bitmapscan", "enable_sort")
    return "SELECT " + ", ".join(f"set_config('{name}', '{state}', true)" for name in names)


def merged(streams: int, within: str, texts: str, *, of_product: bool) -> str:
    """So many streams, each by its own parameters (`status_0`, …), merged as they are read.

    Args:
        streams: how many.
        within: the condition on instants.
        texts: what is compared row by row. After the merge (`OFFSET 0` keeps it there): in each stream it would be
            compared until the first one fits, however rare.
        of_product: whether it is one product's.
    """
    product = " AND o.product_id = :product" if of_product else ""
    branches = (
        f"(SELECT {_KEPT} FROM orders o WHERE "
        + " AND ".join(f"o.{name} = :{name}_{index}" for name in FACETS)
        + f"{product} AND {within} {_NEWEST_FIRST})"
        for index in range(streams)
    )
    every = f"SELECT * FROM ({' UNION ALL '.join(branches)}) o {_NEWEST_FIRST} OFFSET 0"
    return f"SELECT o.created_at, o.id FROM ({every}) o WHERE {texts} {_PAGE}"
