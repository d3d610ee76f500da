"""The order list among millions: `python -m bench.orders --orders 1000000`.

A shop of that size is poured into a Postgres of its own; then pages are read as people read them: each filter and
common pairs, random values, first pages and deep ones. A page counts from the call to the models. Every statement's
plan is looked at. A sequential scan of orders, customers or permissions ends the run with a failure, and so does a
filter whose p95 misses the bar. The first pages of a filter warm caches up and are not counted.

Progress goes to standard error, a table to standard output, and its last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import event

from bench.order_population import SECONDS, START, Shop, fill
from bench.order_trials import TRIALS, asked
from bench.report import place
from db import migrate
from db.engine import Database
from db.reads.cursor import encode_cursor
from db.reads.orders import OrderFilter, list_orders
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.lifecycle import run_cli
from runtime.telemetry import configure_logging

P95_MS_MAX: Final = 50.0
BIG: Final = frozenset(
    {
        *(
            "orders",
            "customers",
            "permissions",
            "subscriptions",
            "payment_methods",
            "payments",
            "attempts",
            "ledger",
        ),
        *("history", "contacts", "customer_contacts", "order_notes", "card_links", "deposits"),
    }
)
"""Tables that grow: nobody may read one from front to end."""
_WARM_UP: Final = 2
_PLANS_PER_TRIAL: Final = 8

Statement = tuple[str, Any]


@dataclass
class Trial:
    """What was measured of one filter: milliseconds of each page, and what the plans are made of."""

    name: str
    pages_ms: list[float] = field(default_factory=list)
    orders: int = 0
    nodes: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)
    slowest: str = ""

    @property
    def failed(self) -> bool:
        """It missed the bar, or scanned what grows."""
        return self.quantile(0.95) >= P95_MS_MAX or bool(self.scanned)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.pages_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument(
        "--pages", type=int, default=60, help=f"counted for each filter, after {_WARM_UP} others"
    )
    parser.add_argument(
        "--best-of", type=int, default=1, help="times to read each page; where others work, too"
    )
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    configure_logging("WARNING", "text")
    shop = Shop(chosen.orders, chosen.seed)
    filled_s, trials = run_cli(measured(shop, chosen.pages, chosen.best_of))
    print_report(
        Console(width=None if sys.stdout.isatty() else 150), shop, filled_s, trials, best_of=chosen.best_of
    )
    print(json.dumps(result_of(shop, filled_s, trials) | {"best_of": chosen.best_of}))
    return int(any(trial.failed for trial in trials))


def result_of(shop: Shop, filled_s: float, trials: list[Trial]) -> dict[str, Any]:
    """What the last line says: milliseconds by filter, and seconds of the fill."""
    p95_ms = {trial.name: round(trial.quantile(0.95), 1) for trial in trials}
    return {
        "orders": shop.orders,
        "p95_ms": p95_ms,
        "worst_p95_ms": max(p95_ms.values()),
        "fill_s": round(filled_s),
    }


async def measured(shop: Shop, pages: int, best_of: int = 1) -> tuple[float, list[Trial]]:
    """Seconds of the fill, and every trial."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        async with EmbeddedPostgres(durable=False) as postgres:
            url = await postgres.ensure_database("teiki")
            await asyncio.to_thread(migrate.upgrade, url)
            filling = progress.add_task("orders poured in", total=shop.orders)
            begun = time.perf_counter()
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await fill(connection, shop, lambda more: progress.advance(filling, more))
            filled_s = time.perf_counter() - begun
            reading = progress.add_task("filters tried", total=len(TRIALS))
            database = Database.connect(url, pool_size=2)
            try:
                await tried(database, shop, "no filter", pages)  # caches and connections, once
                trials = []
                for name in TRIALS:
                    trials.append(await tried(database, shop, name, pages, best_of))
                    progress.advance(reading)
            finally:
                await database.close()
    return filled_s, trials


