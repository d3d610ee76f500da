"""The measurements, in order: counts, transactions, speed, cold against warm, a simulated year."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from temporalio.api.history.v1 import HistoryEvent

from bench.arms import COLD, WARM, Arm, Load, Measured
from bench.books import Books, default_cycles_per_run, transactions_per_charge
from bench.histories import Counts, count, fetch_chain, steady
from bench.host import EMPTIES, EMPTY, EMPTY_CUT, EMPTY_ENCODED, SUBSCRIPTION, SUBSCRIPTION_SANDBOXED
from bench.simulated import simulate
from bench.stage import Stage, stage
from db.engine import Database
from gateways.sandbox_client import SandboxGateway
from runtime.settings import Settings
from starter.simulate.rest import Onlooker

PRODUCTION: Final = (
    SUBSCRIPTION_SANDBOXED if Settings.model_fields["workflow_sandbox"].default else SUBSCRIPTION
)
"""What production runs is what the headline numbers are of; the other one is a line beside it."""

CUTS: Final = (3, 4, 5, 6, 8, 12)


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        rounds: pairs of production and the empty cycle, cut alike; `side_rounds` of them have the other arms too.
        speed: workflows and renewals each, of one arm in one round.
        cold_pairs: at production's cut; `cut_pairs` at each other.
        cold: workflows and renewals each (rounded up to whole runs).
        plays: simulated years.
    """

    rounds: int = 5
    side_rounds: int = 3
    speed: tuple[int, int] = (40, 12)
    cold_pairs: int = 5
    cut_pairs: int = 1
    cold: tuple[int, int] = (6, 24)
    charges: int = 200
    plays: int = 5

    @property
    def steps(self) -> int:
        """For the progress bar."""
        arms = self.rounds * 2 + self.side_rounds * 3
        pairs = self.cold_pairs + self.cut_pairs * (len(CUTS) - 1)
        return 1 + 1 + arms + 2 * pairs + self.plays + 2


FULL: Final = Plan()
QUICK: Final = Plan(
    rounds=2,
    side_rounds=1,
    speed=(12, 6),
    cold_pairs=1,
    cut_pairs=0,
    cold=(4, 12),
    charges=50,
    plays=2,
)
"""To see that nothing broke: two pairs are no measurement of a ratio."""


@dataclass
class Cut:
    """Cold against warm where the history is cut after so many renewals."""

    cycles_per_run: int
    warm: list[Measured] = field(default_factory=list)
    cold: list[Measured] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    @property
    def ratio(self) -> float:
        """Median over the pairs, of worker's and server's processor time."""
        return statistics.median(
            cold.engine_ms / warm.engine_ms for cold, warm in zip(self.cold, self.warm, strict=True)
        )


@dataclass
class Results:
    """Everything measured."""

    counts: Counts = field(default_factory=Counts)
    counts_time_skipping: Counts = field(default_factory=Counts)
    actions_in_history: int = 0
    actions_by_server: int = 0
    transactions_per_charge: float = 0.0
    loads: dict[str, list[Measured]] = field(default_factory=dict)
    cuts: dict[int, Cut] = field(default_factory=dict)
    simulate_year_s: float = 0.0

    def ratio(self, arm: str, floor: str = EMPTY_CUT) -> float:
        """Renewals per second of this arm ÷ the floor's of the same round, median over the rounds.

        The floor's history is cut as often as ours: an engine that runs for decades must cut it, empty or not.
        """
        return statistics.median(
            ours.rate / empty.rate for ours, empty in zip(self.loads[arm], self.loads[floor], strict=False)
        )

    def cpu_ratio(self, arm: str) -> float:
        """The empty cycle's processor time ÷ this arm's, everything included: what the ratio would be on a machine
        that does nothing else.
        """
        return statistics.median(
            _all_ms(empty) / _all_ms(ours)
            for ours, empty in zip(self.loads[arm], self.loads[EMPTY_CUT], strict=False)
        )


def _all_ms(measured: Measured) -> float:
    return sum(measured.ms(part) for part in ("worker", "server", "postgres", "gateway"))


