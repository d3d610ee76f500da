"""Two small workflows on one task queue: a charge, and an operator's command, each one activity."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.options import MONEY, RECORD


@workflow.defn(name="LimitedCharge")
class LimitedCharge:
    @workflow.run
    async def run(self, reference: str) -> None:
        await workflow.execute_activity("limited.charge", reference, **MONEY)


@workflow.defn(name="LimitedCommand")
class LimitedCommand:
    @workflow.run
    async def run(self, reference: str) -> None:
        await workflow.execute_activity("limited.charge", reference, **RECORD)
