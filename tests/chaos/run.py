"""One run: load, faults, healing, convergence, and the auditor's word.

Faults strike while the load is on; then everything is healed and must come to rest by itself. What the run says in
the end is in `verdict.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from temporalio.client import Client
from temporalio.service import RPCError

from activities.contracts.blocking import ChangeBlocks
from db.blocking import change_blocks
from db.engine import Database
from domain.errors import ErrorCode, TeikiError
from runtime.temporal import connect
from starter.teiki import Teiki
from tests.chaos import gateway_faults, guards, proxy, scale
from tests.chaos.asking import Asker
from tests.chaos.books import Books, reported_problems, still_running
from tests.chaos.callers import Callers
from tests.chaos.crew import Crew
from tests.chaos.keeping import keep_all
from tests.chaos.plan import Plan
from tests.chaos.servers import Servers, servers
from tests.chaos.shoppers import Shoppers
from tests.chaos.strays import Strays
from tests.chaos.verdict import Facts, Verdict, judge

_CONVERGE_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.25
_BLOCK_TRIES = 60
_MOVE_SECONDS = 8.0
"""How long a deploy waits for work that reaches the new build."""

Say = Callable[[str], None]


async def run(plan: Plan, say: Say, *, keep: Path | None = None) -> Verdict:
    """The whole run; nothing is left running after it. `keep`: where logs and the sandbox's book are copied to."""
    begun = time.monotonic()
    scale.apply_to_caller()
    async with AsyncExitStack() as stack:
        say("starting Postgres, Temporal and the sandbox gateway")
        stage = await stack.enter_async_context(servers(plan))
        if plan.guard_off == "live_attempt":
            await guards.drop_live_attempt_index(stage.database_url)
        crew = Crew(plan, stage)
        await crew.open()
        stack.push_async_callback(crew.close)
        facts = Facts(plan=plan, crew=crew, stage=stage, books=Books(stage.database_url))
        chaos = Chaos(plan, stage, crew, facts, say)
        await chaos.open(stack)
        await chaos.strike()
        await chaos.heal()
        await chaos.converge()
        facts.seconds = time.monotonic() - begun
        verdict = await judge(facts, say)
        if keep is not None:
            await keep_all(stage, chaos.client, keep)
        return verdict


