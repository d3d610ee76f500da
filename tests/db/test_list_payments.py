"""The list of payments: each filter, alone and together, page by page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.reads.payments import PaymentFilter, list_payments
from domain.errors import TeikiError
from domain.money import Money
from tests.db.house import NOW


@pytest.fixture
async def three(house):
    """A settled, a collecting and a dollar payment of one customer."""
    tenant = await house.tenant(email="Payer@example.com", name="支払 太郎")
    yen = await house.subscription(tenant)
    await house.settled(yen, 1)
    await house.begin(yen, 2)
    usd = await house.subscription(tenant, amount=Money(minor=1050, currency="USD"))
    await house.begin(usd, 1)
    return tenant, yen, usd


async def found(db, **wanted) -> list[tuple[str, int]]:
    page = await list_payments(db, PaymentFilter.model_validate(wanted), limit=200)
    return [(item.object_id, item.number) for item in page.items]


async def test_every_filter_narrows_the_list(db, three):
    tenant, yen, usd = three
    of_yen, second, dollars = (
        (yen.subscription_id, 1),
        (yen.subscription_id, 2),
        (usd.subscription_id, 1),
    )
    mine = {"customer_id": tenant.customer_id}
    assert set(await found(db, **mine)) == {of_yen, second, dollars}
    assert (await found(db, **mine))[0] == second, "the latest due first"
    for wanted, expected in (
        ({"object_id": yen.subscription_id}, {of_yen, second}),
        ({"customer_email": "payer@EXAMPLE.com", **mine}, {of_yen, second, dollars}),
        ({"product_id": tenant.product_id}, {of_yen, second, dollars}),
        ({"product_id": "prd_other", **mine}, set()),
        ({"state": ["settled"], **mine}, {of_yen}),
        ({"state": ["settled", "collecting"], **mine}, {of_yen, second, dollars}),
        ({"currency": "USD", **mine}, {dollars}),
        ({"currency": "USD", "amount_min": 1050, "amount_max": 1050, **mine}, {dollars}),
        ({"currency": "USD", "amount_min": 1051, **mine}, set()),
        ({"currency": "JPY", "amount_max": 999, **mine}, set()),
        ({"due_from": NOW + timedelta(days=2), **mine}, {second}),
        ({"due_to": NOW + timedelta(days=2), **mine}, {of_yen, dollars}),
        ({"settled_from": NOW, "settled_to": NOW + timedelta(days=1), **mine}, {of_yen}),
        ({"settled_from": NOW + timedelta(days=1), **mine}, set()),
    ):
        assert set(await found(db, **wanted)) == expected, wanted


async def test_a_line_shows_who_pays_and_the_last_attempt(db, three):
    _, yen, _ = three
    page = await list_payments(db, PaymentFilter(object_id=yen.subscription_id))
    collecting, settled = page.items
    assert (settled.customer_name, settled.amount) == ("支払 太郎", Money(minor=1000, currency="JPY"))
    assert (settled.attempts, settled.last_attempt_state, settled.card_last_four) == (1, "settled", "4242")
    assert settled.gateway_id is not None
    assert (collecting.state, collecting.settled_at) == ("collecting", None)


async def test_pages_meet_without_gap_or_overlap(db, house):
    order = await house.subscription()
    for number in range(1, 8):
        await house.settled(order, number)
    wanted, cursor, pages = PaymentFilter(object_id=order.subscription_id), None, []
    while True:
        page = await list_payments(db, wanted, cursor=cursor, limit=3)
        pages.append([item.number for item in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]


@pytest.mark.parametrize("cursor", ["nonsense", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwic3ViXzEiXQ"])
async def test_a_cursor_of_another_list_is_refused(db, cursor):
    with pytest.raises(TeikiError, match="invalid_cursor"):
        await list_payments(db, cursor=cursor)


async def test_an_amount_without_its_currency_is_refused(db):
    with pytest.raises(TeikiError, match="invalid_input"):
        await list_payments(db, PaymentFilter(amount_min=1))