async def tried(database: Database, shop: Shop, name: str, pages: int, best_of: int = 1) -> Trial:
    """So many pages of one filter, the quickest reading of each, then a look at the plans of some."""
    chance = random.Random(f"{shop.seed}/{name}")
    trial = Trial(name)
    sample: list[list[Statement]] = []
    slowest: tuple[float, list[Statement]] = (0.0, [])
    for turn in range(-_WARM_UP, pages):
        conditions = asked(name, chance, shop)
        wanted = OrderFilter.model_validate(conditions)
        cursor = _deep(chance) if turn % 3 else None
        readings_ms = []
        for _ in range(best_of):
            with statements_of(database) as statements:
                begun = time.perf_counter()
                page = await list_orders(database, wanted, cursor)
                readings_ms.append((time.perf_counter() - begun) * 1000)
        took_ms = min(readings_ms)
        if turn < 0:
            continue
        trial.pages_ms.append(took_ms)
        trial.orders += len(page.items)
        if turn < _PLANS_PER_TRIAL:
            sample.append(statements)
        if took_ms > slowest[0]:
            slowest = (took_ms, statements)
            trial.slowest = wanted.model_dump_json(exclude_none=True)
    for statements in (*sample, slowest[1]):
        await look_at_plans(database, statements, trial)
    return trial


def _deep(chance: random.Random) -> str:
    at: datetime = START + timedelta(seconds=chance.random() * SECONDS)
    return encode_cursor(at, "ord_0")


@contextmanager
def statements_of(database: Database) -> Iterator[list[Statement]]:
    """What is sent to Postgres meanwhile."""
    heard: list[Statement] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        heard.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", hear)


async def look_at_plans(database: Database, statements: list[Statement], trial: Trial) -> None:
    """The plans of one page's statements, under the settings it made."""
    async with database.reading() as connection:
        for statement, parameters in statements:
            if "set_config" in statement:
                await connection.exec_driver_sql(statement)
                continue
            explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            for node in _nodes(explained.scalar_one()[0]["Plan"]):
                _note(node, trial)


def _note(node: dict[str, Any], trial: Trial) -> None:
    relation = node.get("Relation Name", "")
    if node["Node Type"] == "Seq Scan" and relation in BIG:
        trial.scanned.add(relation)
    if "Scan" in node["Node Type"] and (relation or "Index Name" in node):
        trial.nodes.add(node.get("Index Name") or f"{node['Node Type']} {relation}")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def print_report(
    console: Console, shop: Shop, filled_s: float, trials: list[Trial], *, best_of: int = 1
) -> None:
    console.print(place(), highlight=False)
    console.print(
        f"{shop.orders:,} orders of {shop.customers:,} customers, poured in within {filled_s:.0f} s"
    )
    table = Table(
        "filter",
        title=f"A page of 50 in ms, best of {best_of}, after {_WARM_UP} uncounted ones of each filter;"
        f" the bar is p95 < {P95_MS_MAX:.0f}",
        title_justify="left",
    )
    for column in ("pages", "orders", "p50", "p95", "max"):
        table.add_column(column, justify="right")
    table.add_column("indexes")
    for trial in trials:
        p95 = trial.quantile(0.95)
        style = "red" if trial.failed else None
        told = ", ".join(sorted(trial.nodes - {"pk_orders", "pk_customers"}))
        scanned = f"SEQUENTIAL: {', '.join(sorted(trial.scanned))} " if trial.scanned else ""
        missed = "MISSED " if p95 >= P95_MS_MAX else ""
        numbers = (f"{trial.quantile(0.5):.1f}", f"{p95:.1f}", f"{max(trial.pages_ms):.1f}")
        table.add_row(
            trial.name,
            str(len(trial.pages_ms)),
            str(trial.orders),
            *numbers,
            missed + scanned + told,
            style=style,
        )
    console.print(table)
    for trial in (trial for trial in trials if trial.failed):
        console.print(f"slowest of {trial.name}: {trial.slowest}", markup=False, highlight=False, style="red")


if __name__ == "__main__":
    sys.exit(main())
