"""What is left of a run for a closer look (`--keep DIR`)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.chaos.servers import Servers


async def keep_all(stage: Servers, client: Client, where: Path) -> None:
    """Copy logs and both books there, and the histories as text."""
    await asyncio.to_thread(_keep_files, stage, where)
    await _keep_histories(client, where)


def _keep_files(stage: Servers, where: Path) -> None:
    """Logs, the workers' journal and the sandbox's book, and a dump of ours, for a closer look."""
    where.mkdir(parents=True, exist_ok=True)
    for file in [*stage.home.glob("*.log"), *stage.home.glob("*.jsonl"), *stage.home.glob("sandbox.db")]:
        shutil.copy(file, where)
    with psycopg.connect(stage.database_url) as connection:
        for table in (
            "subscriptions",
            "payments",
            "attempts",
            "ledger",
            "history",
            "requests",
            "outbox",
            "incidents",
            "orders",
            "permissions",
            "credits",
        ):
            copy = connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT csv, HEADER)")
            with (where / f"{table}.csv").open("wb") as sink, copy as rows:
                sink.writelines(rows)


async def _keep_histories(client: Client, where: Path) -> None:
    """Of every subscription and order: which event when, and which worker's."""
    with (where / "histories.txt").open("w", encoding="utf-8") as sink:
        async for workflow in client.list_workflows("WorkflowType IN ('Subscription', 'Order')"):
            sink.write(f"== {workflow.id} {workflow.run_id}\n")
            history = await client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history()
            for event in history.events:
                kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
                detail = event.activity_task_started_event_attributes
                who = next((str(v) for f, v in _fields(event) if f.name in ("identity", "activity_id")), "")
                late = f"attempt {detail.attempt}" if detail.attempt > 1 else ""
                sink.write(f"{event.event_time.ToDatetime():%H:%M:%S.%f} {kind} {who} {late}\n")


def _fields(event: HistoryEvent) -> list[tuple[Any, Any]]:
    inner = getattr(event, event.WhichOneof("attributes") or "")
    return list(inner.ListFields())
