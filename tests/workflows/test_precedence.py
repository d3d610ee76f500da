"""Whoever waits for an answer goes first, and afterwards not any more (ARCHITECTURE.md, "The 1st of the month")."""

from __future__ import annotations

import uuid

import pytest
from temporalio.client import Client

from runtime.embedded.temporal_servers import DevServer
from starter.precedence import precedence


@pytest.fixture(scope="module")
async def client():
    async with DevServer() as server:
        yield await server.client(None)


async def priority_of(client: Client, workflow_id: str) -> int:
    described = await client.get_workflow_handle(workflow_id).describe()
    return int(described.raw_description.workflow_execution_info.priority.priority_key)


async def test_a_workflow_goes_first_while_somebody_waits_and_then_as_everybody(client):
    workflow_id = f"subscription/{uuid.uuid4()}"
    await client.start_workflow("Nobody", id=workflow_id, task_queue="nobody-works-here")

    async def refused_operation() -> None:
        async with precedence(client, workflow_id):
            assert await priority_of(client, workflow_id) == 1
            raise LookupError

    with pytest.raises(LookupError):
        await refused_operation()
    assert await priority_of(client, workflow_id) in (0, 3)


async def test_a_workflow_that_is_not_there_is_the_operations_business(client):
    async with precedence(client, "subscription/never-started"):
        pass
