"""N subscriptions whose next payment is due at one instant: in the books, and started.

The first is entered by the product's own function; the others, each with a customer and a card of its own, are its
twins row by row, because ten thousand openings would take longer than the stampede. What they are afterwards checked
against is the gateway's book and ours.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from temporalio.client import WorkflowHandle

from bench.books import Books, fresh_id
from db.engine import Database
from domain.identifiers import charge_reference
from domain.subscription import State, Status, attempted
from domain.terms import agree
from gateways.port import PaymentGateway

_PERIOD: Final = timedelta(days=30)
"""`P30D`: thirty days ago is an anchor on every day of the year."""

_WAVE: Final = 500
_SEATED_EVENTS: Final = 5
"""Start, the first workflow task's three, and the timer."""

_TWINS: Final[LiteralString] = """
WITH twin AS (
    SELECT * FROM unnest(%(ids)s::text[], %(customers)s::text[], %(cards)s::text[], %(request_ids)s::text[])
        AS t (id, customer_id, card_id, request_id)
), origin AS (
    SELECT * FROM subscriptions WHERE id = %(first)s
), customer AS (
    INSERT INTO customers
    SELECT (jsonb_populate_record(c, jsonb_build_object('id', twin.customer_id))).*
    FROM twin, origin JOIN customers c ON c.id = origin.customer_id
), card AS (
    INSERT INTO payment_methods
    SELECT (jsonb_populate_record(m, jsonb_build_object('id', twin.card_id, 'customer_id', twin.customer_id))).*
    FROM twin, origin JOIN payment_methods m ON m.id = origin.payment_method_id
), subscription AS (
    INSERT INTO subscriptions
    SELECT (jsonb_populate_record(s, jsonb_build_object('id', twin.id, 'customer_id', twin.customer_id,
                                                        'payment_method_id', twin.card_id))).*
    FROM subscriptions s, twin WHERE s.id = %(first)s
), request AS (
    INSERT INTO requests
    SELECT (jsonb_populate_record(r, jsonb_build_object('subject_id', twin.id, 'request_id', twin.request_id))).*
    FROM requests r, twin WHERE r.subject_id = %(first)s
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, comment, number, data)
    SELECT twin.id, kind, at, actor, comment, number, CASE WHEN data ? 'request_id'
        THEN data || jsonb_build_object('request_id', twin.request_id) ELSE data END
    FROM twin, history h WHERE h.subject_id = %(first)s ORDER BY twin.id, h.seq
)
INSERT INTO outbox (topic, subject_id, payload)
SELECT topic, twin.id, payload || jsonb_build_object('subscription_id', twin.id)
FROM twin, outbox o WHERE o.subject_id = %(first)s ORDER BY twin.id, o.id
"""

_OVERDUE: Final[LiteralString] = "SELECT count(*) AS n FROM subscriptions WHERE next_at <= %(due_at)s"


async def enter(db: Database, books: Books, count: int, due_at: datetime) -> list[State]:
    """So many current subscriptions, each paid once, whose second payment is due at `due_at` (a whole second)."""
    spec = books.spec(period=f"P{_PERIOD.days}D")
    terms = agree(spec, now=due_at - _PERIOD)
    first = State(
        id=fresh_id("sub"),
        customer_id=spec.customer_id,
        product_id=spec.product_id,
        terms=terms,
        status=Status.CURRENT,
        reason="first_payment_succeeded",
        next_cycle=1,
        amount_minor=terms.amount_minor,
    )
    assert first.next_cycle_due() == due_at
    await books.enter(first, spec, at=due_at - _PERIOD)
    twins = [
        first.model_copy(update={"id": fresh_id("sub"), "customer_id": fresh_id("cus")})
        for _ in range(count - 1)
    ]
    for start in range(0, len(twins), 1000):
        batch = twins[start : start + 1000]
        async with db.transaction() as cursor:
            await cursor.execute(
                _TWINS,
                {
                    "first": first.id,
                    "ids": [twin.id for twin in batch],
                    "customers": [twin.customer_id for twin in batch],
                    "cards": [fresh_id("pm") for _ in batch],
                    "request_ids": [fresh_id("req") for _ in batch],
                },
            )
    async with db.connection() as connection:
        await connection.execute("ANALYZE")  # as a database that lives longer than a minute has done
    return [first, *twins]


async def overdue(db: Database, due_at: datetime) -> int:
    """How many still have to do what was due."""
    row = await db.fetch_one(_OVERDUE, {"due_at": due_at})
    assert row is not None
    return int(row["n"])


async def start_all(
    starts: Sequence[Callable[[], Coroutine[Any, Any, WorkflowHandle[Any, Any]]]],
    *,
    at_once: int,
    tick: Callable[[], None],
) -> list[WorkflowHandle[Any, Any]]:
    """Run these starts, so many side by side, and wait until every workflow sits in front of its timer.

    They come in waves, each when the one before is seated: who starts is quicker than who seats, and would leave a
    line of thousands behind.
    """
    handles: list[WorkflowHandle[Any, Any]] = []
    for first in range(0, len(starts), _WAVE):
        wave = await _started(starts[first : first + _WAVE], at_once=at_once, tick=tick)
        for handle in wave[-10:] + random.sample(wave, min(10, len(wave))):
            while (await handle.describe()).history_length < _SEATED_EVENTS:  # noqa: ASYNC110 - the server wakes nobody
                await asyncio.sleep(0.05)
        handles += wave
    return handles


async def _started(
    starts: Sequence[Callable[[], Coroutine[Any, Any, WorkflowHandle[Any, Any]]]],
    *,
    at_once: int,
    tick: Callable[[], None],
) -> list[WorkflowHandle[Any, Any]]:
    waiting = list(reversed(starts))
    handles: list[WorkflowHandle[Any, Any]] = []

    async def starter() -> None:
        while waiting:
            handles.append(await waiting.pop()())
            tick()

    await asyncio.gather(*(starter() for _ in range(at_once)))
    return handles


async def charged_once(
    db: Database, gateway: PaymentGateway, states: Sequence[State], *, due_at: datetime, touched: set[str]
) -> bool:
    """Whether the gateway's book shows every due payment exactly once, and ours shows the same.

    A subscription that an operator suspended or canceled meanwhile (`touched`) may have been charged before that or
    not at all; never twice.
    """
    sold: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = await gateway.list(since=due_at - timedelta(hours=1), cursor=cursor)
        sold.update(
            item.reference for item in page.items if item.kind == "charge" and item.state == "settled"
        )
        cursor = page.next_cursor
        if cursor is None:
            break
    booked = set(sold)
    async with db.transaction() as rows:
        await rows.execute("SELECT reference FROM attempts WHERE state = 'settled'")
        ours = await rows.fetchall()
    for state in states:
        number = attempted(state.model_copy(deep=True), due_at).number
        times = sold.pop(charge_reference(state.id, number, 1), 0)
        if times != 1 and not (times == 0 and state.id in touched):
            return False
    return not sold and booked == {row["reference"] for row in ours}
