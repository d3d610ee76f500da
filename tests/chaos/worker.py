"""A chaos worker: `worker.py`'s composition with time lapsed, waiting scaled, points of death and, if asked, a hole.

    python -m tests.chaos.worker

It is told what to do by `TEIKI_*` like any worker, and by `CHAOS_WORKER`, one line of JSON (`Orders`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import time_machine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.billing import BillingActivities
from activities.credits import CreditsActivities
from activities.engine_commands import EngineCommands
from activities.orders import OrdersActivities
from activities.records import RecordsActivities
from db.circuits import CircuitRows
from db.engine import Database
from gateways.circuit import Circuit
from gateways.guarded import GuardedGateway
from gateways.port import PaymentGateway
from gateways.sandbox_client import SandboxGateway
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect
from tests.chaos import guards, scale
from tests.chaos.fuses import Fuse, FusedDatabase, FusedGateway, Fuses
from tests.chaos.timelapse import TimeLapse, TimeLapseOrder
from worker import WORKFLOWS, deployment_of
from workflows.order import Order
from workflows.reconciliation import Reconciliation
from workflows.subscription import Subscription

VARIABLE: Final = "CHAOS_WORKER"

_logger = logging.getLogger("chaos.worker")


@dataclass(frozen=True)
class Orders:
    """Who this worker is, when it is to die, and what it lacks.

    Attributes:
        name: with its incarnation, as in `b-3`.
        skew_days: how far its wall clock is off.
    """

    name: str
    journal: str
    fuses: list[Fuse] = field(default_factory=list)
    guard_off: str | None = None
    skew_days: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        given: dict[str, Any] = json.loads(text)
        return cls(**{**given, "fuses": [Fuse(**fuse) for fuse in given["fuses"]]})


async def serve(settings: Settings, orders: Orders, fuses: Fuses, stop: asyncio.Event) -> None:
    """Work until `stop`, or until a fuse is reached."""
    client = await connect(settings)
    kind = guards.ForgetfulDatabase if orders.guard_off == "outbox" else FusedDatabase
    database = kind.fused(settings.database, fuses, pool_size=settings.database_pool_size)
    gateway = _gateway(settings, orders, fuses, database)
    billing = guards.CarelessBilling if orders.guard_off == "verification" else BillingActivities
    activities = [
        *billing(database, gateway).registered(),
        *RecordsActivities(database, gateway).registered(),
        *OrdersActivities(database, gateway, EngineCommands(client)).registered(),
        *CreditsActivities(database, gateway).registered(),
    ]
    worker = _worker(client, settings, activities)
    try:
        async with worker:
            mark_ready(settings.ready_file)
            await stop.wait()
    finally:
        await gateway.close()
        await database.close()


def _gateway(settings: Settings, orders: Orders, fuses: Fuses, database: Database) -> PaymentGateway:
    gateway: Any = SandboxGateway(
        settings.gateway_url, timeout=scale.CLIENT_TIMEOUT, inflight_horizon=guards.horizon(orders.guard_off)
    )
    if orders.guard_off == "key":
        gateway = guards.KeylessGateway(gateway)
    elif orders.guard_off == "lookup":
        gateway = guards.BlindGateway(gateway)
    fused: Any = FusedGateway(gateway, fuses)
    return GuardedGateway(fused, Circuit(CircuitRows(database, settings.gateway), policy=scale.CIRCUIT))


def _worker(client: Client, settings: Settings, activities: list[Callable[..., Any]]) -> Worker:
    lapsed: dict[type, type] = {Subscription: TimeLapse, Order: TimeLapseOrder}
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[lapsed.get(each, each) for each in WORKFLOWS if each is not Reconciliation],
        activities=activities,
        max_cached_workflows=settings.max_cached_workflows,
        max_concurrent_activities=settings.max_concurrent_activities,
        graceful_shutdown_timeout=timedelta(seconds=settings.graceful_shutdown_seconds),
        deployment_config=deployment_of(settings),
    )


def main() -> int:
    orders = Orders.from_json(os.environ[VARIABLE])
    scale.apply_to_worker()
    if orders.guard_off == "request_ids":
        guards.forget_requests()
    fuses = Fuses(orders.fuses, Path(orders.journal), orders.name)
    if orders.skew_days:
        wrong = datetime.now(UTC) + timedelta(days=orders.skew_days)
        time_machine.travel(wrong, tick=True).start()
    settings = Settings.load()
    start_telemetry(settings)
    return run_service(
        lambda stop: serve(settings, orders, fuses, stop),
        name="chaos worker",
        ready_file=settings.ready_file,
        fast_loop=True,
    )


if __name__ == "__main__":
    sys.exit(main())
