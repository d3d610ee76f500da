"""A worker process of the benchmark: `python -m bench.host ARM`, told what to do by lines of JSON on standard input.

It is made like `worker.py`, with the same activities and options, except for the workflow in time lapse and for what
the driver varies: workflow sandbox, converter and cache. One process serves one arm for the whole benchmark, so that
imports and first calls are paid once and its CPU time is the arm's.

    → {"do": "build", "queue": …, "renewals": 8, "target": 480, "cache": 1000}     ← {"did": "build"}
    → {"do": "go"}                                                                 ← {"did": "go", "seconds": 6.1}
    → {"do": "stop"}                                                               ← {"did": "stop"}

Standard input closing ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.billing import BillingActivities
from activities.contracts.billing import CHARGE, ChargeInput, Outcome
from activities.records import RecordsActivities
from bench.knobs import KNOBS
from bench.timelapse import NOTHING, Empty, TimeLapse
from db.engine import Database
from gateways.sandbox_client import SandboxGateway
from runtime.lifecycle import run_cli
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect
from worker import deployment_of
from workflows.catalogue import AddPaymentMethodEntry, CloseIncidentEntry, PutCustomerEntry, PutProductEntry

EMPTY: Final = "empty"
EMPTY_CUT: Final = "empty-cut"
EMPTY_ENCODED: Final = "empty-encoded"
SUBSCRIPTION: Final = "subscription"
SUBSCRIPTION_SANDBOXED: Final = "subscription-sandboxed"
EMPTIES: Final = (EMPTY, EMPTY_CUT, EMPTY_ENCODED)
ARMS: Final = (*EMPTIES, SUBSCRIPTION, SUBSCRIPTION_SANDBOXED)


class Tally:
    """Counts activities done, and says when there were enough."""

    def __init__(self, target: int) -> None:
        self._left = target
        self.reached = asyncio.Event()

    def add(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()


@dataclass(frozen=True)
class CountedBilling(BillingActivities):
    """The real activities; a charge that came to its end is counted."""

    tally: Tally

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> Outcome:
        result = await super().charge(order)
        self.tally.add()
        return result


def _counted_nothing(tally: Tally) -> Callable[..., Any]:
    @activity.defn(name=NOTHING)
    async def nothing() -> None:
        tally.add()

    return nothing


class Host:
    """Builds, runs and stops one worker at a time."""

    def __init__(self, arm: str, settings: Settings, client: Client) -> None:
        self._arm = arm
        self._settings = settings
        self._client = client
        self._database = Database.connect(settings.database, pool_size=settings.database_pool_size)
        self._gateway = SandboxGateway(settings.gateway_url)

    def build(self, *, queue: str, renewals: int, target: int, cache: int) -> None:
        KNOBS.renewals = renewals
        self._tally = Tally(target)
        common: dict[str, Any] = {
            "task_queue": queue,
            "max_cached_workflows": cache,
            "max_concurrent_activities": self._settings.max_concurrent_activities,
            "deployment_config": deployment_of(self._settings),
        }
        if self._arm in EMPTIES:
            self._worker = Worker(
                self._client,
                workflows=[Empty],
                activities=[_counted_nothing(self._tally)],
                workflow_runner=UnsandboxedWorkflowRunner(),
                **common,
            )
            return
        billing = CountedBilling(self._database, self._gateway, self._tally)
        records = RecordsActivities(self._database, self._gateway)
        self._worker = Worker(
            self._client,
            workflows=[
                TimeLapse,
                PutCustomerEntry,
                PutProductEntry,
                AddPaymentMethodEntry,
                CloseIncidentEntry,
            ],
            activities=[*billing.registered(), *records.registered()],
            **common,
        )

    async def go(self) -> float:
        """Let the worker work; seconds until enough activities were done."""
        begun = time.perf_counter()
        self._running = asyncio.create_task(self._worker.run())
        reached = asyncio.create_task(self._tally.reached.wait())
        await asyncio.wait([self._running, reached], return_when=asyncio.FIRST_COMPLETED)
        seconds = time.perf_counter() - begun
        if self._running.done():
            await self._running  # it failed, and says why
        return seconds

    async def stop(self) -> None:
        await self._worker.shutdown()
        await self._running

    async def close(self) -> None:
        await self._gateway.close()
        await self._database.close()


async def client_of(arm: str, settings: Settings) -> Client:
    """Like the product's; for the plain empty arms Temporal's own converter and no codec."""
    if arm not in (EMPTY, EMPTY_CUT):
        return await connect(settings)
    assert settings.temporal_address is not None
    return await Client.connect(settings.temporal_address)


async def serve(arm: str) -> None:
    settings = Settings.load(workflow_sandbox=arm == SUBSCRIPTION_SANDBOXED)
    start_telemetry(settings)
    host = Host(arm, settings, await client_of(arm, settings))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    try:
        while line := await lines.readline():
            order = json.loads(line)
            answer: dict[str, Any] = {"did": order["do"]}
            if order["do"] == "build":
                host.build(**{name: value for name, value in order.items() if name != "do"})
            elif order["do"] == "go":
                answer["seconds"] = await host.go()
            else:
                await host.stop()
            print(json.dumps(answer), flush=True)
    finally:
        await host.close()


if __name__ == "__main__":
    run_cli(serve(sys.argv[1]), fast_loop=True)  # as a worker's
