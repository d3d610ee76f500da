"""The workflow on the real Temporal server: what the time-skipping one is too lenient to refuse."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.worker import Worker

from domain.terms import SubscriptionSpec
from runtime.embedded.temporal_servers import DevServer
from runtime.settings import Settings
from tests.workflows.conftest import KEYS
from tests.workflows.fakes import FakeBilling, FakeRecords
from worker import deployment_of
from workflows import messages
from workflows.subscription import Subscription
from workflows.visibility import STATUS


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with DevServer() as server:
        yield await server.client(KEYS)


async def test_a_worker_as_production_makes_it_charges_and_shows_the_status(client):
    billing, records = FakeBilling(), FakeRecords()
    queue, subscription_id = f"queue-{uuid.uuid4()}", f"sub_{uuid.uuid4().hex}"
    spec = SubscriptionSpec.model_validate(
        {
            "customer_id": "cus_1",
            "product_id": "prd_1",
            "payment_method_id": "pm_1",
            "amount": {"minor": 1000, "currency": "JPY"},
            "period": "daily",
        }
    )
    # Just before the second day: one payment is due at the start, the next one moments later.
    start = datetime.fromisoformat("2026-03-01T07:00:00+09:00")
    async with Worker(
        client,
        task_queue=queue,
        workflows=[Subscription],
        activities=[*billing.registered(), *records.registered()],
        deployment_config=deployment_of(Settings.load()),
    ):
        handle = await client.start_workflow(
            Subscription.run,
            messages.SubscriptionInput(
                id=subscription_id,
                create=messages.Create(request_id="r", actor="service:test", spec=spec),
                scenario_start=start,
                cycles_per_run=1,
            ),
            id=f"subscription/{subscription_id}",
            task_queue=queue,
            search_attributes=TypedSearchAttributes([SearchAttributePair(STATUS, "unverified")]),
        )
        opened = await handle.execute_update(Subscription.await_opened)
        assert opened.outcome == "opened"
        first_run = handle.first_execution_run_id
        async with asyncio.timeout(30):
            described = await handle.describe()
            while described.run_id == first_run or described.typed_search_attributes[STATUS] != "current":
                await asyncio.sleep(0.05)
                described = await handle.describe()
        assert [charge.number for charge in billing.charges] == [1]
        command = messages.Cancel(request_id="c", actor="operator:test")
        answer = await handle.execute_update(Subscription.cancel, command)
        assert answer.subscription.status.value == "canceled"
        await asyncio.wait_for(handle.result(), timeout=timedelta(seconds=30).total_seconds())
