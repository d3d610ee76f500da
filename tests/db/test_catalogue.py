"""Customers, products and payment methods: entered once, corrected, and shown without their tokens."""

from activities.contracts.records import AddPaymentMethod, PutCustomer, PutProduct
from db.catalogue import add_payment_method, put_customer, put_product
from db.reads.catalogue import (
    find_product,
    get_customer,
    get_payment_method,
    list_customers,
    list_payment_methods,
    list_products,
)
from domain.money import Money
from gateways.port import TokenDetails
from tests.db.house import NOW, House, unique


def customer(**more):
    given = {"id": unique("cus"), "request_id": unique("req"), "email": "ann@example.com", "name": "Ann"}
    return PutCustomer.model_validate(given | {"actor": "test", "at": NOW} | more)


async def test_a_customer_is_entered_and_corrected(house: House):
    first = customer()
    assert (await put_customer(house.db, first)).outcome == "recorded"
    corrected = customer(id=first.id, email="ann@example.net")
    assert (await put_customer(house.db, corrected)).outcome == "recorded"
    found = await get_customer(house.db, first.id)
    assert found is not None
    assert (found.email, found.created_at) == ("ann@example.net", NOW)


async def test_a_repeated_request_returns_the_older_id_and_a_changed_one_is_refused(house: House):
    first = customer()
    await put_customer(house.db, first)
    again = await put_customer(house.db, first.model_copy(update={"id": unique("cus")}))
    assert (again.outcome, again.id) == ("duplicate", first.id)
    other = await put_customer(house.db, first.model_copy(update={"name": "Bob"}))
    assert (other.outcome, other.code) == ("refused", "request_id_conflict")


async def test_a_product_keeps_its_price(house: House):
    product = PutProduct(
        id=unique("prod"),
        request_id=unique("req"),
        actor="test",
        name="Live",
        price=Money(minor=3500, currency="JPY"),
        at=NOW,
    )
    assert (await put_product(house.db, product)).outcome == "recorded"
    assert (await put_product(house.db, product)).outcome == "duplicate"
    found = await find_product(house.db, product.id)
    assert found is not None
    assert found.price == Money(minor=3500, currency="JPY")


async def test_a_payment_method_needs_its_customer_and_never_shows_its_token(house: House):
    tenant = await house.tenant()
    entry = AddPaymentMethod(
        id=unique("pm"),
        request_id=unique("req"),
        actor="test",
        customer_id=tenant.customer_id,
        token="tok_secret",
        at=NOW,
    )
    details = TokenDetails(token="tok_secret", kind="card", brand="jcb", last_four="0505", expires_year=2031)
    assert (await add_payment_method(house.db, entry, details)).outcome == "recorded"
    assert (await add_payment_method(house.db, entry, details)).outcome == "duplicate"
    orphan = entry.model_copy(update={"customer_id": "cus_none", "request_id": unique("req")})
    assert (await add_payment_method(house.db, orphan, details)).code == "customer_not_found"
    shown = await get_payment_method(house.db, entry.id)
    assert shown is not None
    assert (shown.brand, shown.last_four, shown.expires_year) == ("jcb", "0505", 2031)
    everything = [*await list_payment_methods(house.db, tenant.customer_id), shown]
    assert len(everything) == 3
    assert "tok_secret" not in str([each.model_dump() for each in everything])


async def test_lists_page_through_everything_once(fresh_db):
    house = House(fresh_db)
    tenants = [await house.tenant(email=f"User{n % 3}_{n}@example.com", name=f"N%{n}") for n in range(7)]
    seen, cursor = [], None
    while True:
        page = await list_customers(fresh_db, cursor=cursor, limit=3)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(tenant.customer_id for tenant in tenants)
    assert len((await list_customers(fresh_db, text="user1_")).items) == 2
    assert len((await list_customers(fresh_db, text="n%")).items) == 7
    assert (await list_customers(fresh_db, text="user%")).items == []
    assert len((await list_products(fresh_db, limit=3)).items) == 3
