"""On the time-skipping server: how long a simulated year takes, and what production's own workflow costs there.

The second is a check of the time lapse: the same counts must come from a subscription that nobody touched, whose months
pass because the server skips them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from bench.books import TOKEN
from bench.histories import Counts, fetch_chain, steady
from domain.identifiers import subscription_workflow_id
from domain.money import Money
from domain.terms import SubscriptionSpec
from starter.simulate.lab import Lab, laboratory
from starter.simulate.player import Player
from starter.simulate.rest import Onlooker
from starter.simulate.scenario import Scenario, parse_scenario
from starter.teiki import Teiki

MONTHS_COUNTED: Final = 26


async def simulate(*, plays: int, tick: Callable[[], None]) -> tuple[float, Counts]:
    """Median seconds of one simulated monthly year after start-up, and the steady state's counts."""
    async with laboratory() as lab:
        seconds = []
        for number in range(plays + 1):
            player = Player(lab, _year(number))
            begun = time.perf_counter()
            report = await player.play()
            seconds.append(time.perf_counter() - begun)
            assert report is not None
            tick()
        counts = await _untouched(lab)
        tick()
    return statistics.median(seconds[1:]), counts  # the first play pays for imports and connections


def _year(number: int) -> Scenario:
    return parse_scenario(
        {
            "name": f"benchmark {number}",
            "start": "2026-01-15T07:00:00+09:00",
            "subscription": {"amount": {"minor": 1000, "currency": "JPY"}, "period": "monthly"},
            "until": "2027-01-15T06:00:00+09:00",
        }
    )


async def _untouched(lab: Lab) -> Counts:
    """A subscription without any scenario's clock, through its months."""
    async with Teiki(lab.client, lab.settings) as teiki:
        customer = await teiki.customers.put(email="bench@example.com")
        product = await teiki.products.put(name="Monthly box")
        card = await teiki.payment_methods.add(customer_id=customer, token=TOKEN)
        spec = SubscriptionSpec(
            customer_id=customer,
            product_id=product,
            payment_method_id=card,
            amount=Money(minor=1000, currency="JPY"),
            period="monthly",
        )
        subscription = await teiki.subscriptions.create(spec)
    workflow_id = subscription_workflow_id(subscription.id)
    handle, onlooker = lab.client.get_workflow_handle(workflow_id), Onlooker(lab.client)
    for _ in range(MONTHS_COUNTED):
        await onlooker.wait_for_rest([workflow_id])
        await lab.environment.sleep(timedelta(days=31))
    await onlooker.wait_for_rest([workflow_id])
    first_run_id = (await handle.describe()).raw_info.first_run_id
    runs = await fetch_chain(lab.client, workflow_id, first_run_id)
    await handle.terminate("measured")
    return steady(runs)
