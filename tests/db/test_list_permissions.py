"""The list of permissions shows what a naive filter in Python would, each once."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db.engine import Database
from db.reads.permissions import PermissionFilter, list_permissions, matching, page_query
from domain.errors import ErrorCode, TeikiError
from tests.db.order_crowd import NAMES, PERMISSION_STATUSES, START, Bought, pour

DAYS = 40


@pytest.fixture(scope="module")
async def crowd(db: Database) -> list[Bought]:
    return await pour(db, 200, people=20, days=DAYS)


def fits(b: Bought, f: PermissionFilter) -> bool:
    lowered = (f.text or "").lower()
    return all(
        [
            f.product_id in (None, b.product_id),
            f.status is None or b.permission_status in f.status,
            f.customer_id in (None, b.customer_id),
            f.order_number is None or b.number.startswith(f.order_number),
            f.acquired_from is None or b.acquired_at >= f.acquired_from,
            f.acquired_to is None or b.acquired_at < f.acquired_to,
            f.membership_number in (None, b.membership_number),
            f.text is None
            or b.permission_id.startswith(f.text)
            or any(text.lower().startswith(lowered) for text in (b.email, b.name)),
        ]
    )


instants = st.integers(0, DAYS * 24).map(lambda hours: START + timedelta(hours=hours))
FIELDS = {
    "product_id": st.sampled_from(["prd_0", "prd_1", "prd_9"]),
    "status": st.frozensets(st.sampled_from(PERMISSION_STATUSES), max_size=3),
    "customer_id": st.integers(0, 20).map(lambda n: f"cus_{n:06d}"),
    "order_number": st.sampled_from(["2026", "202601", "20260110-", "20260110-00001", "n", "%", "_", "\\"]),
    "acquired_from": instants,
    "acquired_to": instants,
    "membership_number": st.integers(1, 201),
    "text": st.sampled_from([*filter(None, NAMES), "AZ", "%", "per_", "per_0000001", "PER_", "会"]),
}
filters = st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.sampled_from([7, 200]))
async def test_every_filter_of_permissions_finds_what_a_naive_one_finds(db: Database, crowd, chosen, limit):
    wanted = PermissionFilter.model_validate(chosen)
    fitting = sorted(
        (b for b in crowd if fits(b, wanted)), key=lambda b: (b.created_at, b.permission_id), reverse=True
    )
    expected = [b.permission_id for b in fitting]
    seen, cursor = [], None
    while True:
        page = await list_permissions(db, wanted, cursor, limit)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == expected
    async with db.reading() as connection:
        assert [row.id for row in await connection.execute(matching(wanted))] == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters)
@example({"order_number": "20260110-"})
@example({"text": "AZ"})
@example({"text": "per_0000001"})
async def test_a_beginning_that_too_many_share_finds_the_same_permissions(db: Database, crowd, chosen):
    """Where they are no longer looked up one by one."""
    wanted = PermissionFilter.model_validate(chosen)
    fitting = sorted((b.created_at, b.permission_id) for b in crowd if fits(b, wanted))
    async with db.reading() as connection:
        rows = (await connection.execute(await page_query(connection, wanted, None, 30, few=0))).all()
    assert [row.id for row in rows] == [permission_id for _, permission_id in reversed(fitting)][:31]


async def test_a_line_of_a_permission_shows_its_order_and_its_holder(db: Database, crowd):
    bought = next(b for b in crowd if b.permission_status == "used")
    (item,) = (await list_permissions(db, PermissionFilter(order_number=bought.number))).items
    assert (item.order_id, item.order_number, item.customer_email) == (bought.id, bought.number, bought.email)
    assert (item.used_at, item.used_by) == (bought.acquired_at, "operator:gate")
    assert item.identification == {}


async def test_a_page_of_permissions_has_a_size_and_a_cursor_of_ours(db: Database):
    with pytest.raises(TeikiError) as caught:
        await list_permissions(db, None, None, 0)
    assert caught.value.code is ErrorCode.INVALID_INPUT
    with pytest.raises(TeikiError) as caught:
        await list_permissions(db, None, "bm9wZQ")
    assert caught.value.code is ErrorCode.INVALID_CURSOR
