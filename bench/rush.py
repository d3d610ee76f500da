"""One arm of the stampede: its servers, its worker processes, its crowd, and how long that takes to drain."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil
from temporalio.client import Client, WorkflowHandle

from bench.arms import start_subscription
from bench.books import Books, default_cycles_per_run
from bench.crowd import charged_once, enter, overdue, start_all
from bench.operator_desk import Clerk, Operator, Visitor
from bench.rush_worker import APPOINTMENTS, EIGHT_BYTES, SUBSCRIPTIONS
from bench.stage import CpuSeconds, Stage, environment, python_module, stage
from bench.timelapse import Appointment, AppointmentInput
from db.engine import Database
from domain.subscription import State
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG
from starter.engine import Engine
from starter.teiki import Teiki

_STARTS_AT_ONCE: Final = 30
_WARM_UP: Final = 40
_SLOWER_BY: Final = 25_000
"""Seating so many takes twice as long per subscription as seating a few hundred."""
_LOOK_SECONDS: Final = 0.2
_LOOK_SHARE: Final = 0.01
"""Of the time gone by: to count what is left of ten thousand costs the database something."""
_PATIENCE_SECONDS: Final = 900.0


@dataclass(frozen=True)
class Drain:
    """One arm's stampede."""

    due: int
    seconds: float
    cpu: CpuSeconds
    latencies_s: Sequence[float] = ()
    unanswered: int = 0
    charged_once: bool = True
    events: float = 0.0

    @property
    def rate(self) -> float:
        return self.due / self.seconds

    def latency(self, share: float) -> float:
        """A percentile of the operations' latencies, in seconds."""
        ranked = sorted(self.latencies_s)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0

    def told(self, floor: Drain) -> dict[str, Any]:
        return {
            "drain_seconds": round(self.seconds, 2),
            "drain_ratio": round(self.seconds / floor.seconds, 3),
            "updates": len(self.latencies_s),
            "updates_p50_s": round(self.latency(0.5), 3),
            "updates_p95_s": round(self.latency(0.95), 3),
            "updates_max_s": round(self.latency(1.0), 3),
            "unanswered": self.unanswered,
            "events": round(self.events, 2),
            "charged_once": self.charged_once,
        }


Say = Callable[[str], None]
Start = Callable[[], Coroutine[Any, Any, WorkflowHandle[Any, Any]]]


@dataclass(frozen=True)
class Arm:
    """How an arm is run.

    Attributes:
        due: how many are due at the instant.
        workers: worker processes.
        say: where progress is told.
        overrides: options of Temporal's `Worker` in place of production's; see `bench.rush_worker`.
        variables: settings in place of production's, `TEIKI_…`.
        dynamic_config: the settings of Temporal's server.
        precedence: whether the SDK puts a subscription in front while it waits for its answer.
    """

    due: int
    workers: int
    say: Say
    overrides: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    dynamic_config: Mapping[str, str] = field(default_factory=lambda: DYNAMIC_CONFIG)
    precedence: bool = True


