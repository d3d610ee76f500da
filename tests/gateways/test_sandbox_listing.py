"""The whole list and the request log, page by page: nothing is missed, nothing comes twice, the order stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.money import Money
from gateways.port import Declined
from gateways.sandbox.book import Book
from gateways.sandbox.outcomes import Plan
from gateways.sandbox.schema import open_database, transaction

YEN_1000 = Money(minor=1000, currency="JPY")


class Clock:
    """Microseconds that pass when told, also backwards."""

    def __init__(self, us=1_000_000):
        self.us = us

    def __call__(self):
        return self.us


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("charge"), st.sampled_from([0, 0, 1, 3, 10])),
            st.tuples(st.just("pass"), st.integers(-2, 4)),
            st.tuples(st.just("page"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_a_pager_meets_every_record_once_however_they_lag_and_wherever_it_pauses(steps):
    with closing(open_database(":memory:")) as db:
        seen, made = _follow(db, Clock(), steps)
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))


def _follow(db: sqlite3.Connection, clock: Clock, steps: list) -> tuple[list, list]:
    book, place, seen, made = Book(db, clock=clock), (0, -1), [], []

    def page():
        nonlocal place
        items, following = book.page(after_us=place[0], after_seq=place[1], size=1)
        seen.extend(item["id"] for item in items)
        place = following or place
        return items if following is None else page()

    for what, number in [*steps, ("pass", 1_000)]:  # further than all of them together went back
        if what == "charge":
            with transaction(db):
                record = book.charge(
                    token="tok_ok",
                    amount=YEN_1000,
                    reference=f"sub_x/{len(made)}/1",
                    attempt_key=str(len(made)),
                    plan=Plan(),
                    lag_seconds=number / 1_000_000,
                )
            made.append(record["id"])
        elif what == "pass":
            clock.us += number
        else:
            # A pager that stops on a full page goes on from its cursor; one at the end asks for the same page again.
            items, following = book.page(after_us=place[0], after_seq=place[1], size=1)
            if following is not None:
                seen.extend(item["id"] for item in items)
                place = following
    page()
    return seen, made


async def test_the_list_shows_a_lagging_charge_at_its_end_when_the_lag_is_over(gateway, remote):
    since = datetime.now(UTC) - timedelta(milliseconds=1)
    references = [f"sub_{uuid4().hex}/{number}/1" for number in range(3)]
    await remote.faults({"fault": "lookup_lag:0.2", "reference_prefix": references[0]})
    for reference in references:
        await gateway.charge(
            token="tok_ok", amount=YEN_1000, reference=reference, idempotency_key=uuid4().hex
        )

    async def listed():
        page = await gateway.list(since=since)
        return [item.reference for item in page.items if item.reference in references]

    assert await listed() == references[1:]
    await remote.faults({"fault": "slow:0.25", "route": "list", "times": 1})
    assert await listed() == [*references[1:], references[0]]


async def test_an_auditor_reads_every_request_page_by_page(gateway, remote):
    reference, key = f"sub_{uuid4().hex}/1/1", uuid4().hex
    before = len(await remote.all_requests())
    await remote.faults({"fault": "error_before", "times": 1})
    sent = {"token": "tok_lost", "amount": YEN_1000, "reference": reference, "idempotency_key": key}
    await gateway.charge(**sent)
    assert isinstance(await gateway.charge(**sent), Declined)
    await gateway.charge(**(sent | {"amount": Money(minor=2, currency="JPY")}))
    rows = (await remote.all_requests())[before:]
    assert [(row["route"], row["reference"], row["idempotency_key"], row["outcome"]) for row in rows] == [
        ("charge", reference, key, "error_before"),
        ("charge", reference, key, "declined"),
        ("charge", reference, key, "idempotency_conflict"),
    ]
    assert all(datetime.fromisoformat(row["at"]).tzinfo is not None for row in rows)
    assert await remote.requests(reference) == rows
