"""Many orders in one laboratory at once: its clock is one for all, so their events are played in the clock's order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from domain.order_terms import Pay
from starter.simulate.lab import Lab
from starter.simulate.order_player import OrderPlayer
from starter.simulate.report import Report
from starter.simulate.scenario import parse_scenario
from starter.teiki import Teiki

START: Final = datetime.fromisoformat("2026-01-05T10:00:00+09:00")
UNTIL: Final = datetime.fromisoformat("2026-03-12T00:00:00+09:00")
PRICE: Final = {"minor": 3500, "currency": "JPY"}
_AT_ONCE: Final = 12


def konbini(events: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A scenario of one deposit of three days, for content of thirty days with a point per 100 yen."""
    product = {
        "type": "digital",
        "name": "Live replay",
        "price": PRICE,
        "usage_period": "P30D",
        "point_rate": "0.01",
    }
    return {
        "name": "one of many",
        "start": START.isoformat(),
        "order": {"product": product, "pay": Pay.KONBINI.value, "konbini": {"store": "lawson"}, **more},
        "events": list(events),
        "until": UNTIL.isoformat(),
    }


def event(after: timedelta, do: str, **more: Any) -> dict[str, Any]:
    """An event so long after the start."""
    return {"at": (START + after).isoformat(), "do": do, **more}


async def play_all(lab: Lab, documents: Sequence[dict[str, Any]]) -> list[Report]:
    """Every scenario's report. All start at one instant of the engine's clock, or nearly."""
    now = [START]
    async with Teiki(lab.client, lab.settings, clock=lambda: now[0]) as teiki:
        scenarios = [parse_scenario(document) for document in documents]
        players = [OrderPlayer(lab, scenario, teiki) for scenario in scenarios]
        for first in range(0, len(players), _AT_ONCE):
            await asyncio.gather(*(player.begin() for player in players[first : first + _AT_ONCE]))
        happenings = [
            (one.at, player, one)
            for player, scenario in zip(players, scenarios, strict=True)
            for one in scenario.in_order
        ]
        for at, player, one in sorted(happenings, key=lambda happening: happening[0]):
            now[0] = at
            await player.let_happen(one)
        return [await player.end() for player in players]