class Bench:
    """Runs a plan; `tick(what)` is called after each step."""

    def __init__(self, plan: Plan, stage: Stage, books: Books, tick: Callable[[str], None]) -> None:
        self._plan = plan
        self._stage = stage
        self._books = books
        self._tick = tick
        self._arms: dict[str, Arm] = {}
        self.results = Results()

    async def run(self) -> Results:
        await self._counts()
        await self._transactions()
        await self._speed()
        await self._cuts()
        await self.close()
        results = self.results
        results.simulate_year_s, results.counts_time_skipping = await simulate(
            plays=self._plan.plays, tick=lambda: self._tick("a simulated year")
        )
        return results

    async def close(self) -> None:
        for arm in self._arms.values():
            await arm.close()
        self._arms.clear()

    async def _arm(self, name: str) -> Arm:
        if name not in self._arms:
            self._arms[name] = await Arm.started(name, self._stage)
            renewals = 2 if name in EMPTIES else 6  # first calls are dearer: not measured
            await self._arms[name].run(Load(4, renewals, None if name in EMPTIES else 6), self._books)
        return self._arms[name]

    async def _counts(self) -> None:
        """One subscription by itself on the real server; its histories, and the server's own count of actions."""
        cut = default_cycles_per_run()
        arm = await self._arm(PRODUCTION)
        before = await self._actions_by_server()
        load = Load(workflows=1, renewals=4 * cut, cycles_per_run=cut)

        async def look(measured: Measured) -> None:
            runs = await self._chain(measured)
            self.results.counts = steady(runs)
            self.results.actions_in_history = sum(count(run).actions for run in runs)

        await arm.run(load, self._books, look=look)
        self.results.actions_by_server = await self._actions_by_server() - before
        self._tick("counts")

    async def _chain(self, measured: Measured) -> list[list[HistoryEvent]]:
        handle = measured.handles[0]
        await Onlooker(self._stage.client).wait_for_rest(
            [handle.id]
        )  # the last run may be in the middle of its cut
        assert handle.first_execution_run_id is not None
        return await fetch_chain(self._stage.client, handle.id, handle.first_execution_run_id)

    async def _actions_by_server(self) -> int:
        """The server's metric `action`; it is reported with a delay, so until two readings agree."""
        last, now = -1, 0
        async with aiohttp.ClientSession() as http:
            while last != now:
                await asyncio.sleep(1.2)
                async with http.get(self._stage.temporal.metrics_url) as answer:
                    last, now = now, sum_of("action", await answer.text())
        return now

    async def _transactions(self) -> None:
        gateway = SandboxGateway(self._stage.settings.gateway_url)
        try:
            self.results.transactions_per_charge = await transactions_per_charge(
                self._stage.settings.database, gateway, charges=self._plan.charges
            )
        finally:
            await gateway.close()
        self._tick("transactions")

    async def _speed(self) -> None:
        """Rounds of arms one after another; the order turns, so that no arm is always the first."""
        workflows, renewals = self._plan.speed
        for number in range(self._plan.rounds):
            names = [EMPTY_CUT, PRODUCTION]
            if number < self._plan.side_rounds:
                other = SUBSCRIPTION if PRODUCTION == SUBSCRIPTION_SANDBOXED else SUBSCRIPTION_SANDBOXED
                names += [EMPTY, EMPTY_ENCODED, other]
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                load = Load(workflows, renewals, None if name == EMPTY else default_cycles_per_run())
                arm = await self._arm(name)
                self.results.loads.setdefault(name, []).append(await arm.run(load, self._books))
                self._tick(f"speed, round {number + 1} of {self._plan.rounds}")

    async def _cuts(self) -> None:
        arm = await self._arm(PRODUCTION)
        default = default_cycles_per_run()
        for cycles in CUTS if default in CUTS else (*CUTS, default):
            pairs = self._plan.cold_pairs if cycles == default else self._plan.cut_pairs
            if pairs:
                cut = self.results.cuts[cycles] = Cut(cycles)
                await self._cold_against_warm(arm, cut, pairs)

    async def _cold_against_warm(self, arm: Arm, cut: Cut, pairs: int) -> None:
        async def look(measured: Measured) -> None:
            runs = await self._chain(measured)
            if len(runs) >= 3:
                cut.counts = steady(runs)

        workflows, at_least = self._plan.cold
        renewals = cut.cycles_per_run * -(-at_least // cut.cycles_per_run)
        for number in range(pairs):
            order = [(WARM, cut.warm), (COLD, cut.cold)]
            for cache, into in order if number % 2 == 0 else reversed(order):
                load = Load(workflows, renewals, cut.cycles_per_run, cache)
                into.append(await arm.run(load, self._books, look=look if cache == WARM else None))
                self._tick(f"cold and warm, cut after {cut.cycles_per_run}")


def sum_of(metric: str, exposition: str) -> int:
    """The sum over all labels of a counter in Prometheus' text format."""
    lines = re.findall(rf"^{metric}(?:\{{[^}}]*\}})? (\S+)$", exposition, flags=re.MULTILINE)
    return int(sum(float(value) for value in lines))


@asynccontextmanager
async def bench(plan: Plan, tick: Callable[[str], None]) -> AsyncIterator[Bench]:
    """The servers and the books, while it lasts."""
    async with stage() as servers:
        database = Database.connect(servers.settings.database, pool_size=10)
        gateway = SandboxGateway(servers.settings.gateway_url)
        books = Books(database, gateway)
        await books.open()
        made = Bench(plan, servers, books, tick)
        try:
            yield made
        finally:
            await made.close()
            await gateway.close()
            await database.close()