class Rush:
    """One stage with its workers, and a crowd in front of them."""

    def __init__(self, servers: Stage, workers: Sequence[psutil.Process], say: Say) -> None:
        self.stage = servers
        self._workers = workers
        self._say = say

    def cpu(self) -> CpuSeconds:
        each = [self.stage.cpu(worker) for worker in self._workers]
        return CpuSeconds(sum(cpu.worker for cpu in each), each[0].server, each[0].postgres, each[0].gateway)

    async def seated(self, starts: Callable[[datetime, int], Awaitable[list[Start]]], count: int) -> datetime:
        """Start the crowd for an instant far enough ahead; answers the instant.

        How fast they can be started is tried with a few whose day is tomorrow.
        """
        loop = asyncio.get_running_loop()
        few = max(1, min(300, count // 10))
        tomorrow = _whole_second(24 * 3600)
        await self._start(await starts(tomorrow, min(few, _WARM_UP)))  # first calls are dearer
        begun = loop.time()
        await self._start(await starts(tomorrow, few))
        # Seating slows down with the crowd: the server keeps all of it in one SQLite, and does most of the work.
        lead = 4 + 1.6 * (1 + count / _SLOWER_BY) * (loop.time() - begun) * count / few
        due_at = _whole_second(lead)
        try:
            async with asyncio.timeout((due_at - datetime.now(UTC)).total_seconds()):
                self._handles = await self._start(await starts(due_at, count))
        except TimeoutError:
            raise RuntimeError(
                f"The crowd of {count} was late to its seats ({lead:.0f} s were given): try again."
            ) from None
        left = (due_at - datetime.now(UTC)).total_seconds()
        self._say(f"{count} seated, {left:.0f} s before the instant")
        return due_at

    async def _start(self, starts: list[Start]) -> list[WorkflowHandle[Any, Any]]:
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            if done % 500 == 0:
                self._say(f"started {done} of {len(starts)}")

        return await start_all(starts, at_once=_STARTS_AT_ONCE, tick=tick)

    async def drained(
        self, due_at: datetime, left: Callable[[], Awaitable[int]], count: int, clerk: Clerk
    ) -> Drain:
        """From the instant until nothing is left, with somebody at work meanwhile."""
        stop = asyncio.Event()
        await asyncio.sleep((due_at - datetime.now(UTC)).total_seconds())
        loop, before = asyncio.get_running_loop(), self.cpu()
        begun, looks = loop.time(), 0
        working = asyncio.create_task(clerk.work(stop))
        while remaining := await left():
            seconds = loop.time() - begun
            looks += 1
            if looks % 25 == 0:
                self._say(f"{seconds:.0f} s: {remaining} left")
            if seconds > _PATIENCE_SECONDS:
                raise RuntimeError(f"After {seconds:.0f} s {remaining} are still due.")
            await asyncio.sleep(max(_LOOK_SECONDS, _LOOK_SHARE * seconds))
        seconds, cpu = loop.time() - begun, self.cpu().since(before)
        stop.set()
        await working
        return Drain(
            count,
            seconds,
            cpu,
            latencies_s=clerk.latencies_s,
            unanswered=len(clerk.unanswered),
            events=await self._events(),
        )

    async def _events(self) -> float:
        """History events per workflow, of some: what the engine did in vain (time-outs, lost tasks) shows here."""
        some = random.sample(self._handles, min(100, len(self._handles)))
        last, now = 0, 1
        while last != now:
            await asyncio.sleep(1)  # the last tasks come to their end
            last, now = now, sum([(await handle.describe()).history_length for handle in some])
        return now / len(some)


def _whole_second(ahead_s: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=int(ahead_s) + 1)


@asynccontextmanager
async def _rush(what: str, arm: Arm) -> AsyncIterator[tuple[Rush, list[Path]]]:
    """Servers and worker processes of one arm; the second part are the workers' counts, as files."""
    async with stage(arm.dynamic_config) as servers:
        processes, counts = [], []
        try:
            for number in range(arm.workers):
                count, ready = servers.home / f"count-{number}", servers.home / f"ready-{number}"
                count.write_bytes(EIGHT_BYTES.pack(0))
                counts.append(count)
                own = {**servers.variables, **arm.variables, "TEIKI_READY_FILE": str(ready)}
                log = servers.home / f"worker-{number}.log"
                command = python_module(
                    "bench.rush_worker", what, str(count), json.dumps(dict(arm.overrides))
                )
                processes.append(await spawn(command, log=log, env=environment(own)))
                while not ready.exists():
                    if processes[-1].returncode is not None:
                        raise RuntimeError(f"A worker did not start:\n{tail(log)}")
                    await asyncio.sleep(0.05)
            yield Rush(servers, [psutil.Process(process.pid) for process in processes], arm.say), counts
        finally:
            await asyncio.gather(*(end(process, patience_seconds=1) for process in processes))


async def empty(arm: Arm, *, at_the_turnstile: bool = False) -> Drain:
    """The floor: as many empty workflows due at one instant, and visitors who ask the least that can be asked."""
    async with _rush(APPOINTMENTS, arm) as (rush, counts):
        settings = rush.stage.settings
        assert settings.temporal_address is not None
        client = await Client.connect(settings.temporal_address)

        ids: list[str] = []

        async def starts(due_at: datetime, how_many: int) -> list[Start]:
            start = AppointmentInput(due_at.timestamp(), at_the_turnstile)
            ids[:] = [f"empty/{secrets.token_hex(13)}" for _ in range(how_many)]
            return [
                functools.partial(
                    client.start_workflow, Appointment.run, start, id=id_, task_queue=settings.task_queue
                )
                for id_ in ids
            ]

        async def left() -> int:
            return arm.due - sum(int(EIGHT_BYTES.unpack(file.read_bytes())[0]) for file in counts)

        due_at = await rush.seated(starts, arm.due)
        visitor = Visitor(ids, client=client)
        return await rush.drained(due_at, left, arm.due, visitor)


async def subscriptions(arm: Arm) -> Drain:
    """The real thing, with an operator at work."""
    async with _rush(SUBSCRIPTIONS, arm) as (rush, _), _desk(rush.stage) as (database, gateway, books, teiki):
        states: list[State] = []

        async def starts(due_at: datetime, how_many: int) -> list[Start]:
            states[:] = await enter(database, books, how_many, due_at)
            return [
                functools.partial(
                    start_subscription,
                    rush.stage.client,
                    state,
                    queue=rush.stage.settings.task_queue,
                    cycles_per_run=default_cycles_per_run(),
                )
                for state in states
            ]

        due_at = await rush.seated(starts, arm.due)
        if not arm.precedence:
            teiki.engine = Engine(
                rush.stage.client,
                rush.stage.settings.task_queue,
                gate=teiki.gate,
                precedence=lambda client, workflow_id: contextlib.nullcontext(),
            )
        operator = Operator([state.id for state in states], teiki=teiki)
        drain = await rush.drained(due_at, functools.partial(overdue, database, due_at), arm.due, operator)
        once = await charged_once(database, gateway, states, due_at=due_at, touched=operator.touched)
        for error in operator.unanswered[:3]:
            arm.say(f"unanswered: {error}")
        return dataclasses.replace(drain, charged_once=once)


@asynccontextmanager
async def _desk(servers: Stage) -> AsyncIterator[tuple[Database, SandboxGateway, Books, Teiki]]:
    database = Database.connect(servers.settings.database, pool_size=4)
    gateway = SandboxGateway(servers.settings.gateway_url)
    books = Books(database, gateway)
    await books.open()
    teiki = await Teiki.connect(servers.settings)
    try:
        yield database, gateway, books, teiki
    finally:
        await teiki.close()
        await gateway.close()
        await database.close()
