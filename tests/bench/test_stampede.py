"""The stampede on real servers with thirty subscriptions: that it runs, and what it tells."""

from __future__ import annotations

import json

from bench.rush import Arm, Drain, subscriptions
from bench.stage import CpuSeconds
from bench.stampede import as_json


async def test_thirty_due_at_one_instant_are_each_charged_once_while_an_operator_works() -> None:
    after = await subscriptions(Arm(30, 1, lambda what: None))

    assert after.charged_once
    assert after.latencies_s
    assert not after.unanswered


def test_the_last_line_tells_todays_figures_against_the_floor() -> None:
    floor, slow, quick = (Drain(100, seconds, CpuSeconds(), [0.5]) for seconds in (10.0, 20.0, 11.0))

    told = json.loads(as_json({"empty": floor, "before": slow, "after": quick}, 20.0))

    assert (told["due"], told["drain_ratio"], told["before"]["drain_ratio"]) == (100, 1.1, 2.0)
    assert (told["empty_rate"], told["drain_ratio_steady"]) == (10.0, 2.2)


def test_percentiles_are_of_the_ranked_latencies() -> None:
    drain = Drain(100, 10.0, CpuSeconds(), latencies_s=[number / 100 for number in reversed(range(100))])

    assert (drain.latency(0.5), drain.latency(0.95), drain.latency(1.0)) == (0.5, 0.95, 0.99)
    assert drain.rate == 10
