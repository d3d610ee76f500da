"""The customer page among millions: `python -m bench.customers --orders 1000000`.

A shop of that size with all its payments is poured into a Postgres of its own; then each tab is read for the customer
with 10,000 orders and for others, and the customer is found by e-mail in any case. A reading counts from the call to
the models. Every statement's plan is looked at: a sequential scan of what grows ends the run with a failure, and so
does a tab whose p95 misses the bar. The first readings of a tab warm caches up and are not counted.

Progress goes to standard error, a table to standard output, and its last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.table import Table

from bench.customer_population import fill_money
from bench.order_population import Shop, fill
from bench.orders import P95_MS_MAX, Statement, Trial, look_at_plans, statements_of
from bench.report import place
from db import migrate
from db.engine import Database
from db.reads.customer import TABS, show_customer
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.lifecycle import run_cli
from runtime.telemetry import configure_logging

_WARM_UP: Final = 2
_PLANS: Final = 4

Read = Callable[[Database, random.Random, Shop], Awaitable[Any]]


def tab(name: Any, *, fat: bool) -> Read:
    """One tab of the customer with 10,000 orders, or of any other; found by e-mail half of the time."""

    async def read(database: Database, chance: random.Random, shop: Shop) -> Any:
        n = 0 if fat else chance.randrange(1, shop.customers)
        named = shop.customer_id(n) if chance.random() < 0.5 else shop.email(n).swapcase()
        return await show_customer(database, named, tabs=(name,))

    return read


async def product(database: Database, chance: random.Random, shop: Shop) -> Any:
    """Transactions of one product of the customer with 10,000 orders, a few pages deep."""
    wanted: dict[str, Any] = {
        "tabs": ("transactions",),
        "product_id": shop.product_id(min(int(chance.paretovariate(1)), shop.products - 1)),
    }
    page = await show_customer(database, shop.customer_id(0), **wanted)
    assert page.transactions is not None
    if page.transactions.next_cursor:
        return await show_customer(
            database, shop.customer_id(0), cursor=page.transactions.next_cursor, **wanted
        )
    return page


TRIALS: Final[dict[str, Read]] = {
    **{f"{name}, 10,000 orders": tab(name, fat=True) for name in TABS},
    "product's transactions, two pages, 10,000 orders": product,
    **{f"{name}, any customer": tab(name, fat=False) for name in TABS},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.customers", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument(
        "--reads", type=int, default=60, help=f"counted for each tab, after {_WARM_UP} others"
    )
    parser.add_argument(
        "--best-of", type=int, default=1, help="times to read each tab; where others work, too"
    )
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    configure_logging("WARNING", "text")
    shop = Shop(chosen.orders, chosen.seed)
    filled_s, transactions, trials = run_cli(measured(shop, chosen.reads, chosen.best_of))
    print_report(Console(width=None if sys.stdout.isatty() else 150), shop, filled_s, transactions, trials)
    print(json.dumps(result_of(shop, filled_s, transactions, trials) | {"best_of": chosen.best_of}))
    return int(any(trial.failed for trial in trials))


def result_of(shop: Shop, filled_s: float, transactions: int, trials: list[Trial]) -> dict[str, Any]:
    """What the last line says: milliseconds by tab, and seconds of the fill."""
    p95_ms = {trial.name: round(trial.quantile(0.95), 1) for trial in trials}
    return {
        "orders": shop.orders,
        "transactions": transactions,
        "p50_ms": {trial.name: round(trial.quantile(0.5), 1) for trial in trials},
        "p95_ms": p95_ms,
        "worst_p95_ms": max(p95_ms.values()),
        "fill_s": round(filled_s),
    }


async def measured(shop: Shop, reads: int, best_of: int = 1) -> tuple[float, int, list[Trial]]:
    """Seconds of the fill, attempts in the books, and every trial."""
    console = Console(stderr=True)
    async with EmbeddedPostgres(durable=False) as postgres:
        url = await postgres.ensure_database("teiki")
        await asyncio.to_thread(migrate.upgrade, url)
        begun = time.perf_counter()
        with console.status("pouring in …"):
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await fill(connection, shop, lambda _: None)
                await fill_money(connection, shop)
                found = await (await connection.execute("SELECT count(*) FROM attempts")).fetchone()
        filled_s = time.perf_counter() - begun
        assert found is not None
        database = Database.connect(url, pool_size=2)
        try:
            with console.status("reading …"):
                trials = [await tried(database, shop, name, reads, best_of) for name in TRIALS]
        finally:
            await database.close()
    return filled_s, int(found[0]), trials  # a row is a tuple


async def tried(database: Database, shop: Shop, name: str, reads: int, best_of: int = 1) -> Trial:
    """So many readings of one tab, the quickest of each, and a look at the plans of some."""
    trial = Trial(name)
    sample: list[list[Statement]] = []
    for turn in range(-_WARM_UP, reads):
        readings_ms = []
        for _ in range(best_of):
            chance = random.Random(f"{shop.seed}/{name}/{turn}")  # noqa: S311 - a sample, no secret
            with statements_of(database) as statements:
                begun = time.perf_counter()
                await TRIALS[name](database, chance, shop)
                readings_ms.append((time.perf_counter() - begun) * 1000)
        if turn < 0:
            continue
        trial.pages_ms.append(min(readings_ms))
        if turn < _PLANS:
            sample.append(statements)
    for statements in sample:
        await look_at_plans(database, statements, trial)
    return trial


def print_report(
    console: Console, shop: Shop, filled_s: float, transactions: int, trials: list[Trial]
) -> None:
    console.print(place(), highlight=False)
    console.print(
        f"{shop.orders:,} orders of {shop.customers:,} customers with {transactions:,} transactions, poured in within"
        f" {filled_s:.0f} s"
    )
    table = Table(
        "tab",
        title=f"A tab in ms, after {_WARM_UP} uncounted readings; the bar is p95 < {P95_MS_MAX:.0f}",
        title_justify="left",
    )
    for column in ("reads", "p50", "p95", "max"):
        table.add_column(column, justify="right")
    table.add_column("indexes")
    for trial in trials:
        p95 = trial.quantile(0.95)
        scanned = f"SEQUENTIAL: {', '.join(sorted(trial.scanned))} " if trial.scanned else ""
        missed = "MISSED " if p95 >= P95_MS_MAX else ""
        table.add_row(
            trial.name,
            str(len(trial.pages_ms)),
            f"{trial.quantile(0.5):.1f}",
            f"{p95:.1f}",
            f"{max(trial.pages_ms):.1f}",
            missed + scanned + ", ".join(sorted(trial.nodes)),
            style="red" if trial.failed else None,
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
