"""The benchmark of the customer page on a shop small enough for a test: fills, reads all tabs, says it in JSON."""

import io
import json

from rich.console import Console

from bench.customers import TRIALS, measured, print_report, result_of
from bench.order_population import Shop


async def test_every_tab_is_read_of_a_small_shop():
    shop = Shop(2_000)
    filled_s, transactions, trials = await measured(shop, 2)
    assert [trial.name for trial in trials] == list(TRIALS)
    assert all(len(trial.pages_ms) == 2 for trial in trials)
    assert transactions > 2_000
    told = io.StringIO()
    print_report(Console(file=told, width=200), shop, filled_s, transactions, trials)
    assert "stats, any customer" in told.getvalue()
    result = json.loads(json.dumps(result_of(shop, filled_s, transactions, trials)))
    assert result["worst_p95_ms"] == max(result["p95_ms"].values())
