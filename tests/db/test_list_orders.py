"""The list of orders shows what a naive filter in Python would, each order once, whatever happens meanwhile."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from db.engine import Database
from db.reads.order_paths import Limits, pick
from db.reads.orders import OrderFilter, list_orders, matching, search_of
from domain.billing_calendar import parse_zone
from domain.errors import ErrorCode, TeikiError
from domain.order_terms import JAPAN
from tests.db.order_crowd import (
    NAMES,
    PAYMENT_STATUSES,
    PAYS,
    PRODUCTS,
    START,
    STATUSES,
    TYPES,
    Bought,
    pour,
    pour_orders,
)

DAYS = 40


@pytest.fixture(scope="module")
async def crowd(db: Database) -> list[Bought]:
    return await pour(db, 300, people=30, days=DAYS)


def fits(b: Bought, f: OrderFilter) -> bool:
    lowered = (f.text or "").lower()
    wanted = [
        f.number is None or b.number.startswith(f.number),
        f.created_from is None or b.created_at >= f.created_from,
        f.created_to is None or b.created_at < f.created_to,
        f.product_type is None or b.product_type in f.product_type,
        f.product_id in (None, b.product_id),
        f.status is None or b.status in f.status,
        f.payment_status is None or b.payment_status in f.payment_status,
        f.pay is None or b.pay in f.pay,
        f.customer_email is None or b.email.lower() == f.customer_email.lower(),
        f.customer_id in (None, b.customer_id),
        f.has_notes in (None, b.notes > 0),
        f.text is None
        or b.number.startswith(f.text)
        or any(text.lower().startswith(lowered) for text in (b.email, b.name, b.product_name)),
    ]
    return all(wanted)


def newest_first(crowd, wanted):
    found = sorted((b for b in crowd if fits(b, wanted)), key=lambda b: (b.created_at, b.id), reverse=True)
    return [b.id for b in found]


instants = st.integers(0, DAYS * 24).map(lambda hours: START + timedelta(hours=hours))
people = st.integers(0, 31)
numbers = st.sampled_from(
    [
        "2",
        "202",
        "2026",
        "20260",
        "202601",
        "2026011",
        "20260110",
        "20260110-",
        "20260203-0001",
        "20260230",
        "202613",
        "9",
        "0",
        "%",
        "2026__",
        "\\",
        "会",
    ]
)
texts = st.one_of(
    st.sampled_from(
        [
            name
            for name in (*NAMES, *PRODUCTS, "2026011", "20260203-0001", "AZ", "b%", "_", "\\", "straße", "l")
            if name
        ]
    ),
    st.text(alphabet="abl_%\\12会", min_size=1, max_size=3),
)
FIELDS = {
    "number": numbers,
    "created_from": instants,
    "created_to": instants,
    "product_type": st.frozensets(st.sampled_from(TYPES), max_size=3),
    "product_id": st.sampled_from(["prd_0", "prd_1", "prd_9"]),
    "status": st.frozensets(st.sampled_from(STATUSES), max_size=3),
    "payment_status": st.frozensets(st.sampled_from(PAYMENT_STATUSES), max_size=3),
    "pay": st.frozensets(st.sampled_from(PAYS), max_size=3),
    "customer_email": people.map(lambda n: f"AZUR{n}@example.COM"),
    "customer_id": people.map(lambda n: f"cus_{n:06d}"),
    "has_notes": st.booleans(),
    "text": texts,
}
# A few conditions at a time: with all of them at once nothing would ever be found.
filters = st.lists(st.sampled_from(sorted(FIELDS)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


limits = st.builds(
    Limits,
    people=st.sampled_from([0, 5_000]),
    known=st.sampled_from([0, 10_000]),
    names=st.sampled_from([0, 500]),
    streams=st.sampled_from([0, 1_000]),
    numbers=st.sampled_from([0, 1_000]),
)


async def pages(db: Database, wanted: OrderFilter, limit: int) -> list[str]:
    seen, cursor = [], None
    while True:
        page = await list_orders(db, wanted, cursor, limit)
        assert len(page.items) <= limit
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen
        assert len(page.items) == limit


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.sampled_from([7, 200]))
@example({"status": frozenset()}, 7)
@example({"text": "a", "status": frozenset({"canceled"}), "has_notes": True}, 7)
async def test_every_filter_finds_what_a_naive_one_finds(db: Database, crowd, chosen, limit):
    wanted = OrderFilter.model_validate(chosen)
    assert await pages(db, wanted, limit) == newest_first(crowd, wanted)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters)
async def test_an_export_finds_what_the_list_finds(db: Database, crowd, chosen):
    wanted = OrderFilter.model_validate(chosen)
    async with db.reading() as connection:
        rows = await connection.execute(matching(wanted))
        assert [row.id for row in rows] == newest_first(crowd, wanted)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.none() | texts, st.integers(0, 300), limits)
@example({"status": frozenset({"canceled", "complete"})}, "l", 10, Limits(people=0))
@example({"product_id": "prd_1"}, "b", 0, Limits(people=0))
@example({"product_id": "prd_1"}, "b", 0, Limits(people=0, known=0))
@example({}, "a", 0, Limits(people=0, known=0))
@example({"pay": frozenset({"card"})}, "l", 0, Limits(names=0))
@example({"has_notes": True}, "l", 0, Limits(streams=0))
@example({"number": "20260110-", "pay": frozenset({"card"})}, None, 0, Limits(numbers=0))
@example({"number": "20260110-", "customer_id": "cus_000007"}, "a", 0, Limits(numbers=0))
async def test_a_beginning_that_too_many_share_finds_the_same(db: Database, crowd, chosen, text, seen, few):
    """Where it is no longer looked up customer by customer, name by name and number by number."""
    wanted = OrderFilter.model_validate(chosen if text is None else {**chosen, "text": text})
    last = sorted(crowd, key=lambda b: (b.created_at, b.id), reverse=True)[min(seen, len(crowd) - 1)]
    async with db.reading() as connection:
        search = await search_of(connection, wanted, (last.created_at, last.id), 20)
        found = await pick(connection, replace(search, limits=few), wanted.text)
    older = [b for b in crowd if (b.created_at, b.id) < (last.created_at, last.id)]
    assert [order_id for _, order_id in found] == newest_first(older, wanted)[:20]


@pytest.mark.parametrize("name", sorted(FIELDS))
async def test_no_filter_is_without_effect(db: Database, crowd, name):
    """Guards the tests above: each filter finds something and leaves something out."""
    middle = START + timedelta(days=20)
    value = {
        "number": "202601",
        "created_from": middle,
        "created_to": middle,
        "product_type": ["ticket"],
        "product_id": "prd_1",
        "status": ["canceled"],
        "payment_status": ["refunded"],
        "pay": ["konbini"],
        "customer_email": crowd[0].email.swapcase(),
        "customer_id": crowd[0].customer_id,
        "has_notes": True,
        "text": "live",
    }[name]
    found = await pages(db, OrderFilter.model_validate({name: value}), 200)
    assert 0 < len(found) < len(crowd)


async def test_a_line_shows_what_was_bought_by_whom_and_the_latest_note(db: Database, crowd):
    bought = next(b for b in crowd if b.notes)
    (item,) = (await list_orders(db, OrderFilter(number=bought.number))).items
    assert (item.id, item.number, item.created_at) == (bought.id, bought.number, bought.created_at)
    assert (item.customer_email, item.customer_name) == (bought.email, bought.name)
    assert (item.product_type, item.product_name) == (bought.product_type, bought.product_name)
    assert item.options == ["Blue"]
    assert str(item.amount) == "1,000 JPY"
    assert (item.notes, item.latest_note) == (bought.notes, "call back")
    assert item.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_of_orders_has_a_size(db: Database, limit):
    with pytest.raises(TeikiError) as caught:
        await list_orders(db, None, None, limit)
    assert caught.value.code is ErrorCode.INVALID_INPUT


async def test_a_cursor_that_no_list_made_is_refused_here_too(db: Database):
    with pytest.raises(TeikiError) as caught:
        await list_orders(db, None, "bm9wZQ")
    assert caught.value.code is ErrorCode.INVALID_CURSOR


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["number", "product_id", "customer_email", "customer_id", "text"]),
    st.text(min_size=1, max_size=40),
)
@example("text", "'; DROP TABLE orders; --")
@example("text", "\x00")
@example("number", "\ud800")
@example("customer_email", "İ\u202e%")
@example("text", "a" * 320)
async def test_a_hostile_text_finds_nothing_or_is_refused_by_name(db: Database, crowd, name, text):
    try:
        wanted = OrderFilter.model_validate({name: text})
    except (TeikiError, ValidationError):  # the latter for half a surrogate pair
        assert "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)
        return
    found = await pages(db, wanted, 200)
    assert set(found) <= {b.id for b in crowd}


async def test_pages_neither_skip_nor_repeat_while_orders_arrive(fresh_db: Database):
    before = await pour(fresh_db, 120, people=10, days=10)
    seen, cursor = [], None
    for turn in range(50):
        page = await list_orders(fresh_db, None, cursor, 9)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        template = before[turn]
        arrived = [
            # One newer than everything, one at an instant that several share.
            _again(template, f"9{turn:05d}", START + timedelta(days=30)),
            _again(template, f"0{turn:05d}", template.created_at),
        ]
        await pour_orders(fresh_db, arrived)
    assert len(seen) == len(set(seen))
    assert {b.id for b in before} <= set(seen)


def _again(template: Bought, suffix: str, created_at) -> Bought:
    return replace(
        template,
        id=f"ord_{suffix}",
        number=f"{created_at.astimezone(parse_zone(JAPAN)):%Y%m%d}-x{suffix}",
        created_at=created_at,
        permission_id=f"per_{suffix}",
        membership_number=None,
    )
