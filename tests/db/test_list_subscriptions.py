"""The list shows what a naive filter in Python would, each entry once, through indexes."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from db.engine import Database
from db.reads.cursor import decode_cursor, encode_cursor
from db.reads.subscriptions import SubscriptionFilter, list_subscriptions, page_query
from domain.billing_calendar import UTC
from domain.errors import ErrorCode, TeikiError
from tests.db.crowd import BRANDS, NAMES, START, STATUSES, Member, pour
from tests.db.house import NOW

DAYS = 40


@pytest.fixture(scope="module")
async def crowd(db: Database) -> list[Member]:
    return await pour(db, 240, people=30, days=DAYS)


def fits(m: Member, f: SubscriptionFilter) -> bool:
    lowered = (f.text or "").lower()
    wanted = [
        f.status is None or m.status in f.status,
        f.customer_id in (None, m.customer_id),
        f.customer_email is None or m.email.lower() == f.customer_email.lower(),
        f.product_id in (None, m.product_id),
        f.card_brand in (None, m.brand),
        f.card_last_four in (None, m.last_four),
        f.created_from is None or m.created_at >= f.created_from,
        f.created_to is None or m.created_at < f.created_to,
        f.next_from is None or (m.next_at is not None and m.next_at >= f.next_from),
        f.next_to is None or (m.next_at is not None and m.next_at < f.next_to),
        f.cancel_scheduled in (None, m.cancel_at is not None),
        f.has_unknown_payment in (None, m.unknown),
        f.has_failed_payment in (None, m.failing),
        f.metadata.items() <= m.metadata.items(),
        f.text is None
        or m.id.startswith(f.text)
        or m.email.lower().startswith(lowered)
        or m.name.lower().startswith(lowered),
    ]
    return all(wanted)


instants = st.integers(0, DAYS * 24).map(lambda hours: START + timedelta(hours=hours))
numbers = st.integers(0, 29)
texts = st.one_of(
    st.sampled_from([*NAMES, "sub_", "sub_0000001", "AZ", "b%", "_", "\\", "straße", "cus_"]).filter(bool),
    st.text(alphabet="abz_%\\1d", min_size=1, max_size=3),
)
FIELDS = {
    "status": st.frozensets(st.sampled_from(STATUSES), min_size=1),
    "customer_id": numbers.map(lambda n: f"cus_{n:06d}"),
    "customer_email": numbers.map(lambda n: f"azur{n}@EXAMPLE.com"),
    "product_id": st.sampled_from(["prod_0", "prod_1", "prod_9"]),
    "card_brand": st.sampled_from(BRANDS),
    "card_last_four": numbers.map(lambda n: f"{n:04d}"),
    "created_from": instants,
    "created_to": instants,
    "next_from": instants,
    "next_to": instants,
    "cancel_scheduled": st.booleans(),
    "has_unknown_payment": st.booleans(),
    "has_failed_payment": st.booleans(),
    "metadata": st.sampled_from(
        [{"plan": "gold"}, {"plan": "free"}, {"plan": "free", "shop": "3"}, {"x": "y"}]
    ),
    "text": texts,
}
# A few conditions at a time: with all of them at once nothing would ever be found.
filters = st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


async def pages(db: Database, wanted: SubscriptionFilter, limit: int) -> list[str]:
    seen, cursor = [], None
    while True:
        page = await list_subscriptions(db, wanted, cursor, limit)
        assert len(page.items) <= limit
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen
        assert len(page.items) == limit


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.sampled_from([7, 200]))
async def test_every_filter_finds_what_a_naive_one_finds(db: Database, crowd, chosen, limit):
    wanted = SubscriptionFilter.model_validate(chosen)
    expected = sorted((m for m in crowd if fits(m, wanted)), key=lambda m: (m.created_at, m.id), reverse=True)
    assert await pages(db, wanted, limit) == [m.id for m in expected]


@pytest.mark.parametrize("name", sorted(FIELDS))
async def test_no_filter_is_without_effect(db: Database, crowd, name):
    """Guards the test above: each filter finds something and leaves something out."""
    found = 0
    for value in {
        "status": [["current"]],
        "metadata": [{"plan": "gold"}],
        "text": ["sub_0000001"],
        "customer_email": [m.email.upper() for m in crowd[:1]],
        "customer_id": [m.customer_id for m in crowd[:1]],
        "card_last_four": [m.last_four for m in crowd[:1]],
        "product_id": ["prod_1"],
        "card_brand": ["visa"],
    }.get(name, [START + timedelta(days=20)] if name.endswith(("from", "to")) else [True]):
        found += len(await pages(db, SubscriptionFilter.model_validate({name: value}), 200))
    assert 0 < found < len(crowd)


async def test_a_line_shows_who_what_how_much_and_what_next(db: Database, crowd):
    member = next(m for m in crowd if m.unknown and m.next_at)
    page = await list_subscriptions(db, SubscriptionFilter(text=member.id))
    (item,) = page.items
    assert (item.customer_email, item.customer_name, item.product_name) == (
        member.email,
        member.name,
        member.product_id,
    )
    assert (item.card_brand, item.card_last_four) == (member.brand, member.last_four)
    assert str(item.amount) == "100 JPY"
    assert (item.next_at, item.created_at) == (member.next_at, member.created_at)
    assert item.created_at.utcoffset() == timedelta(0)
    assert item.has_unknown_payment


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!",
        "bm9wZQ",
        "e30",
        encode_cursor(NOW, "sub_1")[:-3],
        encode_cursor(NOW.replace(tzinfo=None), "x") + "é",
    ],
)
async def test_a_cursor_that_no_list_made_is_refused(db: Database, cursor):
    with pytest.raises(TeikiError) as caught:
        await list_subscriptions(db, None, cursor)
    assert caught.value.code is ErrorCode.INVALID_CURSOR


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_a_text_that_no_list_made_is_refused_by_name(cursor):
    with pytest.raises(TeikiError) as caught:
        decode_cursor(cursor)
    assert caught.value.code is ErrorCode.INVALID_CURSOR


@given(st.datetimes(timezones=st.just(UTC)), st.text(alphabet="abc_019", min_size=1))
def test_a_cursor_leads_back_to_its_entry(at, entry_id):
    assert decode_cursor(encode_cursor(at, entry_id)) == (at, entry_id)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_has_a_size(db: Database, limit):
    with pytest.raises(TeikiError) as caught:
        await list_subscriptions(db, None, None, limit)
    assert caught.value.code is ErrorCode.INVALID_INPUT


@pytest.fixture(scope="module")
async def town(cluster, template):
    url = cluster.create(template=template)
    database = Database.connect(url, pool_size=2)
    await pour(database, 20_000, people=8_000, days=300)
    yield database
    await database.close()
    cluster.drop(url)


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"status": ["unpaid"]},
        {"status": ["unpaid", "suspended"], "created_to": START + timedelta(days=100)},
        {"customer_id": "cus_000007"},
        {"customer_email": "azur7@example.com"},
        {"product_id": "prod_1"},
        {"card_last_four": "0123"},
        {"card_brand": "visa", "card_last_four": "0123"},
        {"created_from": START + timedelta(days=50), "created_to": START + timedelta(days=60)},
        {"next_from": START + timedelta(days=50), "next_to": START + timedelta(days=50, hours=6)},
        {"cancel_scheduled": True},
        {"has_failed_payment": True},
        {"has_unknown_payment": True},
        {"metadata": {"plan": "free", "shop": "7"}},
        {"text": "sub_00000123"},
        {"text": "bord12"},
    ],
    ids=lambda chosen: "+".join(chosen) or "all",
)
async def test_no_page_scans_a_big_table(town: Database, chosen):
    cursor = encode_cursor(START + timedelta(days=290), "sub_00000000")
    query = page_query(SubscriptionFilter.model_validate(chosen), cursor, 50)
    statement = query.compile(dialect=town.engine.dialect, compile_kwargs={"render_postcompile": True})
    values = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in statement.params.items()}
    async with town.reading() as connection:
        explained = await connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + str(statement), values)
        (plan,) = explained.scalar_one()
    scanned = {n["Relation Name"] for n in nodes(plan["Plan"]) if n["Node Type"] == "Seq Scan"}
    assert scanned <= {"products"}, plan


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