class Chaos:
    """What happens in a run, in the order in which it happens."""

    def __init__(self, plan: Plan, stage: Servers, crew: Crew, facts: Facts, say: Say) -> None:
        self._plan = plan
        self._stage = stage
        self._crew = crew
        self._facts = facts
        self._say = say
        self._strays = facts.strays = Strays(plan, stage)
        self._server_lock = asyncio.Lock()
        self._stop = asyncio.Event()

    async def open(self, stack: AsyncExitStack) -> None:
        """The first workers, the clients."""
        first = await self._crew.hire(self._plan.workers, build="1", letter="a")
        self.client: Client = await connect(self._stage.direct())
        await self._crew.make_current(self.client, "1")
        self._first = first
        settings = await self._stage.proxied()
        teiki = Teiki(await connect(settings), settings)
        stack.push_async_callback(teiki.close)
        asker = Asker(self._plan)
        self._facts.answered = asker.answered
        self._callers = Callers(self._plan, teiki, asker)
        self._shoppers = Shoppers(self._plan, teiki, asker, self._facts.books)
        self._direct = Database.connect(self._stage.database_url, pool_size=2)
        stack.push_async_callback(self._direct.close)

    # ------------------------------------------------------------------ faults

    async def strike(self) -> None:
        """Load and faults together, until the time is over and every wanted fault has met its traffic."""
        plan = self._plan
        self._say(f"{plan.subscriptions} subscriptions; faults strike for {plan.strike_s:.0f} s")
        await self._stage.remote.faults(*gateway_faults.rules_of(plan), seed=plan.seed)
        self._began = time.monotonic()
        self._load = [
            asyncio.create_task(self._callers.open_all(plan.strike_s * 0.4)),
            asyncio.create_task(self._callers.operate(plan.strike_s * 0.9)),
            asyncio.create_task(self._shoppers.shop(plan.strike_s * 0.9)),
            asyncio.create_task(self._shoppers.give_back(plan.strike_s * 0.9)),
        ]
        jobs = [self._strays.roam()] if plan.strays else []
        if plan.profile is None:
            jobs += [self._network(), self._shots(), self._server_kills(), self._restarts(), self._blocks()]
            jobs += [self._deploy()]
        tasks = [asyncio.create_task(job) for job in jobs]
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for task in [*tasks, *self._load]:
                if task.done():
                    task.result()  # a harness that fails must say so, not look calm
            age = time.monotonic() - self._began
            if age > 2 * plan.strike_s or (age > plan.strike_s and await self._enough(tasks)):
                break
            if age > 0.8 * plan.strike_s and int(age * 4) % 12 == 0:
                self._crew.redeal()
            self._tell(age)
        self._stop.set()
        async with self._server_lock:  # a server that is down comes up first
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _enough(self, tasks: list[asyncio.Task[None]]) -> bool:
        """Whether the faults that were wanted have all been there, and enough of the load with them."""
        endless = 2 if self._plan.profile is None else 0
        done = sum(task.done() for task in tasks) >= len(tasks) - endless
        killed = self._crew.killed >= self._plan.kills and not self._crew.deck_left
        return done and killed and await self._facts.books.pairs() >= 0.6 * self._plan.pairs

    async def _network(self) -> None:
        """One proxy after another misbehaves for a moment; also two at once."""
        dice = self._plan.dice("network")
        healing: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            victim = dice.choice(self._stage.proxies)
            fault = dice.choice(proxy.FAULTS)
            victim.strike(fault, latency_s=dice.uniform(0.02, 0.3))
            task = asyncio.create_task(_heal_later(victim, dice.uniform(0.3, 1.5)))
            healing.add(task)
            task.add_done_callback(healing.discard)
            await asyncio.sleep(dice.uniform(0.3, 1.2))

    async def _shots(self) -> None:
        """Workers shot at random moments, until together with the fuses enough have died."""
        dice = self._plan.dice("shots")
        mean_s = self._plan.strike_s / max(1, self._plan.kills)
        while not self._stop.is_set():
            await asyncio.sleep(dice.uniform(1.0, 4.0) * mean_s)
            if self._crew.kills["at random"] < max(1, self._plan.kills // 3):
                self._crew.shoot()

    async def _server_kills(self) -> None:
        await self._several("server_kills", self._plan.server_kills, self._stage.restart_temporal)

    async def _restarts(self) -> None:
        await self._several("database_restarts", self._plan.database_restarts, self._stage.restart_postgres)

    async def _several(self, name: str, count: int, restart: Callable[[float], Awaitable[None]]) -> None:
        """`count` times, each in its own part of the first four fifths; one server at a time."""
        dice = self._plan.dice(name)
        part_s = 0.8 * self._plan.strike_s / max(1, count)
        for number in range(count):
            at = self._began + (number + dice.uniform(0.15, 0.85)) * part_s
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            async with self._server_lock:
                await restart(dice.uniform(0.2, 1.5))
            self._facts.servers_hit[name] += 1

    async def _blocks(self) -> None:
        """Customers are blocked while their payments are under way; every other one is unblocked later and goes on."""
        dice = self._plan.dice("blocks")
        async with asyncio.TaskGroup() as unblocking:
            for number in range(self._plan.blocks):
                await asyncio.sleep(0.7 * self._plan.strike_s / self._plan.blocks)
                is_short = number % 2 == 0
                customers = [known.customer_id for known in self._callers.known]
                if not is_short:  # whoever buys once has nothing that would go on
                    customers += self._shoppers.customers
                if not customers:
                    continue
                customer = dice.choice(customers)
                await self._change_block(customer, "block")
                if is_short:
                    wait_s = dice.uniform(1.0, 2.0) * self._plan.pace_s
                    unblocking.create_task(self._unblock(customer, wait_s))

    async def _unblock(self, customer: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._change_block(customer, "unblock")
        await self._callers.resume_all(customer)

    async def _change_block(self, customer: str, do: Literal["block", "unblock"]) -> None:
        for _ in range(_BLOCK_TRIES):
            if await self._written(customer, do):
                self._facts.blocks[do] += 1
                return
            await asyncio.sleep(0.5)

    async def _written(self, customer: str, do: Literal["block", "unblock"]) -> bool:
        block = ChangeBlocks(
            run_id=f"{customer}/{do}",
            request_id=f"chaos-{do}",
            customer_id=customer,
            do=do,
            details=(customer,),
            at=datetime.now(UTC),
            actor="operator:chaos",
        )
        try:
            await change_blocks(self._direct, block)
        except TeikiError as error:
            if error.code is not ErrorCode.DATABASE_UNAVAILABLE:
                raise
            return False
        return True

    async def _deploy(self) -> None:
        """Half-way a new version: its workers start, it becomes current, and most of the old ones go."""
        await asyncio.sleep(0.45 * self._plan.strike_s)
        # Killed at this very moment, Temporal may need half a minute to know of the new build: then nothing is proved.
        async with self._server_lock:
            self._say("deploying build 2")
            await self._crew.hire(self._plan.workers - 1, build="2", letter="b")
            await self._crew.make_current(self.client, "2")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOVE_SECONDS):
                    while not self._crew.has_charged("b"):  # noqa: ASYNC110 - a journal wakes nobody
                        await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(0.15 * self._plan.strike_s)
        # One stays for those who are pinned to it and wake late.
        await self._crew.dismiss(self._first[1:])
        self._facts.deployed = True

    # ------------------------------------------------------------------ healing

    async def heal(self) -> None:
        """No more faults, from nobody."""
        self._crew.mend()
        for each in self._stage.proxies:
            each.heal()
        self._facts.gateway_fired = dict((await self._stage.remote.fired())["counts"])
        await self._stage.remote.faults(seed=self._plan.seed)
        self._facts.healed_at = time.monotonic()
        self._facts.pairs_at_healing = await self._facts.books.pairs()
        self._say(f"healed, with {self._facts.pairs_at_healing} pairs; waiting for rest")

    async def converge(self) -> None:
        """Until nothing is open any more; says how long what was open at the healing took."""
        facts, deadline = self._facts, time.monotonic() + _CONVERGE_SECONDS_MAX
        in_doubt = await facts.books.open_attempts()
        while time.monotonic() < deadline:
            still_open = await facts.books.open_attempts()
            age = time.monotonic() - facts.healed_at
            if facts.recovery_s is None and not in_doubt & still_open:
                facts.recovery_s = age
            facts.unfinished = [f"{row['id']} {row['status']}" for row in await facts.books.unfinished()]
            with contextlib.suppress(RPCError):
                if not still_open and not facts.unfinished and await self._at_rest():
                    facts.converged_s = age
                    break
            await asyncio.sleep(_POLL_SECONDS)
        facts.open_attempts = sorted(await facts.books.open_attempts())
        await self._at_rest()  # says who still runs
        for task in self._load:
            task.cancel()
        await asyncio.gather(*self._load, return_exceptions=True)
        facts.problems = await reported_problems(self.client)
        facts.statuses = await facts.books.statuses()
        facts.others = await facts.books.others()

    async def _at_rest(self) -> bool:
        """Callers have their answers, and no workflow runs but those of suspended subscriptions that owe nothing."""
        allowed = {f"subscription/{id_}" for id_ in await self._facts.books.suspended()}
        running = {name for name in await still_running(self.client) if not name.startswith("temporal-sys-")}
        self._facts.still_running = sorted(running - allowed)
        return not self._facts.still_running and all(task.done() for task in self._load)

    def _tell(self, age: float) -> None:
        crew = self._crew
        if int(age / _POLL_SECONDS) % 40 == 0:
            self._say(
                f"{age:4.0f} s  {len(self._callers.known)} open, {crew.killed} workers killed, "
                f"{dict(self._facts.servers_hit)}, {sum(self._stage.touched.values())} connections struck"
            )


async def _heal_later(victim: proxy.Proxy, after_s: float) -> None:
    await asyncio.sleep(after_s)
    victim.heal()
