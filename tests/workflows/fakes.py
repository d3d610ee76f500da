"""Small real stand-ins for the activities: they keep books in memory and follow a script of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.contracts.billing import (
    CHARGE,
    REFUND,
    VERIFY,
    BillingContract,
    ChargeInput,
    Outcome,
    RefundInput,
    VerifyInput,
    VerifyResult,
)
from activities.contracts.records import (
    OPEN,
    RECORD,
    OpenInput,
    OpenResult,
    RecordInput,
    RecordResult,
    RecordsContract,
)


@dataclass
class FakeBilling(BillingContract):
    """Answers each charge with the next scripted result; then everything settles."""

    script: list[Outcome] = field(default_factory=list)
    charges: list[ChargeInput] = field(default_factory=list)
    refunds: list[RefundInput] = field(default_factory=list)
    refund_script: list[Outcome] = field(default_factory=list)
    verifications: list[VerifyInput] = field(default_factory=list)
    twins: list[VerifyResult] = field(default_factory=list)
    gate: Callable[[], Any] | None = None

    @activity.defn(name=CHARGE)
    async def charge(self, order: ChargeInput) -> Outcome:
        self.charges.append(order)
        if self.gate is not None:
            await self.gate()
        return self.script.pop(0) if self.script else Outcome(outcome="settled")

    @activity.defn(name=REFUND)
    async def refund(self, order: RefundInput) -> Outcome:
        self.refunds.append(order)
        return self.refund_script.pop(0) if self.refund_script else Outcome(outcome="settled")

    @activity.defn(name=VERIFY)
    async def verify(self, order: VerifyInput) -> VerifyResult:
        self.verifications.append(order)
        return self.twins.pop(0) if self.twins else VerifyResult(is_clear=True)

    def sent(self) -> list[tuple[int, int, datetime]]:
        return [(c.number, c.attempt, c.at) for c in self.charges]


@dataclass
class FakeRecords(RecordsContract):
    """Keeps what was written; a request id seen before is a duplicate, as in the database."""

    opened: list[OpenInput] = field(default_factory=list)
    written: list[RecordInput] = field(default_factory=list)
    refuse: OpenResult | None = None
    next_result: RecordResult | None = None

    @activity.defn(name=OPEN)
    async def open(self, order: OpenInput) -> OpenResult:
        if self.refuse is not None:
            return self.refuse
        self.opened.append(order)
        return OpenResult(outcome="opened", subscription_id=order.subscription_id)

    @activity.defn(name=RECORD)
    async def record(self, order: RecordInput) -> RecordResult:
        if self.next_result is not None:
            result, self.next_result = self.next_result, None
            return result
        self.written.append(order)
        return RecordResult(outcome="recorded")

    def moves(self) -> list[tuple[str, str, str]]:
        return [(m.from_.value, m.to.value, m.reason) for order in self.written for m in order.moves]
