"""The composition root: settings → engine → gateway → activities → worker.

Run it as `python -m worker` or `teiki worker`. Everything that does something is put together here and nowhere else;
nothing imports this module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.billing import BillingActivities
from activities.records import RecordsActivities
from db.engine import Database
from gateways.factory import gateway_of
from runtime.lifecycle import mark_ready, run_service
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from runtime.temporal import connect, ensure_search_attributes
from workflows.catalogue import AddPaymentMethodEntry, PutCustomerEntry, PutProductEntry
from workflows.subscription import Subscription

WORKFLOWS = [Subscription, PutCustomerEntry, PutProductEntry, AddPaymentMethodEntry]

_logger = logging.getLogger("worker")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop`, then finish what is under way."""
    client = await connect(settings)
    await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    database = Database.connect(settings.database, pool_size=settings.database_pool_size)
    gateway = gateway_of(
        settings.gateway, settings.gateway_url, horizon_seconds=settings.inflight_horizon_seconds
    )
    billing = BillingActivities(database, gateway)
    records = RecordsActivities(database, gateway)
    worker = Worker(
        client,
        workflows=WORKFLOWS,
        activities=[
            billing.charge,
            billing.refund,
            records.open,
            records.record,
            records.put_customer,
            records.put_product,
            records.add_payment_method,
        ],
        **options_of(settings),
    )
    try:
        async with worker:
            mark_ready(settings.ready_file)
            _logger.info("worker ready", extra={"task_queue": settings.task_queue})
            await stop.wait()
    finally:
        await gateway.close()
        await database.close()


def options_of(settings: Settings) -> dict[str, Any]:
    """Production's options of Temporal's `Worker`, whatever it works on."""
    return {
        "task_queue": settings.task_queue,
        "max_cached_workflows": settings.max_cached_workflows,
        "max_concurrent_workflow_tasks": settings.max_concurrent_workflow_tasks,
        "max_concurrent_activities": settings.max_concurrent_activities,
        "graceful_shutdown_timeout": timedelta(seconds=settings.graceful_shutdown_seconds),
        "deployment_config": deployment_of(settings),
    }


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
