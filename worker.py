"""The composition root: settings → engine → gateway → activities → worker.

Run it as `python -m worker` or `teiki worker`. Everything that does something is put together here and nowhere else;
nothing imports this module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)
from temporalio.common import MetricMeter, VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.billing import BillingActivities
from activities.contracts.reconciliation import ReconciliationInput
from activities.contracts.webhooks import HandOver
from activities.engine_bell import EngineBell
from activities.engine_census import EngineCensus
from activities.engine_commands import EngineCommands
from activities.orders import OrdersActivities
from activities.reconciliation import ReconciliationActivities
from activities.records import RecordsActivities
from activities.webhooks import WebhooksActivities
from db.circuits import CircuitRows
from db.engine import Database
from gateways.circuit import Circuit, CircuitPolicy, CircuitState
from gateways.factory import gateway_of
from gateways.guarded import GuardedGateway
from gateways.port import PaymentGateway
from runtime.lifecycle import mark_ready, run_service
from runtime.schedules import ensure_schedule
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.telemetry import process_runtime, start_telemetry
from runtime.temporal import connect, ensure_search_attributes
from workflows.catalogue import (
    AddNoteEntry,
    AddPaymentMethodEntry,
    CloseIncidentEntry,
    IdentifyEntry,
    PutCustomerEntry,
    PutProductEntry,
)
from workflows.konbini_deposit import KonbiniDeposit
from workflows.order import Order
from workflows.reconciliation import Reconciliation
from workflows.subscription import Subscription
from workflows.webhook_inbox import WebhookInbox

WORKFLOWS = [
    Subscription,
    Order,
    KonbiniDeposit,
    Reconciliation,
    PutCustomerEntry,
    PutProductEntry,
    AddPaymentMethodEntry,
    CloseIncidentEntry,
    AddNoteEntry,
    IdentifyEntry,
    WebhookInbox,
]

RECONCILIATION = "reconciliation"
WEBHOOK_INBOX = "webhook-inbox"
"""The schedules' ids, and the beginnings of their runs' ids."""

_logger = logging.getLogger("worker")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop`, then finish what is under way."""
    client = await connect(settings)
    await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    database = Database.connect(settings.database, pool_size=settings.database_pool_size)
    gateway = guarded_gateway(settings, database, process_runtime(settings).metric_meter)
    billing = BillingActivities(database, gateway)
    records = RecordsActivities(database, gateway)
    orders = OrdersActivities(database, gateway, EngineCommands(client))
    reconciliation = ReconciliationActivities(database, gateway, EngineCensus(client))
    webhooks = WebhooksActivities(database, EngineBell(client).ring)
    worker = Worker(
        client,
        workflows=WORKFLOWS,
        activities=[
            *billing.registered(),
            *records.registered(),
            *orders.registered(),
            *reconciliation.registered(),
            *webhooks.registered(),
        ],
        **options_of(settings),
    )
    try:
        await ensure_schedule(client, RECONCILIATION, daily_reconciliation(settings))
        await ensure_schedule(client, WEBHOOK_INBOX, webhook_inbox_worked_off(settings))
        async with worker:
            mark_ready(settings.ready_file)
            _logger.info("worker ready", extra={"task_queue": settings.task_queue})
            await stop.wait()
    finally:
        await gateway.close()
        await database.close()


def options_of(settings: Settings) -> dict[str, Any]:
    """Production's options of Temporal's `Worker`, whatever it works on.

    The payment company's rate limit is kept by Temporal's server for the whole queue. The server sees nothing of an
    activity that is dispatched eagerly, so with a limit none is. (SDK 1.35 keeps to that by itself; it is said here
    because a limit must not hang on what is not promised.)
    """
    rate = settings.gateway_rate_per_second
    return {
        "task_queue": settings.task_queue,
        "max_cached_workflows": settings.max_cached_workflows,
        "max_concurrent_workflow_tasks": settings.max_concurrent_workflow_tasks,
        "max_concurrent_activities": settings.max_concurrent_activities,
        "max_task_queue_activities_per_second": rate,
        "disable_eager_activity_execution": rate is not None,
        "graceful_shutdown_timeout": timedelta(seconds=settings.graceful_shutdown_seconds),
        "deployment_config": deployment_of(settings),
    }


def guarded_gateway(settings: Settings, database: Database, meter: MetricMeter) -> PaymentGateway:
    """The payment company behind the circuit that all workers share (docs/operations.md)."""
    gateway = gateway_of(
        settings.gateway, settings.gateway_url, horizon_seconds=settings.inflight_horizon_seconds
    )
    if not settings.gateway_circuit_failures:
        return gateway
    circuit = Circuit(
        CircuitRows(database, settings.gateway),
        policy=CircuitPolicy(failures=settings.gateway_circuit_failures),
        on_change=_shown(meter, settings.gateway),
    )
    return GuardedGateway(gateway, circuit)


def _shown(meter: MetricMeter, gateway: str) -> Callable[[CircuitState], None]:
    gauge = meter.create_gauge("teiki_gateway_circuit_open", "1 while the payment company is left alone")

    def show(state: CircuitState) -> None:
        gauge.set(int(state is not CircuitState.CLOSED), {"gateway": gateway})
        level = logging.INFO if state is CircuitState.CLOSED else logging.WARNING
        _logger.log(level, "gateway circuit", extra={"gateway": gateway, "state": state.value})

    return show


def daily_reconciliation(settings: Settings) -> Schedule:
    """Every day at 04:30 UTC, when little is charged; runs missed in an outage of up to a week are made up for.

    One at a time, and one more waits: what each covers begins where the last finished one ended, so that a run that
    comes late loses nothing.
    """
    return Schedule(
        action=ScheduleActionStartWorkflow(
            Reconciliation.run,
            ReconciliationInput(),
            id=f"{RECONCILIATION}/{settings.gateway}",
            task_queue=settings.task_queue,
            static_summary="do the books agree?",
        ),
        spec=ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(4)], minute=[ScheduleRange(30)])]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=timedelta(days=7)),
    )


def webhook_inbox_worked_off(settings: Settings) -> Schedule:
    """Every minute, one at a time; a run that was missed is not made up for, because the next one does its work."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            WebhookInbox.run,
            HandOver(),
            id=WEBHOOK_INBOX,
            task_queue=settings.task_queue,
            static_summary="who has not heard yet?",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )


def deployment_of(settings: Settings) -> WorkerDeploymentConfig:
    """Versioning is off until a deployment and a build are named (docs/operations.md).

    The behaviour is set here, not on the workflows: a server refuses one that comes from an unversioned worker. An
    unversioned worker is stamped with Teiki's version, because the SDK's own stamp, a hash, costs 150 bytes of history
    a renewal.
    """
    if settings.versioned is None:
        stamp = WorkerDeploymentVersion(deployment_name="teiki", build_id=_teiki_version())
        return WorkerDeploymentConfig(version=stamp, use_worker_versioning=False)
    name, build_id = settings.versioned
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=name, build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _teiki_version() -> str:
    try:
        return version("teiki")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


def main() -> int:
    settings = Settings.load()
    start_telemetry(settings)
    return run_service(
        lambda stop: serve(settings, stop), name="worker", ready_file=settings.ready_file, fast_loop=True
    )


if __name__ == "__main__":
    sys.exit(main())
