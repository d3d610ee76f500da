"""The shared row of a gateway's circuit, by the database's clock."""

from __future__ import annotations

import asyncio

import pytest

from db.circuits import CircuitRows
from db.reads.circuits import gateway_circuit
from gateways.circuit import CircuitBook


@pytest.fixture
def rows(db, request) -> CircuitRows:
    return CircuitRows(db, f"gateway-{request.node.name}")


async def item(rows):
    return await gateway_circuit(rows.db, rows.gateway)


def opened(hint="no connection", failures=10, open_for_s=15.0, seen=None):
    return {
        "state": "open",
        "failures": failures,
        "open_for_s": open_for_s,
        "hint": hint,
        "seen": seen,
    }


CLOSED = {"state": "closed", "failures": 0, "open_for_s": 0.0, "hint": "", "seen": None}


async def test_it_is_the_book_that_circuits_ask_for(rows):
    book: CircuitBook = rows
    assert await book.load() is None
    never = await item(rows)
    assert (never.state, never.since, never.next_probe_in_s) == ("closed", None, None)


async def test_an_outage_keeps_its_beginning_through_failed_probes_and_its_last_hint_after_the_end(rows):
    first = await rows.store(**opened())
    seen = await rows.load()
    assert (seen.state, seen.failures, seen.updated_at) == ("open", 10, first)
    assert 10 < seen.retry_in_s <= 15
    begun = (await item(rows)).since
    assert begun == first
    half = await rows.store(state="half_open", failures=10, open_for_s=0.0, hint="", seen=first)
    assert (await item(rows)).next_probe_in_s == 0
    await rows.store(**opened("timeout", failures=11, open_for_s=30.0, seen=half))
    again = await item(rows)
    assert (again.state, again.failures, again.since, again.last_hint) == ("open", 11, begun, "timeout")
    assert 20 < again.next_probe_in_s <= 30
    ended = await rows.store(**CLOSED)
    over = await item(rows)
    assert (over.state, over.failures, over.since, over.last_hint) == ("closed", 0, ended, "timeout")
    assert over.next_probe_in_s is None
    assert await rows.store(**opened()) == (await item(rows)).since > ended


async def test_of_several_who_saw_the_same_row_one_writes(rows):
    seen = await rows.store(**opened())
    written = await asyncio.gather(*(rows.store(**opened(failures=11, seen=seen)) for _ in range(5)))
    assert sorted(stamp is None for stamp in written) == [False, True, True, True, True]
    assert (await rows.load()).failures == 11
