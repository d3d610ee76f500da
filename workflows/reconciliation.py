"""Every day: do the books agree? (spec: charging.md §2.6)

A schedule starts it (`reconciliation`, 04:30 UTC), or a person does. It compares the gateway's list with attempts and
ledger, asks the engine for everything that should be running, and keeps a report. What does not match becomes
an incident for people. Workflow id `reconciliation/<gateway>…`.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.reconciliation import ReconciliationContract, ReconciliationInput, Report
    from workflows.options import LONG, RECORD


@workflow.defn(name="Reconciliation")
class Reconciliation:
    """One run over one window."""

    @workflow.run
    async def run(self, order: ReconciliationInput) -> Report:
        window = await workflow.execute_activity_method(ReconciliationContract.window, order, **RECORD)
        report = await workflow.execute_activity_method(
            ReconciliationContract.compare, window, summary="gateway, attempts, ledger", **LONG
        )
        report = await workflow.execute_activity_method(
            ReconciliationContract.missing_workflows, report, summary="is everyone running?", **LONG
        )
        await workflow.execute_activity_method(ReconciliationContract.store, report, **RECORD)
        return report
