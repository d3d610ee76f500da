"""An hour without the payment company on the 1st of the month: everything is charged once, later, and nobody pays for
the outage with an attempt (spec: charging.md §2, issue 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from db.reads.subscription import SubscriptionDetail
from domain.identifiers import subscription_workflow_id
from domain.scenario_clock import ScenarioClock
from domain.terms import SubscriptionSpec
from starter.simulate.lab import Lab
from starter.simulate.rest import Onlooker
from starter.teiki import Teiki

pytestmark = pytest.mark.xdist_group("stories")

EVE = datetime.fromisoformat("2026-11-30T23:55:00+09:00")
DUE_AT = ["00:00", "00:00", "00:10", "00:20", "00:40", "00:59"]
"""When the subscriptions are charged on the 1st; the payment company is away from 00:00 to 01:00."""


class House:
    """Several subscriptions of one customer in the laboratory, and its clock."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._now = EVE
        self.teiki = Teiki(lab.client, lab.settings, clock=lambda: self._now)
        self.ids: list[str] = []

    async def open(self) -> None:
        customer = self.customer = await self.teiki.customers.put(email="outage@example.com")
        product = await self.teiki.products.put(name="outage")
        card = self.card = await self.teiki.payment_methods.add(customer_id=customer, token="tok_ok")
        for charge_time in DUE_AT:
            spec = SubscriptionSpec.model_validate(
                {
                    "customer_id": customer,
                    "product_id": product,
                    "payment_method_id": card,
                    "amount": {"minor": 1000, "currency": "JPY"},
                    "period": "monthly",
                    "zone": "Asia/Tokyo",
                    "start_on": "2026-12-01",
                    "charge_time": charge_time,
                }
            )
            made = await self.teiki.subscriptions.create(spec, actor="service:test", scenario_start=EVE)
            self.ids.append(made.id)
        self._clock = ScenarioClock.starting(EVE, await self._lab.environment.get_current_time())

    async def until(self, wall: str) -> None:
        """Let time pass; what is due then is done."""
        self._now = datetime.fromisoformat(wall + "+09:00")
        left = self._clock.engine_time(self._now) - await self._lab.environment.get_current_time()
        await self._lab.environment.sleep(left + timedelta(milliseconds=50))
        async with asyncio.timeout(60):
            everyone = [subscription_workflow_id(name) for name in self.ids]
            await Onlooker(self._lab.client).wait_for_rest(everyone)

    async def break_gateway(self, fault: str | None) -> None:
        rules = [] if fault is None else [{"fault": fault, "route": "any"}]
        async with self._lab.http.put("/_control/faults", json={"seed": 1, "rules": rules}) as answer:
            assert answer.status == 200

    async def book(self) -> list[dict[str, Any]]:
        """The gateway's charges for these subscriptions, in the order in which it made them."""
        async with self._lab.http.get("/_audit/ledger") as answer:
            charges = (await answer.json())["charges"]
        return [charge for charge in charges if charge["reference"].split("/")[0] in self.ids]

    async def shown(self) -> list[SubscriptionDetail]:
        return [await self.teiki.subscriptions.get(name).show() for name in self.ids]

    async def clear_away(self) -> None:
        await self.break_gateway(None)
        for name in self.ids:
            await self._lab.client.get_workflow_handle(subscription_workflow_id(name)).terminate("told")


@pytest.fixture
async def house(lab: Lab) -> AsyncIterator[House]:
    house = House(lab)
    async with house.teiki:
        await house.open()
        yield house
        await house.clear_away()


@pytest.mark.parametrize(
    ("fault", "charged_by"),
    [
        ("rate_limit_429", "01:11"),  # surely not sent: asked again at most ten minutes later
        ("error_before", "02:30"),  # not known: the pauses of the questions have grown with the outage
        ("drop_before", "02:30"),
    ],
)
async def test_an_hour_without_the_payment_company_ends_with_everything_charged_once_and_in_order(
    house, fault, charged_by
):
    await house.break_gateway(fault)
    await house.until("2026-12-01T00:59:59")
    assert await house.book() == []
    await house.break_gateway(None)
    await house.until(f"2026-12-01T{charged_by}:00")
    first = await house.book()
    assert sorted(charge["reference"] for charge in first) == sorted(f"{name}/1/1" for name in house.ids)
    await house.until("2027-01-01T12:00:00")
    book = await house.book()
    for name in house.ids:
        mine = [charge for charge in book if charge["reference"].startswith(name)]
        # Payment 1, then payment 2, each by its first attempt: the outage has used up none.
        assert [charge["reference"] for charge in mine] == [f"{name}/1/1", f"{name}/2/1"]
        assert [charge["state"] for charge in mine] == ["settled", "settled"]
        shown = await house.teiki.subscriptions.get(name).show()
        assert (shown.status.value, shown.charges) == ("current", 2)


async def test_a_charge_that_could_not_leave_before_its_card_was_blocked_is_made_once_with_another_card(
    house,
):
    await house.break_gateway("rate_limit_429")
    await house.until("2026-12-01T00:05:00")
    await house.teiki.customers.block(house.customer, house.card)
    await house.break_gateway(None)
    await house.until("2026-12-01T02:00:00")
    assert await house.book() == []
    another = await house.teiki.payment_methods.add(customer_id=house.customer, token="tok_ok:other")
    assert {(shown.status.value, shown.reason) for shown in await house.shown()} == {("suspended", "blocked")}
    for name in house.ids:
        subscription = house.teiki.subscriptions.get(name)
        await subscription.change_card(payment_method_id=another)
        await subscription.resume(policy="catch_up")
    await house.until("2026-12-02T12:00:00")
    after = await house.shown()
    assert {(shown.status.value, shown.charges) for shown in after} == {("current", 1)}
    book = await house.book()
    assert sorted(charge["reference"] for charge in book) == sorted(f"{name}/1/2" for name in house.ids)
    states = [[attempt.state for attempt in shown.payments[0].attempts] for shown in after]
    # The first two had begun: that attempt is over and does not stand in the way of the next.
    assert states == [["abandoned", "settled"]] * 2 + [["settled"]] * 4
