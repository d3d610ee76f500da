"""The stampede on real servers with thirty subscriptions: that it runs, and that its judge can say no."""

from __future__ import annotations

import json

from bench.rush import Drain
from bench.stage import CpuSeconds
from bench.stampede import as_json, measured


async def test_thirty_due_at_one_instant_are_each_charged_once_while_an_operator_works() -> None:
    steady, drains = await measured(30, 1, lambda what: None, arms=("after",))

    after = drains["after"]
    assert after.charged_once
    assert after.latencies_s
    assert not after.unanswered
    told = json.loads(as_json(drains, steady))
    assert (told["due"], told["charged_once"], told["updates"]) == (30, True, len(after.latencies_s))


def test_percentiles_are_of_the_ranked_latencies() -> None:
    drain = Drain(100, 10.0, CpuSeconds(), latencies_s=[number / 100 for number in reversed(range(100))])

    assert (drain.latency(0.5), drain.latency(0.95), drain.latency(1.0)) == (0.5, 0.95, 0.99)
    assert drain.rate == 10
