"""A small real stand-in for the activities of the reconciliation: books that agree, asked in an order it remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from temporalio import activity

from activities.contracts.reconciliation import (
    COMPARE,
    MISSING_WORKFLOWS,
    STORE,
    WINDOW,
    ReconciliationContract,
    ReconciliationInput,
    Report,
    Window,
)


@dataclass
class FakeReconciliation(ReconciliationContract):
    """Books that agree; says in which order it was asked."""

    asked: list[str] = field(default_factory=list)

    @activity.defn(name=WINDOW)
    async def window(self, order: ReconciliationInput) -> Window:
        self.asked.append("window")
        since = order.since or datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        return Window(gateway="sandbox", since=since, until=since, judged_until=since, decided_by=since)

    @activity.defn(name=COMPARE)
    async def compare(self, window: Window) -> Report:
        self.asked.append("compare")
        return Report(gateway=window.gateway, since=window.since, until=window.until, movements=3)

    @activity.defn(name=MISSING_WORKFLOWS)
    async def missing_workflows(self, report: Report) -> Report:
        self.asked.append("missing_workflows")
        return report.model_copy(update={"workflows": 2})

    @activity.defn(name=STORE)
    async def store(self, report: Report) -> None:
        assert (report.movements, report.workflows) == (3, 2)
        self.asked.append("store")
