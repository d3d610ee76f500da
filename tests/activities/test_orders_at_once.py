"""Many at the same time, on a real Postgres: numbers without gaps, one payment per order, notes that all count."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest

from activities.contracts.orders import AddNote, Identify
from db.attempts import begin_attempt
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import charge_reference
from tests.activities.order_desk import OrderDesk
from tests.db.house import NOW, charge_key

pytestmark = pytest.mark.xdist_group("activities")

MEMBERS = 1000
TOO_LARGE = 2**40
"""Fits no column: a transaction that carries it fails at its very end, when the number is given already."""


@pytest.fixture
def shop(desk, sandbox) -> OrderDesk:
    return OrderDesk(desk.db, desk.gateway, desk.remote, desk.house, url=sandbox.base_url)


async def test_a_thousand_members_at_once_get_the_numbers_one_to_a_thousand(shop):
    tenant = await shop.house.tenant(token="tok_ok")
    product_id = await shop.product(type="membership", membership_numbers=True)
    chance = random.Random(7)
    failures = 0

    async def join() -> str:
        nonlocal failures
        asked = await shop.asked("card", tenant=tenant, product_id=product_id)
        state = await shop.open(asked)
        order = shop.completed(state)
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            with pytest.raises(psycopg.DataError):
                await shop.run(shop.orders.record, order.model_copy(update={"payment": TOO_LARGE}))
            failures += 1
        runs = [shop.run(shop.orders.record, order) for _ in range(chance.choice([1, 1, 2]))]
        results = await asyncio.gather(*runs)
        assert {result.outcome for result in results} == {"recorded"}
        return state.number

    async def give_up() -> None:
        state = await shop.open(await shop.asked("card", tenant=tenant, product_id=product_id))
        with pytest.raises(psycopg.DataError):
            await shop.run(
                shop.orders.record, shop.completed(state).model_copy(update={"payment": TOO_LARGE})
            )

    joining = [join() for _ in range(MEMBERS)]
    leaving = [give_up() for _ in range(50)]
    done = await asyncio.gather(*joining, *leaving)
    orders = [number for number in done if number is not None]
    assert len(set(orders)) == MEMBERS
    assert failures > 200
    rows = await shop.house.rows(
        "SELECT membership_number AS n FROM permissions WHERE product_id = %s ORDER BY 1", product_id
    )
    assert [row["n"] for row in rows] == list(range(1, MEMBERS + 1))


async def test_of_two_payments_of_one_order_begun_at_once_one_is_collected(shop):
    for _ in range(30):
        state = await shop.placed()

        async def begin(number: int, order_id: str = state.id) -> str:
            try:
                begun = await begin_attempt(
                    shop.db,
                    key=charge_key(order_id, number, 1),
                    reference=charge_reference(order_id, number, 1),
                    object_id=order_id,
                    number=number,
                    attempt=1,
                    due_at=NOW,
                    amount_minor=1000,
                    currency="JPY",
                    at=NOW,
                )
            except TeikiError as error:
                assert error.code is ErrorCode.LIVE_ATTEMPT_EXISTS  # noqa: PT017 - one of them must fail
                return "refused"
            return begun.outcome

        outcomes = await asyncio.gather(*(begin(number) for number in (1, 2, 3)))
        assert sorted(outcomes) == ["new", "refused", "refused"]
        rows = await shop.house.rows(
            "SELECT state FROM payments WHERE order_id = %s AND state IN ('collecting', 'settled')", state.id
        )
        assert len(rows) == 1


async def test_six_workers_with_the_same_slip_issue_one(shop):
    state = await shop.placed()
    await asyncio.gather(*(shop.run(shop.billing.charge, shop.slip(state.id)) for _ in range(6)))
    assert (await shop.run(shop.billing.charge, shop.slip(state.id))).outcome == "pending"
    assert await shop.routes(state.id) == ["konbini"]


async def test_notes_left_at_the_same_time_all_count(shop):
    state = await shop.placed()
    notes = [
        AddNote(order_id=state.id, request_id=f"n-{n // 2}", actor="operator:desk", text=f"{n // 2}", at=NOW)
        for n in range(80)
    ]
    entered = await asyncio.gather(*(shop.run(shop.orders.add_note, note) for note in notes))
    assert sorted(entry.outcome for entry in entered) == ["duplicate"] * 40 + ["recorded"] * 40
    row = await shop.house.row("SELECT notes, latest_note FROM orders WHERE id = %s", state.id)
    last = await shop.house.row(
        "SELECT text FROM order_notes WHERE order_id = %s ORDER BY id DESC LIMIT 1", state.id
    )
    assert row == {"notes": 40, "latest_note": last["text"]}


async def test_a_customer_who_identifies_themselves_ten_times_at_once_does_it_once(shop):
    state = await shop.placed("card", identification_fields=("passport",))
    await shop.run(shop.orders.record, shop.completed(state))
    told = [
        Identify(
            permission_id=state.permission_id,
            request_id=f"i-{n}",
            actor=f"customer:{state.customer_id}",
            identification={"passport": f"A-{n}"},
            at=NOW,
        )
        for n in range(10)
    ]
    entered = await asyncio.gather(*(shop.run(shop.orders.identify, one) for one in told))
    codes = sorted(entry.code or "recorded" for entry in entered)
    assert codes == ["identification_already_given"] * 9 + ["recorded"]
    (winner,) = [n for n, entry in enumerate(entered) if entry.outcome == "recorded"]
    row = await shop.house.row("SELECT identification FROM permissions WHERE order_id = %s", state.id)
    assert row["identification"] == {"passport": f"A-{winner}"}
