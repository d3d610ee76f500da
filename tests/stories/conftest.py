"""One laboratory for all stories: real Postgres, sandbox gateway, worker, and a Temporal that skips time.

Its clock is one for all, so stories are played one after another. The modules name an xdist group; where pytest-xdist
does not honour it (3.8 with pytest 9 does not), each worker starts a laboratory of its own, which is only slower.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from starter.simulate.lab import Lab, laboratory
from starter.simulate.order_player import player_of
from starter.simulate.report import Report
from starter.simulate.scenario import parse_scenario

Play = Callable[..., Awaitable[Report]]


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with laboratory() as running:
        yield running


@pytest.fixture
def play(lab: Lab) -> Play:
    """`await play(start, until, *events, gateway=[…], **terms)`, with wall times of the zone: `2023-08-01 07:00`.

    An event is `(when, what, {arguments})`. The terms default to 1,000 JPY a month in Tokyo.
    """

    async def played(
        start: str, until: str, *events: tuple[Any, ...], gateway: list[Any] | None = None, **terms: Any
    ) -> Report:
        given = {"amount": {"minor": 1000, "currency": "JPY"}, "period": "monthly", "zone": "Asia/Tokyo"}
        zone = ZoneInfo(terms.get("zone", "Asia/Tokyo"))
        document = {
            "name": "a story",
            "start": _instant(start, zone),
            "until": _instant(until, zone),
            "subscription": {name: value for name, value in (given | terms).items() if value is not None},
            "gateway": gateway or [],
            "events": [
                {"at": _instant(when, zone), "do": what, **(more[0] if more else {})}
                for when, what, *more in events
            ],
        }
        return await player_of(lab, parse_scenario(document)).play()

    return played


def _instant(wall: str, zone: ZoneInfo) -> str:
    return datetime.fromisoformat(wall).replace(tzinfo=zone).isoformat()
