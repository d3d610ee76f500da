"""Repayments, money through the gateway apart: links, reminders, ends, and money that came otherwise (customers.md §4).

Each write is one database transaction that recognises its own second run. Refusals are values.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.contracts.repayments import (
    OPEN,
    RECORD,
    OpenRepayment,
    RecordRepayment,
    RepaymentOpened,
    RepaymentRecorded,
    RepaymentsContract,
)
from db import repayments
from db.engine import Database


@dataclass(frozen=True)
class RepaymentsActivities(RepaymentsContract):
    """Writes to the database only."""

    db: Database

    @activity.defn(name=OPEN)
    async def open(self, order: OpenRepayment) -> RepaymentOpened:
        return RepaymentOpened(**(await repayments.open_repayment(self.db, order))._asdict())

    @activity.defn(name=RECORD)
    async def record(self, order: RecordRepayment) -> RepaymentRecorded:
        status, reason = await repayments.record_repayment(self.db, order)
        return RepaymentRecorded(status=status, reason=reason)
