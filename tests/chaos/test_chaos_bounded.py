"""A small chaos run with every part of the big one: workers killed at fault points and at random, Temporal and
Postgres killed and restarted, torn networks, a broken gateway, a clock that is off, a deploy. `make chaos` is longer.
"""

from __future__ import annotations

import logging

import pytest

from tests.chaos.plan import bounded
from tests.chaos.run import run

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(240)]


async def test_whatever_breaks_everybody_is_charged_once_and_everything_comes_to_rest():
    said: list[str] = []
    verdict = await run(bounded(), said.append)
    logging.getLogger(__name__).info("%s", verdict.line)
    found = "\n".join([str(verdict.line), str(verdict.examples), *said])  # a string: pytest shortens a tuple
    assert verdict.complaints == [], found
    assert verdict.line["pairs"] >= 30
    assert verdict.line["kills"] >= 2
    assert verdict.line["server_kills"] == verdict.line["database_restarts"] == 1
