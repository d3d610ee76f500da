"""Who wins, decided by a real server: uses, cancellations, timers and payments of one order at the same moment.

Exactly one of two that exclude each other succeeds, the other hears a clear refusal, and both books agree afterwards
(spec: orders.md §§2, 4, 7).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from tests.races.conftest import Hall, said

pytestmark = [pytest.mark.xdist_group("races"), pytest.mark.timeout(300)]

DOORS = 200
RACES = 32
AT_ONCE = 4
"""Races that run side by side: more would only wait for each other."""
SEVEN_DAYS = timedelta(days=7)
NOTHING = Money(minor=0, currency="JPY")


async def many(race) -> Counter:
    """The outcomes of many races, several at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int):
        async with gate:
            return await race(random.Random(number))

    return Counter(await asyncio.gather(*(one(number) for number in range(RACES))))


async def test_of_two_hundred_doors_one_lets_the_ticket_in_and_the_others_hear_who_and_when(hall: Hall):
    order = await hall.place(type="ticket")
    refusals: list[TeikiError] = []
    winners = []

    async def door(number: int) -> None:
        try:
            winners.append(await order.process_access(actor=f"service:door_{number}"))
        except TeikiError as error:
            refusals.append(error)

    await asyncio.gather(*(door(number) for number in range(DOORS)))
    assert Counter(error.code for error in refusals) == {ErrorCode.ALREADY_PROCESSED: DOORS - 1}
    (winner,) = winners
    assert winner.permission is not None
    told = {(error.facts["by"], error.facts["at"]) for error in refusals}
    assert told == {(winner.permission.used_by, winner.permission.used_at.isoformat())}
    rows = await hall.desk.house.rows("SELECT status, used_by FROM permissions WHERE order_id = %s", order.id)
    assert rows == [{"status": "used", "used_by": winner.permission.used_by}]
    events = await hall.desk.house.rows(
        "SELECT 1 AS n FROM history WHERE subject_id = %s AND data->>'to' = 'used'", order.id
    )
    assert len(events) == 1


async def test_of_a_use_and_a_cancellation_one_wins(hall: Hall):
    async def race(chance: random.Random) -> tuple[str, str]:
        order = await hall.place()
        used, canceled = await asyncio.gather(
            delayed(chance, said(order.use(actor=customer(hall)))),
            delayed(chance, said(order.cancel(actor=customer(hall)))),
        )
        await hall.books_agree(order, 1000 if used == "done" else 0)
        assert await hall.status(order) == ("purchase_confirmed" if used == "done" else "canceled")
        return used, canceled

    outcomes = await many(race)
    assert set(outcomes) <= {
        ("done", "not_cancelable"),
        ("permission_not_active", "done"),
        ("invalid_status", "done"),
    }
    assert len(outcomes) >= 2, "a race that always ends the same way is none"


async def test_of_the_seventh_day_and_a_cancellation_one_wins(hall: Hall):
    async def race(chance: random.Random) -> str:
        order = await hall.place()
        await hall.later(order, SEVEN_DAYS - timedelta(seconds=1))
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        canceled = await said(order.cancel(actor=customer(hall)))
        await hall.books_agree(order, 0 if canceled == "done" else 1000)
        assert await hall.status(order) == ("canceled" if canceled == "done" else "purchase_confirmed")
        return canceled

    outcomes = await many(race)
    assert set(outcomes) == {"done", "not_cancelable"}


async def test_of_a_payment_at_the_till_and_a_cancellation_one_wins_and_no_money_is_lost(hall: Hall):
    async def race(chance: random.Random) -> str:
        order = await hall.place("konbini")
        slip = await hall.slip(order)

        async def pay() -> None:
            await hall.pay(slip)
            await order.notify_slip(1, slip)

        # The customer saw that nothing was paid yet: that is what they agree to.
        _, canceled = await asyncio.gather(
            delayed(chance, pay()),
            delayed(
                chance,
                said(order.cancel(actor=customer(hall), refund_amount=NOTHING)),
                at_most_s=chance.choice([0.05, 0.5, 3.0]),
            ),
        )
        await order.notify_slip(1, slip)
        await hall.books_agree(order, 0 if canceled == "done" else 1000)
        status = await hall.status(order)
        assert status == ("canceled" if canceled == "done" else "complete")
        return canceled

    outcomes = await many(race)
    assert set(outcomes) == {"done", "refund_amount_mismatch"}


async def test_a_customer_and_an_operator_who_cancel_at_once_return_the_money_once(hall: Hall):
    async def race(chance: random.Random) -> tuple[str, ...]:
        order = await hall.place()
        outcomes = await asyncio.gather(
            *(delayed(chance, said(order.cancel(actor=actor))) for actor in (customer(hall), "operator:desk"))
        )
        await hall.books_agree(order, 0)
        assert await hall.desk.remittances(order.id) == 1
        return tuple(sorted(outcomes))

    assert set(await many(race)) == {("done", "invalid_status")}


def customer(hall: Hall) -> str:
    return f"customer:{hall.tenant.customer_id}"


async def delayed(chance: random.Random, call, *, at_most_s: float = 0.05):
    await asyncio.sleep(chance.uniform(0, at_most_s))
    return await call
