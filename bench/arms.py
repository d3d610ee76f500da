"""Running an arm: its worker process, its workflows, and what one load cost."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import psutil
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from bench.books import Books, input_of
from bench.host import EMPTIES, client_of
from bench.stage import ROOT, CpuSeconds, Stage, environment, python_module
from bench.timelapse import Empty, EmptyInput
from domain.identifiers import subscription_workflow_id
from domain.subscription import State
from runtime.embedded.processes import leashed
from workflows.subscription import Subscription
from workflows.visibility import CUSTOMER, KIND, PRODUCT, STATUS

WARM: Final = 1000
COLD: Final = 0
"""Nothing is kept: each workflow task replays its run."""

_ANSWER_SECONDS_MAX: Final = 240.0
_STARTS_AT_ONCE: Final = 20


@dataclass(frozen=True)
class Load:
    """How much an arm has to do."""

    workflows: int
    renewals: int
    cycles_per_run: int | None
    cache: int = WARM

    @property
    def total(self) -> int:
        return self.workflows * self.renewals


@dataclass(frozen=True)
class Measured:
    """What one load took."""

    load: Load
    seconds: float
    cpu: CpuSeconds
    handles: list[WorkflowHandle[Any, Any]]

    @property
    def rate(self) -> float:
        """Renewals per second."""
        return self.load.total / self.seconds

    def ms(self, part: str) -> float:
        """Milliseconds of processor per renewal, of one part."""
        return 1000 * float(getattr(self.cpu, part)) / self.load.total

    @property
    def engine_ms(self) -> float:
        """Of worker and server together."""
        return self.ms("worker") + self.ms("server")


class Arm:
    """One worker process. Use `Arm.started`, and `close` in the end."""

    def __init__(self, name: str, stage: Stage, client: Client, process: Process) -> None:
        self.name = name
        self._stage = stage
        self._client = client
        self._process = process
        self._psutil = psutil.Process(process.pid)

    @classmethod
    async def started(cls, name: str, stage: Stage) -> Arm:
        with (stage.home / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leashed(python_module("bench.host", name), death_signal=signal.SIGKILL),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd=ROOT,  # `-m` looks there first
                env=environment(stage.variables),
            )
        return cls(name, stage, await client_of(name, stage.settings), process)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def run(
        self, load: Load, books: Books, *, look: Callable[[Measured], Awaitable[None]] | None = None
    ) -> Measured:
        """Do this load; `look` sees the workflows before they are ended."""
        queue = f"bench-{self.name}-{secrets.token_hex(4)}"
        handles = await self._start(load, books, queue)
        await self.build(queue=queue, renewals=load.renewals, target=load.total, cache=load.cache)
        before = self._stage.cpu(self._psutil)
        seconds = await self.go()
        measured = Measured(load, seconds, self._stage.cpu(self._psutil).since(before), handles)
        if look is not None:
            await look(measured)
        await self.stop()
        for each in _batches(handles):
            await asyncio.gather(*(handle.terminate("measured") for handle in each))
        return measured

    async def build(self, *, queue: str, renewals: int, target: int, cache: int = WARM) -> None:
        await self._ask("build", queue=queue, renewals=renewals, target=target, cache=cache)

    async def go(self) -> float:
        """Seconds until the target was reached."""
        return float((await self._ask("go"))["seconds"])

    async def stop(self) -> None:
        await self._ask("stop")

    async def _start(self, load: Load, books: Books, queue: str) -> list[WorkflowHandle[Any, Any]]:
        if self.name in EMPTIES:
            starts = [self._start_empty(load, queue) for _ in range(load.workflows)]
        else:
            assert load.cycles_per_run is not None
            starts = [
                start_subscription(self._client, state, queue=queue, cycles_per_run=load.cycles_per_run)
                for state in await books.subscriptions(load.workflows)
            ]
        handles: list[WorkflowHandle[Any, Any]] = []
        for each in _batches(starts):
            handles += await asyncio.gather(*each)
        return handles

    async def _start_empty(self, load: Load, queue: str) -> WorkflowHandle[Any, Any]:
        return await self._client.start_workflow(
            Empty.run,
            EmptyInput(cycles_per_run=load.cycles_per_run),
            id=f"empty/{secrets.token_hex(13)}",
            task_queue=queue,
        )

    async def _ask(self, do: str, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_SECONDS_MAX)
        except TimeoutError:
            line = b""
        if not line:
            log = (self._stage.home / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"The worker of {self.name} gave no answer to {do!r}:\n{log[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        assert answer["did"] == do, answer
        return answer


async def start_subscription(
    client: Client, state: State, *, queue: str, cycles_per_run: int
) -> WorkflowHandle[Any, Any]:
    """Start the real workflow in the middle of its life, shown as the product shows it."""
    return await client.start_workflow(
        Subscription.run,
        input_of(state, cycles_per_run=cycles_per_run),
        id=subscription_workflow_id(state.id),
        task_queue=queue,
        static_summary="Subscription",
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(STATUS, state.status.value),
                SearchAttributePair(CUSTOMER, state.customer_id),
                SearchAttributePair(PRODUCT, state.product_id),
                SearchAttributePair(KIND, "subscription"),
            ]
        ),
    )


def _batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + _STARTS_AT_ONCE] for start in range(0, len(items), _STARTS_AT_ONCE)]
