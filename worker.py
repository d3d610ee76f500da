"""The composition root: settings → engine → gateway → activities → worker.

Run it as `python -m worker` or `teiki worker`. Everything that does something is put together here and nowhere else;
nothing imports this module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psycopg
from temporalio.client import (
    Client,
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
from activities.blocking import BlockingActivities
from activities.chargebacks import ChargebacksActivities
from activities.contracts.exports import SweepExports
from activities.contracts.notifications import Deliver
from activities.contracts.reconciliation import ReconciliationInput
from activities.contracts.webhooks import HandOver
from activities.credits import CreditsActivities
from activities.engine_bell import EngineBell
from activities.engine_census import EngineCensus
from activities.engine_commands import EngineCommands
from activities.exports import ExportsActivities
from activities.notifications import NotificationsActivities
from activities.orders import OrdersActivities
from activities.reconciliation import ReconciliationActivities
from activities.records import RecordsActivities
from activities.repayments import RepaymentsActivities
from activities.webhooks import WebhooksActivities
from db.circuits import CircuitRows
from db.engine import Database
from domain.errors import TeikiError
from exports.places import storage_at
from gateways.circuit import Circuit, CircuitPolicy, CircuitState
from gateways.endpoint_client import EndpointClient
from gateways.factory import gateway_of
from gateways.guarded import GuardedGateway
from gateways.port import PaymentGateway
from runtime.lifecycle import mark_ready, run_service
from runtime.schedules import ensure_schedule
from runtime.sealing import ENDPOINT_SECRET, Sealer
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.telemetry import process_runtime, start_telemetry
from runtime.temporal import connect, ensure_search_attributes
from workflows.blocking import Blocking
from workflows.catalogue import (
    AddNoteEntry,
    AddPaymentMethodEntry,
    CloseIncidentEntry,
    IdentifyEntry,
    PutCustomerEntry,
    PutProductEntry,
)
from workflows.chargeback import Chargeback
from workflows.credit import Credit
from workflows.export import Export, ExportSweep
from workflows.konbini_deposit import KonbiniDeposit
from workflows.notifications import Notifications
from workflows.order import Order
from workflows.reconciliation import Reconciliation
from workflows.repayment import Repayment
from workflows.subscription import Subscription
from workflows.webhook_inbox import WebhookInbox

BILLING_WORKFLOWS = [
    Subscription,
    Order,
    KonbiniDeposit,
    Credit,
    Blocking,
    Reconciliation,
    PutCustomerEntry,
    PutProductEntry,
    AddPaymentMethodEntry,
    CloseIncidentEntry,
    AddNoteEntry,
    IdentifyEntry,
    WebhookInbox,
    Notifications,
    Chargeback,
    Repayment,
]
EXPORT_WORKFLOWS = [Export, ExportSweep]
WORKFLOWS = [*BILLING_WORKFLOWS, *EXPORT_WORKFLOWS]

RECONCILIATION = "reconciliation"
WEBHOOK_INBOX = "webhook-inbox"
NOTIFICATIONS = "notifications"
SWEEP = "export-sweep"
"""The schedules' ids, and the beginnings of their runs' ids."""

_logger = logging.getLogger("worker")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop`, then finish what is under way."""
    client = await connect(settings)
    await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    async with AsyncExitStack() as stack:
        database = Database.connect(settings.database, pool_size=settings.database_pool_size)
        stack.push_async_callback(database.close)
        if settings.worker_role in ("all", "billing"):
            await stack.enter_async_context(_billing(settings, client, database))
        if settings.worker_role in ("all", "exports"):
            await stack.enter_async_context(_exports(settings, client, database))
        mark_ready(settings.ready_file)
        _logger.info("worker ready", extra={"role": settings.worker_role})
        await stop.wait()


@asynccontextmanager
async def _billing(settings: Settings, client: Client, database: Database) -> AsyncIterator[None]:
    """Money: subscriptions and what belongs to them."""
    gateway = guarded_gateway(settings, database, process_runtime(settings).metric_meter)
    endpoints = EndpointClient(allow_private=settings.endpoint_allow_private)
    try:
        await ensure_schedule(client, RECONCILIATION, daily_reconciliation(settings))
        await ensure_schedule(client, WEBHOOK_INBOX, webhook_inbox_worked_off(settings))
        await ensure_schedule(client, NOTIFICATIONS, watches(settings), at_once=True)
        billing = BillingActivities(database, gateway)
        records = RecordsActivities(database, gateway)
        crediting = CreditsActivities(database, gateway)
        commands = EngineCommands(client)
        orders = OrdersActivities(database, gateway, commands)
        blocking = BlockingActivities(database, commands)
        reconciliation = ReconciliationActivities(database, gateway, EngineCensus(client))
        bell = EngineBell(client, settings.task_queue, lambda: datetime.now(UTC))
        webhooks = WebhooksActivities(database, bell.ring)
        notifications = NotificationsActivities(database, endpoints.post, endpoint_unsealer(settings))
        chargebacks = ChargebacksActivities(database, gateway, commands, settings.chargeback_access)
        repayments = RepaymentsActivities(database)
        async with Worker(
            client,
            workflows=BILLING_WORKFLOWS,
            activities=[
                *billing.registered(),
                *records.registered(),
                *orders.registered(),
                *crediting.registered(),
                *blocking.registered(),
                *reconciliation.registered(),
                *webhooks.registered(),
                *notifications.registered(),
                *chargebacks.registered(),
                *repayments.registered(),
            ],
            **options_of(settings),
        ):
            yield
    finally:
        await gateway.close()
        await endpoints.close()


