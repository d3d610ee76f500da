"""Record the histories that `test_replay.py` replays: `python -m tests.replay.record [story …]`.

Run it from the repository's root when a workflow's commands change *on purpose* (a new activity, another timer, another
order), after deciding how runs that are already going on survive it (docs/operations.md, "Versions"): histories
recorded before such a change are what production still holds, so keep the old ones that must stay replayable and add
new ones beside them. Every story is played on the V1 time-skipping server with the stand-ins of
`tests/workflows/fakes.py`; each run of its chain becomes one file `histories/<story>.<run>.json`. No codec, and
every id is made up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.contracts.billing import Outcome, Twin, VerifyResult
from activities.contracts.orders import AddNote, Identify
from activities.contracts.reconciliation import ReconciliationInput
from activities.contracts.records import (
    ADD_PAYMENT_METHOD,
    CLOSE_INCIDENT,
    PUT_CUSTOMER,
    PUT_PRODUCT,
    AddPaymentMethod,
    CloseIncident,
    Entry,
    OpenResult,
    PutCustomer,
    PutProduct,
)
from activities.contracts.webhooks import HandOver
from domain.declines import DeclineCode
from domain.exports import ExportStatus
from domain.money import Money
from domain.product import ProductTerms
from domain.terms import ResumePolicy
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.lifecycle import run_cli
from tests.workflows.conftest import START, Stage
from tests.workflows.fake_blocking import FakeBlocking
from tests.workflows.fake_exports import broken, refused
from tests.workflows.fake_reconciliation import FakeReconciliation
from tests.workflows.fake_webhooks import FakeWebhooks
from tests.workflows.fakes import FakeRecords
from tests.workflows.order_fakes import FakeOrders
from worker import WORKFLOWS
from workflows import messages
from workflows.catalogue import (
    AddNoteEntry,
    AddPaymentMethodEntry,
    CloseIncidentEntry,
    IdentifyEntry,
    PutCustomerEntry,
    PutProductEntry,
)
from workflows.export import Export as ExportWorkflow
from workflows.export import ExportSweep
from workflows.export_messages import CancelExport, ExportInput, RequestExport
from workflows.reconciliation import Reconciliation
from workflows.subscription import Subscription
from workflows.webhook_inbox import WebhookInbox

HISTORIES: Final = Path(__file__).parent / "histories"

DECLINED = Outcome(outcome="declined", decline=DeclineCode.INSUFFICIENT_FUNDS)
LOST = Outcome(outcome="declined", decline=DeclineCode.LOST_CARD)
UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)
PENDING = Outcome(outcome="pending")
UNSENT = Outcome(outcome="unsent")
EXPIRED = Outcome(outcome="declined", decline=DeclineCode.PENDING_EXPIRED)


class Records(FakeRecords):
    """Also enters catalogue entries."""

    @activity.defn(name=PUT_CUSTOMER)
    async def put_customer(self, order: PutCustomer) -> Entry:
        return Entry(id=order.id)

    @activity.defn(name=PUT_PRODUCT)
    async def put_product(self, order: PutProduct) -> Entry:
        return Entry(id=order.id)

    @activity.defn(name=ADD_PAYMENT_METHOD)
    async def add_payment_method(self, order: AddPaymentMethod) -> Entry:
        return Entry(id=order.id)

    @activity.defn(name=CLOSE_INCIDENT)
    async def close_incident(self, order: CloseIncident) -> Entry:
        return Entry(id=order.id)


def by(request_id: str) -> dict[str, str]:
    return {"request_id": request_id, "actor": "operator:recorder", "comment": "for the record"}


# ---------------------------------------------------------------------- the stories


async def a_year(stage: Stage) -> None:
    """Twelve payments, history cut after every fourth."""
    await stage.open(cycles_per_run=4)
    await stage.until("2024-07-15T00:00:00+09:00")


async def retries_then_catch_up(stage: Stage) -> None:
    """Exhausted, suspended, resumed with catch-up 20 minutes apart, then on the cycle again."""
    stage.billing.script = [Outcome(outcome="settled"), *[DECLINED] * 4]
    await stage.open()
    await stage.until("2023-10-02T10:00:00+09:00")
    await stage.do(Subscription.resume, messages.Resume(policy=ResumePolicy.CATCH_UP, **by("r-1")))
    await stage.until("2023-11-15T00:00:00+09:00")


async def suspended_and_skipped(stage: Stage) -> None:
    """Suspended by an operator, resumed with next_cycle, suspended again, resumed at an instant."""
    await stage.open(total_charges=4)
    await stage.until("2023-08-15T12:00:00+09:00")
    await stage.do(Subscription.suspend, messages.Suspend(**by("s-1")))
    await stage.until("2023-10-01T18:00:00+09:00")
    await stage.do(Subscription.resume, messages.Resume(policy=ResumePolicy.NEXT_CYCLE, **by("r-1")))
    await stage.until("2023-10-05T12:00:00+09:00")
    await stage.do(Subscription.suspend, messages.Suspend(**by("s-2")))
    at = START.replace(month=12, day=20)
    await stage.do(Subscription.resume, messages.Resume(at=at, **by("r-2")))
    await stage.until("2024-03-01T00:00:00+09:00")


async def unknown_then_sent_again(stage: Stage) -> None:
    """No answer until the horizon has passed, then the same key once more."""
    stage.billing.script = [UNKNOWN] * 6
    await stage.open()
    await stage.until("2023-09-02T00:00:00+09:00")


async def not_taken_then_taken(stage: Stage) -> None:
    """The gateway would not take the request twice."""
    stage.billing.script = [UNSENT, UNSENT]
    await stage.open()
    await stage.until("2023-08-02T00:00:00+09:00")


async def pending_given_up(stage: Stage) -> None:
    """Pending for a day, then failed, then retried with success."""
    stage.billing.script = [PENDING] * 30
    await stage.open()
    await stage.until("2023-08-02T06:59:00+09:00")
    stage.billing.script = [EXPIRED]
    await stage.until("2023-08-09T00:00:00+09:00")


async def canceled_now(stage: Stage) -> None:
    await stage.open()
    await stage.until("2023-08-15T12:00:00+09:00")
    await stage.do(Subscription.cancel, messages.Cancel(**by("c-1")))


async def canceled_at_period_end(stage: Stage) -> None:
    """Scheduled, taken back, scheduled again, and then it comes."""
    await stage.open()
    await stage.do(Subscription.cancel, messages.Cancel(mode="period_end", **by("c-1")))
    await stage.do(Subscription.recover, messages.Recover(**by("v-1")))
    await stage.do(Subscription.cancel, messages.Cancel(mode="period_end", **by("c-2")))
    await stage.until("2023-09-02T00:00:00+09:00")


async def canceled_while_unknown(stage: Stage) -> None:
    """Money that arrives after the end is returned."""
    stage.billing.script = [UNKNOWN, UNKNOWN]
    await stage.open()
    await stage.do(Subscription.cancel, messages.Cancel(**by("c-1")))
    await stage.until("2023-08-01T08:00:00+09:00")


async def twin_returned(stage: Stage) -> None:
    """Settled after a doubt; the second look finds a second charge, which goes back."""
    stage.billing.script = [Outcome(outcome="settled", verify_in_s=600)]
    stage.billing.twins = [
        VerifyResult(is_clear=False, twins=[Twin(gateway_id="ch_twin", amount_minor=1000)]),
        VerifyResult(is_clear=True),
    ]
    stage.billing.refund_script = [UNKNOWN]
    await stage.open()
    await stage.until("2023-09-02T00:00:00+09:00")


async def settled_by_a_person(stage: Stage) -> None:
    """Waits for a person, who says that it was not charged; charged by the next attempt."""
    stage.billing.script = [Outcome(outcome="attention")]
    await stage.open()
    await stage.until("2023-08-01T08:00:00+09:00")
    stage.billing.script = [Outcome(outcome="declined", decline=DeclineCode.NEVER_ARRIVED)]
    await stage.do(Subscription.settle_attention, messages.SettleAttention(number=1, **by("s-1")))
    await stage.until("2023-08-09T00:00:00+09:00")


async def card_changed(stage: Stage) -> None:
    """A useless card, a link, a new card, a resume; another amount, and one for once only."""
    stage.billing.script = [Outcome(outcome="settled"), LOST]
    await stage.open()
    await stage.until("2023-09-03T12:00:00+09:00")
    link = messages.OpenCardLink(token_hash="0" * 64, expires_at=START.replace(month=12), **by("l-1"))
    await stage.do(Subscription.open_card_link, link)
    await stage.do(Subscription.change_card, messages.ChangeCard(payment_method_id="pm_2", **by("k-1")))
    await stage.do(Subscription.resume, messages.Resume(policy=ResumePolicy.CATCH_UP, **by("r-1")))
    for request, minor, once in (("a-1", 1200, False), ("a-2", 900, True)):
        amount = Money(minor=minor, currency="JPY")
        change = messages.ChangeAmount(amount=amount, next_only=once, **by(request))
        await stage.do(Subscription.change_amount, change)
    await stage.until("2023-11-15T00:00:00+09:00")


async def refused_at_opening(stage: Stage) -> None:
    stage.records.refuse = OpenResult(
        outcome="refused", subscription_id="sub_x", code="customer_not_found", message="No such customer."
    )
    await stage.open()


async def a_customer(stage: Stage) -> None:
    order = PutCustomer(
        id="cus_1", request_id="q-1", actor="operator:recorder", email="one@example.com", at=START
    )
    await _enter(stage, PutCustomerEntry, order)


async def a_product(stage: Stage) -> None:
    price = Money(minor=1000, currency="JPY")
    order = PutProduct(
        id="prd_1", request_id="q-2", actor="operator:recorder", name="One", price=price, at=START
    )
    await _enter(stage, PutProductEntry, order)


async def a_product_with_terms(stage: Stage) -> None:
    terms = ProductTerms.model_validate(
        {
            "type": "ticket",
            "price": {"minor": 3500, "currency": "JPY"},
            "options": [{"name": "Balcony", "price": {"minor": 9000, "currency": "JPY"}}],
            "usage_period": {
                "starts_at": "2026-04-01T18:00:00+09:00",
                "ends_at": "2026-04-01T22:00:00+09:00",
            },
            "point_rate": "0.01",
            "custom_fields": [{"name": "meal", "type": "choice", "choices": ["fish", "rice"]}],
        }
    )
    order = PutProduct(
        id="prd_2", request_id="q-5", actor="operator:recorder", name="Two", terms=terms, at=START
    )
    await _enter(stage, PutProductEntry, order)


async def a_payment_method(stage: Stage) -> None:
    order = AddPaymentMethod(
        id="pm_1", request_id="q-3", actor="operator:recorder", customer_id="cus_1", token="tok_ok", at=START
    )
    await _enter(stage, AddPaymentMethodEntry, order)


async def a_reconciliation(stage: Stage) -> None:
    client, order = stage.environment.client, ReconciliationInput()
    stage.handle = await client.start_workflow(
        Reconciliation.run, order, id="reconciliation/sandbox", task_queue=stage.queue
    )
    await stage.handle.result()


async def a_webhook_inbox(stage: Stage) -> None:
    """Worked off, and the old rows deleted."""
    client = stage.environment.client
    stage.handle = await client.start_workflow(
        WebhookInbox.run, HandOver(), id="webhook-inbox", task_queue=stage.queue
    )
    await stage.handle.result()


async def notified_while_unknown(stage: Stage) -> None:
    """The payment company tells of a charge whose answer was lost: asked about at once; told again: nothing."""
    stage.billing.script = [UNKNOWN]
    await stage.open()
    reference = f"{stage.handle.id.partition('/')[2]}/1/1"
    for _ in range(2):
        notice = messages.GatewayNotice(gateway_id="ch_1", reference=reference)
        await stage.handle.signal(Subscription.gateway_notified, notice)
        await stage.quiet()
    await stage.until("2023-08-15T00:00:00+09:00")


async def an_incident_closed(stage: Stage) -> None:
    order = CloseIncident(
        id="inc_1", request_id="q-4", actor="operator:recorder", comment="for the record", at=START
    )
    await _enter(stage, CloseIncidentEntry, order)


async def an_export(stage: Stage) -> None:
    """Written at the second try, kept for four hours."""
    await _request_export(stage, "exp_1", [broken()])
    await stage.handle.result()


async def an_export_canceled(stage: Stage) -> None:
    """Canceled while it is written."""
    await _request_export(stage, "exp_2", ["hang"])
    await stage.handle.execute_update(ExportWorkflow.cancel, CancelExport(**by("x-1")))
    await stage.handle.result()


async def an_export_that_waited(stage: Stage) -> None:
    """Its turn comes after two minutes."""
    books = stage.exports
    books.status = {"exp_a": ExportStatus.CREATING, "exp_b": ExportStatus.CREATING}
    await _request_export(stage, "exp_3", [])
    books.status.clear()
    await stage.handle.result()


async def an_export_that_made_way(stage: Stage) -> None:
    """Tells the next one, which has ended; fails by its name."""
    stage.exports.status = {"exp_z": ExportStatus.REQUESTED}
    await _request_export(stage, "exp_4", [refused("export_failed")])
    await stage.handle.result()


async def a_sweep(stage: Stage) -> None:
    stage.handle = await stage.environment.client.start_workflow(
        ExportSweep.run, id="export-sweep", task_queue=stage.queue
    )
    await stage.handle.result()


async def _request_export(stage: Stage, export_id: str, script: list[Any]) -> None:
    stage.exports.script = script
    request = RequestExport(kind="subscriptions", filter={"status": ["current"]}, **by("q-5"))
    stage.handle = await stage.environment.client.start_workflow(
        ExportWorkflow.run,
        ExportInput(id=export_id, request=request),
        id=f"export/{export_id}",
        task_queue=stage.queue,
    )
    await stage.handle.execute_update(ExportWorkflow.await_opened)


async def a_note(stage: Stage) -> None:
    order = AddNote(order_id="ord_1", request_id="q-6", actor="operator:recorder", text="Called.", at=START)
    await _enter(stage, AddNoteEntry, order)


async def an_identification(stage: Stage) -> None:
    order = Identify(
        permission_id="per_1",
        request_id="q-7",
        actor="operator:recorder",
        identification={"seat": "12"},
        at=START,
    )
    await _enter(stage, IdentifyEntry, order)


async def _enter(stage: Stage, workflow: Any, order: Any) -> None:
    client = stage.environment.client
    name = f"catalogue/{workflow.__name__}/{order.request_id}"
    stage.handle = await client.start_workflow(workflow.run, order, id=name, task_queue=stage.queue)
    await stage.handle.result()


Story = Callable[[Stage], Awaitable[None]]
STORIES: Final[dict[str, Story]] = {
    story.__name__: story
    for story in (
        a_year,
        retries_then_catch_up,
        suspended_and_skipped,
        unknown_then_sent_again,
        not_taken_then_taken,
        pending_given_up,
        canceled_now,
        canceled_at_period_end,
        canceled_while_unknown,
        twin_returned,
        settled_by_a_person,
        card_changed,
        refused_at_opening,
        a_customer,
        a_product,
        a_product_with_terms,
        a_payment_method,
        an_incident_closed,
        a_reconciliation,
        a_webhook_inbox,
        notified_while_unknown,
        an_export,
        an_export_canceled,
        an_export_that_waited,
        an_export_that_made_way,
        a_sweep,
        a_note,
        an_identification,
    )
}

# ---------------------------------------------------------------------- recording


@asynccontextmanager
async def on_stage(environment: WorkflowEnvironment, story: str) -> AsyncIterator[Stage]:
    """A stage with a worker for every workflow; what still runs at the end is terminated."""
    stage = Stage(environment, records=Records(), queue=f"recording-{story}")
    desk = stage.records
    assert isinstance(desk, Records)
    worker = Worker(
        environment.client,
        task_queue=stage.queue,
        workflows=WORKFLOWS,
        activities=[
            *stage.billing.registered(),
            *desk.registered(),
            *FakeReconciliation().registered(),
            *FakeWebhooks().registered(),
            *stage.exports.registered(),
            *FakeOrders().registered(),
            *FakeBlocking(pages=[("kon_1", "sub_1"), ("sub_2",)]).registered(),
        ],
    )
    async with worker:
        yield stage
        if (await stage.handle.describe()).close_time is None:
            await stage.handle.terminate("recorded")


async def runs_of(client: Client, handle: WorkflowHandle[Any, Any]) -> list[WorkflowHistory]:
    """The histories of a chain of runs, oldest first."""
    runs: list[WorkflowHistory] = []
    run_id = handle.first_execution_run_id or await _first_run(handle)
    while run_id:
        runs.append(await client.get_workflow_handle(handle.id, run_id=run_id).fetch_history())
        last = runs[-1].events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs


async def _first_run(handle: WorkflowHandle[Any, Any]) -> str:
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    return started.first_execution_run_id or (await handle.describe()).run_id


async def save(client: Client, handle: WorkflowHandle[Any, Any], name: str) -> None:
    """Each run of a workflow as a file of its own; in place of what was recorded under this name."""
    runs = await runs_of(client, handle)
    for old in HISTORIES.glob(f"{name}.*.json"):
        old.unlink()
    for number, run in enumerate(runs, start=1):
        text = json.dumps(anonymous(run.to_json_dict()), indent=1, ensure_ascii=False) + "\n"
        (HISTORIES / f"{name}.{number}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{name}: {len(runs)} runs, {sum(len(run.events) for run in runs)} events\n")


def anonymous(value: Any) -> Any:
    """Without the names of the machine and the process that recorded it."""
    if isinstance(value, dict):
        return {
            name: "recorder" if name in ("identity", "binaryChecksum") else anonymous(inner)
            for name, inner in value.items()
        }
    return [anonymous(inner) for inner in value] if isinstance(value, list) else value


async def record(stories: dict[str, Story], names: list[str]) -> None:
    async with TimeSkippingServer(None) as environment:
        for name in names or stories:
            async with on_stage(environment, name) as stage:
                await stories[name](stage)
                await save(environment.client, stage.handle, name)


if __name__ == "__main__":
    HISTORIES.mkdir(exist_ok=True)
    run_cli(record(STORIES, sys.argv[1:]))
