"""The benchmark of the order list on a shop small enough for a test: it fills, asks everything and says it in JSON."""

import io
import json

from rich.console import Console

from bench.order_population import Shop
from bench.order_trials import TRIALS
from bench.orders import Trial, measured, print_report, result_of


async def test_every_filter_is_asked_of_a_small_shop():
    shop = Shop(2_000)
    filled_s, trials = await measured(shop, 2)
    assert [trial.name for trial in trials] == list(TRIALS)
    assert all(len(trial.pages_ms) == 2 for trial in trials)
    found = {trial.name: trial.orders for trial in trials}
    assert found["no filter"] == 100
    assert found["text, nothing"] == 0
    told = io.StringIO()
    print_report(Console(file=told, width=200), shop, filled_s, trials)
    assert "canceled tickets" in told.getvalue()
    result = json.loads(json.dumps(result_of(shop, filled_s, trials)))
    assert result["orders"] == 2_000
    assert result["worst_p95_ms"] == max(result["p95_ms"].values())


def test_the_same_seed_makes_the_same_shop():
    assert Shop(1_000, 7).product_types() == Shop(1_000, 7).product_types()
    assert Shop(1_000, 7).product_types() != Shop(1_000, 8).product_types()


def test_a_filter_fails_by_its_p95_or_by_a_sequential_scan():
    quick = [12.0] * 38
    assert not Trial("status", [*quick, 800.0]).failed
    assert Trial("status", [*quick, 50.0, 50.0]).failed
    assert Trial("status", quick, scanned={"orders"}).failed
