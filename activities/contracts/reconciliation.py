"""What the reconciliation may ask for, and the report it gives (spec: charging.md §2.6).

Every activity here can run twice: comparing reads, incidents are opened once per trouble, a report is kept once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

WINDOW: Final = "reconciliation.window"
COMPARE: Final = "reconciliation.compare"
MISSING_WORKFLOWS: Final = "reconciliation.missing_workflows"
STORE: Final = "reconciliation.store"

SHOWN_MAX: Final = 20
"""Differences named in a report; the rest is counted, and all are incidents."""


class ReconciliationInput(BaseModel):
    """`since`: from when; None: from a day before the end of the last run, or from the beginning."""

    model_config = ConfigDict(frozen=True)

    since: datetime | None = None


class Window(BaseModel):
    """What one run covers, by the database's clock.

    Attributes:
        judged_until: what is younger may still be in flight, so that a difference proves nothing.
        decided_by: what is older must have been decided even by a slow issuer.
    """

    model_config = ConfigDict(frozen=True)

    gateway: str
    since: datetime
    until: datetime
    judged_until: datetime
    decided_by: datetime


class Totals(BaseModel):
    """Charges less refunds, in minor units: three books, which agree when nothing is wrong or in flight."""

    gateway: int = 0
    attempts: int = 0
    ledger: int = 0


class FoundDifference(BaseModel):
    """One difference as the report names it; the incident says the rest."""

    kind: str
    subject_id: str | None = None
    number: int | None = None
    gateway_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)


class Report(BaseModel):
    """What a run found.

    Attributes:
        movements: charges and refunds the gateway listed.
        bookings: ledger entries looked at.
        in_flight: differences too young to be judged.
        incidents_new: differences that nobody knew; `incidents_known`: that wait for a person already;
            `incidents_explained`: that a person has closed.
        shown: the first differences of the first two sorts.
        workflows: subscriptions, orders and slips asked about in the engine; None where it cannot be asked.
        workflows_missing: of those, how many the engine does not run; each is an incident of its own.
        missing_workflows: the first of them.
        chargebacks: that nobody had told of: put into the inbox of webhooks, as if they had come that way.
    """

    gateway: str
    since: datetime
    until: datetime
    movements: int = 0
    bookings: int = 0
    totals: dict[str, Totals] = Field(default_factory=dict)
    in_flight: int = 0
    incidents_new: int = 0
    incidents_known: int = 0
    incidents_explained: int = 0
    shown: list[FoundDifference] = Field(default_factory=list)
    workflows: int | None = None
    workflows_missing: int = 0
    missing_workflows: list[str] = Field(default_factory=list)
    chargebacks: int = 0

    @classmethod
    def begun(cls, window: Window) -> Report:
        """Nothing found yet. All is written out, for what was never set does not travel (runtime.temporal)."""
        return cls(
            gateway=window.gateway,
            since=window.since,
            until=window.until,
            totals={},
            shown=[],
            missing_workflows=[],
        )

    @property
    def agrees(self) -> bool:
        """No difference between the books that nobody has explained."""
        return self.incidents_new + self.incidents_known == 0

    @property
    def is_well(self) -> bool:
        """The books agree, and whoever should be running is."""
        return self.agrees and self.workflows_missing == 0


class Progress(BaseModel):
    """Where a run is: heartbeaten after each batch, so that another worker goes on from there.

    Attributes:
        cursor: the gateway's next page; None: the first.
        entry_id: the last ledger entry looked at.
    """

    cursor: str | None = None
    entry_id: int
    report: Report


class ReconciliationContract:
    """Compares; opens incidents; changes nothing else."""

    @activity.defn(name=WINDOW)
    async def window(self, order: ReconciliationInput) -> Window:
        """From when to when, and what is old enough to be judged."""
        raise NotImplementedError

    @activity.defn(name=COMPARE)
    async def compare(self, window: Window) -> Report:
        """Match gateway, attempts and ledger three ways; differences become incidents."""
        raise NotImplementedError

    @activity.defn(name=MISSING_WORKFLOWS)
    async def missing_workflows(self, report: Report) -> Report:
        """Ask the engine for everything that the books show as running; adds to the report."""
        raise NotImplementedError

    @activity.defn(name=STORE)
    async def store(self, report: Report) -> None:
        """Keep the report; the next run begins where this one ended."""
        raise NotImplementedError

    def registered(self) -> list[Callable[..., Any]]:
        """All of them, as a worker takes them."""
        return [self.window, self.compare, self.missing_workflows, self.store]
