"""`block_all` and `unblock_all` over workers that are killed: everything hears of it once, and comes back as it was."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import TeikiError
from tests.blocked.conftest import Street
from tests.blocked.fused_worker import POINTS

pytestmark = pytest.mark.timeout(300)

DEATHS = ("change.after", "told.after", "told.after", "page.after")


def test_every_point_is_somebodys_death():
    assert set(DEATHS) == set(POINTS)


async def test_a_block_that_is_killed_again_and_again_reaches_everything_once(street: Street):
    async with street.workers():
        customer = await street.customer()
        card, bad = (
            await street.card(customer),
            await street.card(customer, {"decline": "insufficient_funds"}),
        )
        running = [await street.subscription(customer, card) for _ in range(5)]
        by_hand, gone = running[0], running[1]
        await street.subscription(customer, card, start_on="2030-01-01")
        await street.subscription(customer, bad)
        order = await street.slip(customer)
        link = await running[2].card_change_link()
        await street.eventually(
            "SELECT 1 FROM subscriptions WHERE customer_id = %s AND status IN ('current', 'unconfirmed')"
            " HAVING count(*) = 6",
            customer,
        )
        await by_hand.suspend(comment="asked by phone")
        await gone.cancel()
        before = await street.statuses(customer)
        sent = await street.reached_the_gateway(customer)

        street.fuse(*DEATHS)
        answer = await street.teiki.customers.block_all(
            customer, actor="operator:desk", comment="chargeback", request_id="block-1"
        )
        assert street.fuses_left() == []
        assert len(street.deaths) == len(DEATHS)
        assert (answer.subscriptions, answer.slips, answer.card_links, answer.left) == (5, 1, 1, 0)
        after = await street.statuses(customer)
        untouched = {by_hand.id, gone.id}
        assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
        assert {after[name] for name in after.keys() - untouched} == {("suspended", "blocked")}
        told = await street.house.rows(
            "SELECT subject_id, count(*) AS n FROM history WHERE data->>'do' = 'block_all'"
            " AND subject_id IN (SELECT id FROM subscriptions WHERE customer_id = %s) GROUP BY 1",
            customer,
        )
        assert {row["subject_id"]: row["n"] for row in told} == dict.fromkeys(after.keys() - untouched, 1)
        await street.eventually(
            "SELECT 1 FROM deposits WHERE order_id = %s AND status = 'canceled' AND reason = 'blocked'", order
        )
        assert link
        await _nobody_gets_through(street, customer, card)
        # The same request again is the same answer, and another one finds nothing to do.
        again = await street.teiki.customers.block_all(
            customer, actor="operator:desk", comment="chargeback", request_id="block-1"
        )
        assert again == answer
        second = await street.teiki.customers.block_all(customer, actor="operator:desk")
        assert (second.changed, second.subscriptions) == ((), 0)

        street.fuse("told.after")
        back = await street.teiki.customers.unblock_all(customer, actor="operator:desk", comment="cleared")
        assert street.fuses_left() == []
        assert back.subscriptions == 5
        assert await street.statuses(customer) == before
        assert await street.reached_the_gateway(customer) == sent, "neither charges anything by itself"


async def _nobody_gets_through(street: Street, customer: str, card: str) -> None:
    """New subscriptions, orders, cards and links are refused by name."""
    (subscription,) = (
        row["id"]
        for row in await street.house.rows(
            "SELECT min(id) AS id FROM subscriptions WHERE customer_id = %s AND status = 'suspended'",
            customer,
        )
    )
    known = street.teiki.subscriptions.get(subscription)
    attempts = {
        "subscription": street.subscription(customer, card),
        "order": street.slip(customer),
        "card": street.card(customer),
        "change": known.change_card(card),
        "link": known.card_change_link(),
    }
    refused = dict(
        zip(attempts, await asyncio.gather(*attempts.values(), return_exceptions=True), strict=True)
    )
    codes = {name: error.code.value for name, error in refused.items() if isinstance(error, TeikiError)}
    assert codes == dict.fromkeys(attempts, "customer_blocked"), refused
