"""Chargebacks and repayments on the time-skipping server: small stand-ins for their activities, and a stage."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.contracts.chargebacks import (
    END_ACCESS,
    TAKE,
    AccessEnded,
    ChargebackOrder,
    ChargebacksContract,
    ChargebackTaken,
    EndAccess,
)
from activities.contracts.repayments import (
    OPEN,
    RECORD,
    OpenRepayment,
    RecordRepayment,
    RepaymentOpened,
    RepaymentRecorded,
    RepaymentsContract,
)
from domain.money import Money
from domain.repayment import RepaymentStatus
from starter.simulate.rest import Onlooker
from tests.workflows.conftest import START
from tests.workflows.fakes import FakeBilling
from workflows.chargeback import Chargeback
from workflows.repayment import Repayment
from workflows.repayment_messages import AddRepayment, Link, RepaymentAdded, RepaymentInput

YEN_1000 = Money(minor=1000, currency="JPY")


@dataclass
class FakeChargebacks(ChargebacksContract):
    """Answers with the next scripted outcome; then it is booked."""

    script: list[str] = field(default_factory=list)
    asked: list[ChargebackOrder] = field(default_factory=list)
    ended: list[EndAccess] = field(default_factory=list)

    @activity.defn(name=TAKE)
    async def take(self, order: ChargebackOrder) -> ChargebackTaken:
        self.asked.append(order)
        outcome: Any = self.script.pop(0) if self.script else "booked"
        return ChargebackTaken(outcome=outcome, amount=YEN_1000)

    @activity.defn(name=END_ACCESS)
    async def end_access(self, order: EndAccess) -> AccessEnded:
        self.ended.append(order)
        return AccessEnded(outcome="suspended")


@dataclass
class FakeRepayments(RepaymentsContract):
    """Keeps what was written. `refuse`: the answer to the next opening; `closed`: links that it closes."""

    opened: list[OpenRepayment] = field(default_factory=list)
    written: list[RecordRepayment] = field(default_factory=list)
    refuse: RepaymentOpened | None = None
    closed: tuple[str, ...] = ()
    ended: tuple[RepaymentStatus, str] | None = None
    """How the books know the link to have ended, before its workflow does."""

    @activity.defn(name=OPEN)
    async def open(self, order: OpenRepayment) -> RepaymentOpened:
        if self.refuse is not None:
            return self.refuse
        self.opened.append(order)
        return RepaymentOpened(
            outcome="opened",
            repayment_id=order.repayment_id,
            amount=order.amount or YEN_1000,
            closed=self.closed,
        )

    @activity.defn(name=RECORD)
    async def record(self, order: RecordRepayment) -> RepaymentRecorded:
        self.written.append(order)
        if self.ended is not None:
            return RepaymentRecorded(status=self.ended[0], reason=self.ended[1])
        return RepaymentRecorded(
            status=order.to or RepaymentStatus.OPEN, reason=order.reason if order.to else "opened"
        )


@dataclass
class BankStage:
    """One chargeback or repayment on the server, its stand-ins, and a clock to move."""

    environment: WorkflowEnvironment
    billing: FakeBilling = field(default_factory=FakeBilling)
    chargebacks: FakeChargebacks = field(default_factory=FakeChargebacks)
    repayments: FakeRepayments = field(default_factory=FakeRepayments)
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4()}")

    async def tell(self, *, entered: bool = False) -> Any:
        subject = f"sub_{uuid.uuid4().hex}"
        order = ChargebackOrder(object_id=subject, number=1, at=START, entered=entered)
        self.handle: WorkflowHandle[Any, Any] = await self.environment.client.start_workflow(
            Chargeback.run, order, id=f"chargeback/{subject}/1", task_queue=self.queue
        )
        return self.handle

    async def add(self, *, received: Any = None, **link: Any) -> RepaymentAdded:
        own = {"token_hash": "0" * 64, "life": timedelta(days=10), "remind_after": (timedelta(days=3),)}
        add = AddRepayment(
            object_id="sub_1",
            number=1,
            link=None if received else Link.model_validate(own | link),
            received=received,
            **by("a-1"),
        )
        name = f"rep_{uuid.uuid4().hex}"
        self.handle = await self.environment.client.start_workflow(
            Repayment.run,
            RepaymentInput(id=name, add=add),
            id=f"repayment/{name}",
            task_queue=self.queue,
        )
        added: RepaymentAdded = await self.handle.execute_update(Repayment.await_added)
        return added

    async def later(self, **time: float) -> None:
        await self.environment.sleep(timedelta(**time))
        await Onlooker(self.environment.client).wait_for_rest([self.handle.id])

    async def do(self, update: Any, command: Any) -> Any:
        return await self.handle.execute_update(update, command)

    async def refusal(self, update: Any, command: Any) -> str:
        """The code with which an operation is refused."""
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.handle.execute_update(update, command)
        assert isinstance(refused.value.cause, ApplicationError)
        return str(refused.value.cause.type)


def by(request_id: str) -> dict[str, str]:
    return {"request_id": request_id, "actor": "operator:recorder", "comment": "for the record"}


@asynccontextmanager
async def bank_at_work(environment: WorkflowEnvironment, *, queue: str = "") -> AsyncIterator[BankStage]:
    """A stage with a worker; what still runs at the end is terminated."""
    stage = BankStage(environment)
    stage.queue = queue or stage.queue
    worker = Worker(
        environment.client,
        task_queue=stage.queue,
        workflows=[Chargeback, Repayment],
        activities=[
            *stage.billing.registered(),
            *stage.chargebacks.registered(),
            *stage.repayments.registered(),
        ],
    )
    async with worker:
        yield stage
        if (await stage.handle.describe()).close_time is None:
            await stage.handle.terminate("it is over")
