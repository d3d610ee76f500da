"""Products in the database: their terms come back whole, history tells what changed, and lists go by type."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from activities.contracts.records import PutProduct
from db.catalogue import put_product
from db.reads.catalogue import find_product, list_products, show_product
from db.requests import fingerprint
from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.product import ProductTerms, ProductType
from tests.db.house import NOW, House, unique

YEN = {"minor": 3500, "currency": "JPY"}
SEASON = {"starts_at": "2026-04-01T00:00:00+09:00", "ends_at": "2026-10-01T00:00:00+09:00"}
OF_EACH_TYPE: dict[str, dict[str, Any]] = {
    "digital": {"price": YEN, "usage_period": "P30D", "point_rate": "0.01"},
    "membership": {
        "sales_method": "recurring",
        "price": YEN,
        "membership_numbers": True,
        "identification_fields": ["name"],
    },
    "sponsorship": {"options": [{"name": "Gold", "price": YEN}, {"name": "Plain"}]},
    "subscription_voucher": {"sales_method": "recurring", "price": YEN, "usage_period": "P1M"},
    "ticket": {
        "sales_method": "token_auth",
        "usage_period": SEASON,
        "custom_fields": [{"name": "seat", "type": "choice", "required": True, "choices": ["A", "B"]}],
    },
}


def entry(**more: Any) -> PutProduct:
    given = {"id": unique("prd"), "request_id": unique("req"), "actor": "operator:desk", "name": "Live"}
    return PutProduct.model_validate(given | {"at": NOW} | more)


@pytest.mark.parametrize("kind", OF_EACH_TYPE)
async def test_what_a_product_says_comes_back_whole(house: House, kind):
    terms = ProductTerms.model_validate({"type": kind, **OF_EACH_TYPE[kind]})
    product = entry(terms=terms)
    assert (await put_product(house.db, product)).outcome == "recorded"
    found = await find_product(house.db, product.id)
    assert found is not None
    assert (found.terms, found.price) == (terms, terms.price)
    assert await find_product(house.db, "prd_none") is None


async def test_a_product_from_before_there_were_terms_is_digital_and_sold_once(house: House):
    product_id = unique("prd")
    async with house.db.transaction() as cursor:
        await cursor.execute(
            "INSERT INTO products (id, name, price_minor, currency, created_at, updated_at)"
            " VALUES (%s, 'Old', 1000, 'JPY', %s, %s)",
            (product_id, NOW, NOW),
        )
    found = await find_product(house.db, product_id)
    assert found is not None
    assert found.terms == ProductTerms(price=Money(minor=1000, currency="JPY"))


async def test_putting_a_product_again_replaces_it_and_history_says_what_changed(house: House):
    first = entry(terms={"type": "ticket", "price": YEN, "usage_period": "P1D"})
    await put_product(house.db, first)
    dearer = entry(
        id=first.id, terms={"type": "ticket", "price": YEN | {"minor": 4000}, "point_rate": "0.01"}
    )
    await put_product(house.db, dearer)
    await put_product(house.db, dearer.model_copy(update={"request_id": unique("req")}))
    shown = await show_product(house.db, first.id)
    assert shown.terms == dearer.terms
    entered = {
        "name": "Live",
        "type": "ticket",
        "sales_method": "one_time",
        "price": YEN,
        "usage_period": "P1D",
    }
    assert [(change.before, change.after) for change in shown.history] == [
        (None, entered),
        (
            {"point_rate": None, "price": YEN, "usage_period": "P1D"},
            {"point_rate": "0.01", "price": YEN | {"minor": 4000}, "usage_period": None},
        ),
        ({}, {}),
    ]
    assert {change.actor for change in shown.history} == {"operator:desk"}
    with pytest.raises(TeikiError) as caught:
        await show_product(house.db, "prd_none")
    assert caught.value.code is ErrorCode.PRODUCT_NOT_FOUND


async def test_the_same_request_changes_nothing_more_and_other_terms_are_a_conflict(house: House):
    first = entry(terms={"price": YEN})
    assert (await put_product(house.db, first)).outcome == "recorded"
    again = await put_product(house.db, first.model_copy(update={"id": unique("prd")}))
    assert (again.outcome, again.id) == ("duplicate", first.id)
    other = first.model_copy(update={"terms": ProductTerms.model_validate({"type": "ticket", "price": YEN})})
    assert (await put_product(house.db, other)).code == "request_id_conflict"
    found = await find_product(house.db, first.id)
    assert found is not None
    assert found.terms == first.terms


async def test_a_request_from_before_there_were_terms_is_still_the_same_request(house: House):
    product = entry(price=YEN)
    await put_product(house.db, product)
    stored = await house.row("SELECT fingerprint FROM requests WHERE request_id = %s", product.request_id)
    assert stored["fingerprint"] == fingerprint({"name": "Live", "price_minor": 3500, "currency": "JPY"})


async def test_two_prices_of_one_product_are_refused_and_leave_nothing_behind(house: House):
    product = entry(price=YEN, terms={"price": {"minor": 1, "currency": "JPY"}})
    refused = await put_product(house.db, product)
    assert (refused.outcome, refused.code) == ("refused", "invalid_product")
    assert await find_product(house.db, product.id) is None


async def test_of_two_who_enter_one_id_at_once_the_second_changes_what_the_first_entered(house: House):
    product_id = unique("prd")
    entries = [entry(id=product_id, price={"minor": minor, "currency": "JPY"}) for minor in range(1, 7)]
    answers = await asyncio.gather(*(put_product(house.db, one) for one in entries))
    assert {answer.outcome for answer in answers} == {"recorded"}
    changes = (await show_product(house.db, product_id)).history
    assert [change.before is None for change in changes] == [True] + [False] * 5
    told = [change.after["price"]["minor"] for change in changes]
    assert [change.before["price"]["minor"] for change in changes[1:] if change.before] == told[:-1]


async def test_the_database_itself_refuses_a_type_nobody_knows(house: House):
    product = entry()
    await put_product(house.db, product)
    for column in ("type", "sales_method"):
        with pytest.raises(psycopg.errors.CheckViolation):
            async with house.db.transaction() as cursor:
                await cursor.execute(f"UPDATE products SET {column} = 'book' WHERE id = '{product.id}'")  # type: ignore[arg-type]


async def test_lists_go_by_type_page_by_page(fresh_db):
    for kind in OF_EACH_TYPE:
        for _ in range(3):
            await put_product(fresh_db, entry(terms={"type": kind}))
    assert len((await list_products(fresh_db)).items) == 15
    seen, cursor = [], None
    while True:
        page = await list_products(fresh_db, type=ProductType.TICKET, cursor=cursor, limit=2)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len({item.id for item in seen}) == 3
    assert {item.terms.type for item in seen} == {ProductType.TICKET}


async def test_a_list_of_one_type_is_read_from_its_index(fresh_db):
    async with fresh_db.transaction() as cursor:
        await cursor.execute(
            "INSERT INTO products (id, name, type, created_at, updated_at)"
            " SELECT 'prd_' || n, 'P', CASE WHEN n % 500 = 0 THEN 'ticket' ELSE 'digital' END,"
            " now() - n * interval '1 second', now() FROM generate_series(1, 20000) n"
        )
    async with fresh_db.transaction() as cursor:
        await cursor.execute("ANALYZE products")
    async with fresh_db.reading() as connection:
        plan = await connection.execute(
            text(
                "EXPLAIN SELECT * FROM products WHERE type = 'ticket' AND (created_at, id) < (now(), 'prd_9')"
                " ORDER BY created_at DESC, id DESC LIMIT 51"
            )
        )
        told = "\n".join(row[0] for row in plan)
    assert "ix_products_type" in told
    assert "Sort" not in told