@asynccontextmanager
async def _exports(settings: Settings, client: Client, database: Database) -> AsyncIterator[None]:
    """Workbooks: on a queue of their own, so that a long one holds up no charge."""
    storage = storage_at(settings.export_place, spool=settings.state_dir / "exports-spool")
    await ensure_schedule(client, SWEEP, sweep_of_exports(settings))
    with ThreadPoolExecutor(settings.max_concurrent_exports, thread_name_prefix="export") as threads:
        exports = ExportsActivities(database, storage, unsealer(settings), threads)
        async with Worker(
            client,
            workflows=EXPORT_WORKFLOWS,
            activities=[*exports.registered()],
            **exports_options_of(settings),
        ):
            sweeping = asyncio.create_task(_sweep_at_start(exports))
            try:
                yield
            finally:
                sweeping.cancel()
                await asyncio.gather(sweeping, return_exceptions=True)


async def _sweep_at_start(exports: ExportsActivities) -> None:
    """What an earlier worker left behind; the schedule does the same every five minutes."""
    try:
        swept = await exports.sweep(SweepExports(at=datetime.now(UTC)))
    except (TeikiError, psycopg.Error) as error:
        # The database is away, or its migrations are still to come; the next sweep finds the same.
        _logger.warning("nothing was swept", extra={"error": type(error).__name__})
    else:
        _logger.info("exports swept", extra=swept.model_dump())


def unsealer(settings: Settings) -> Callable[[bytes, str], str]:
    """Opens sealed passwords. A worker without keys serves exports that have none."""

    def unseal(sealed: bytes, export_id: str) -> str:
        return Sealer(settings.export_keyring()).unseal(sealed, export_id)

    if settings.export_secret_keys is not None:
        settings.export_keyring()  # a key that cannot be read is found out now
    return unseal


def endpoint_unsealer(settings: Settings) -> Callable[[bytes, str], str]:
    """Opens the secrets that notifications are signed with. A worker without keys delivers none, and it is shown."""

    def unseal(sealed: bytes, endpoint_id: str) -> str:
        return Sealer(settings.endpoint_keyring(), ENDPOINT_SECRET).unseal(sealed, endpoint_id)

    if settings.endpoint_secret_keys is not None:
        settings.endpoint_keyring()  # a key that cannot be read is found out now
    return unseal


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
        "sticky_queue_schedule_to_start_timeout": timedelta(seconds=settings.sticky_seconds),
        "max_concurrent_workflow_tasks": settings.max_concurrent_workflow_tasks,
        "max_concurrent_activities": settings.max_concurrent_activities,
        "max_task_queue_activities_per_second": rate,
        "disable_eager_activity_execution": rate is not None,
        "graceful_shutdown_timeout": timedelta(seconds=settings.graceful_shutdown_seconds),
        "deployment_config": deployment_of(settings),
    }


def exports_options_of(settings: Settings) -> dict[str, Any]:
    """Options of the worker that writes workbooks. How many at once is the number of its threads."""
    return {
        **options_of(settings),
        "task_queue": settings.exports_task_queue,
        "max_task_queue_activities_per_second": None,  # that limit spares the payment company
        "max_heartbeat_throttle_interval": timedelta(seconds=1),  # they are the progress that people see
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


def watches(settings: Settings) -> Schedule:
    """One watch after another: a run takes ten minutes, and the next one waits behind it already.

    So notifications are delivered without a gap, and a paused schedule stops them.
    """
    return Schedule(
        action=ScheduleActionStartWorkflow(
            Notifications.run,
            Deliver(),
            id=NOTIFICATIONS,
            task_queue=settings.task_queue,
            static_summary="who is to hear of what happened?",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=timedelta(minutes=1)),
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


def sweep_of_exports(settings: Settings) -> Schedule:
    """Every five minutes: no file past its life, no password past its use."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            ExportSweep.run,
            id=SWEEP,
            task_queue=settings.exports_task_queue,
            static_summary="is anything past its life?",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=5))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=10)),
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
