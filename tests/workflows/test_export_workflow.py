"""An export's life on the time-skipping server: its turn, its ten minutes, its four hours, and cancellation."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import ScheduleOverlapPolicy, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from activities.contracts.exports import Opened
from domain.exports import ExportStatus, ExportView
from runtime.settings import Settings
from runtime.temporal import teiki_plugin
from tests.workflows.conftest import KEYS
from tests.workflows.fake_exports import FakeExports, asked, broken, refused
from worker import sweep_of_exports
from workflows.export import Export, ExportSweep
from workflows.export_messages import CancelExport, ExportInput, ExportOpened, RequestExport


@dataclass
class Desk:
    environment: WorkflowEnvironment
    books: FakeExports = field(default_factory=FakeExports)
    queue: str = field(default_factory=lambda: f"exports-{uuid.uuid4()}")
    handles: list[WorkflowHandle[Any, Any]] = field(default_factory=list)

    async def request(self, **more: Any) -> WorkflowHandle[Any, Any]:
        export_id = f"exp_{uuid.uuid4().hex}"
        handle = await self.environment.client.start_workflow(
            Export.run,
            ExportInput(id=export_id, request=RequestExport.model_validate(asked(**more))),
            id=f"export/{export_id}",
            task_queue=self.queue,
        )
        self.handles.append(handle)
        opened: ExportOpened = await handle.execute_update(Export.await_opened)
        self.opened = opened
        return handle

    async def becomes(self, handle: WorkflowHandle[Any, Any], status: str) -> None:
        """Until the books show it; time does not skip meanwhile."""
        async with asyncio.timeout(60):
            while self.books.status[handle.id.removeprefix("export/")] != status:  # noqa: ASYNC110 - the worker tells nobody
                await asyncio.sleep(0.02)

    async def quiet(self, handle: WorkflowHandle[Any, Any]) -> None:
        """A workflow that is terminated while an activity runs would stop this server's clock for good."""
        while (await handle.describe()).raw_description.pending_activities:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.02)

    def moves(self, handle: WorkflowHandle[Any, Any]) -> list[tuple[datetime, str, str]]:
        return self.books.moves(handle.id.removeprefix("export/"))


@pytest.fixture
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """A worker with the stand-in; in the end every history is replayed."""
    desk = Desk(server)
    async with Worker(
        server.client,
        task_queue=desk.queue,
        workflows=[Export, ExportSweep],
        activities=desk.books.registered(),
    ):
        yield desk
        desk.books.released.set()
        for handle in desk.handles:
            await desk.quiet(handle)
            history = await handle.fetch_history()
            await Replayer(workflows=[Export], plugins=[teiki_plugin(KEYS)]).replay_workflow(history)
            if (await handle.describe()).close_time is None:
                await handle.terminate("the test is over")


def cancel(request_id: str = "c-1", **more: Any) -> CancelExport:
    return CancelExport(request_id=request_id, actor="operator:desk-1", **more)


async def refusal(handle: WorkflowHandle[Any, Any], command: CancelExport) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update(Export.cancel, command)
    assert isinstance(failed.value.cause, ApplicationError)
    return str(failed.value.cause.type)


async def test_a_file_is_there_for_four_hours_and_then_gone(desk):
    handle = await desk.request()
    view: ExportView = await handle.result()
    (ready_at, *ready), (expired_at, *expired) = desk.moves(handle)
    assert (ready, expired) == (["ready", "written"], ["expired", "time_over"])
    assert abs(expired_at - ready_at - timedelta(hours=4)) < timedelta(seconds=5)
    assert (view.status, view.rows, view.size_bytes) == (ExportStatus.EXPIRED, 10, 2_000)
    assert view.expires_at == ready_at + timedelta(hours=4)


async def test_what_cannot_be_written_in_ten_minutes_is_given_up_with_a_reason(desk):
    desk.books.script = [broken() for _ in range(500)]
    handle = await desk.request()
    view = await handle.result()
    assert (view.status, view.reason) == (ExportStatus.FAILED, "export_timed_out")
    ((failed_at, *_),) = desk.moves(handle)
    assert failed_at - view.started_at <= timedelta(minutes=10, seconds=5)
    assert len(desk.books.writes) > 20


@pytest.mark.parametrize("code", ["export_password_gone", "export_failed", "export_too_large"])
async def test_a_named_failure_is_the_reason(desk, code):
    desk.books.script = [refused(code)]
    view = await (await desk.request()).result()
    assert (view.status, view.reason) == (ExportStatus.FAILED, code)
    assert len(desk.books.writes) == 1


async def test_a_failure_without_a_name_of_ours_is_export_failed(desk):
    desk.books.script = [refused("SomethingElse")]
    assert (await (await desk.request()).result()).reason == "export_failed"


async def test_a_worker_that_fails_once_is_followed_by_another_run(desk):
    desk.books.script = [broken()]
    view = await (await desk.request()).result()
    assert view.rows == 10
    assert len(desk.books.writes) == 2


async def test_a_refused_request_ends_at_once(desk):
    desk.books.refuse = Opened(outcome="refused", export_id="exp_1", code="invalid_input", message="No.")
    handle = await desk.request()
    assert (desk.opened.outcome, desk.opened.code) == ("refused", "invalid_input")
    assert (await handle.result()).outcome == "refused"


async def test_what_is_being_written_can_be_canceled(desk):
    desk.books.script = ["hang"]
    handle = await desk.request()
    await desk.becomes(handle, "creating")
    answer = await handle.execute_update(Export.cancel, cancel(comment="the wrong filter"))
    assert (answer.status, answer.reason) == (ExportStatus.FAILED, "export_canceled")
    assert (await handle.result()).status == "failed"
    (record,) = desk.books.records
    assert (record.operation, record.comment, record.request_id) == ("cancel", "the wrong filter", "c-1")


async def test_a_file_that_is_canceled_expires_at_once(desk):
    handle = await desk.request()
    await desk.becomes(handle, "ready")
    command = cancel()
    answer = await handle.execute_update(Export.cancel, command)
    assert (answer.status, answer.reason) == (ExportStatus.EXPIRED, "export_canceled")
    assert (await handle.result()).status == "expired"


async def test_the_same_request_id_with_other_content_is_a_conflict(desk):
    desk.books.script = ["hang"]
    handle = await desk.request()
    await desk.becomes(handle, "creating")
    assert await refusal(handle, cancel(request_id="request-1")) == "request_id_conflict"


async def test_the_third_waits_and_is_told_when_its_turn_has_come(desk):
    desk.books.script = ["hang", "hang"]
    first, second = [await desk.request(request_id=f"r-{n}") for n in (1, 2)]
    await desk.becomes(first, "creating")
    await desk.becomes(second, "creating")
    third = await desk.request(request_id="r-3")
    assert desk.books.status[third.id.removeprefix("export/")] == "requested"
    desk.books.released.set()
    await desk.becomes(third, "ready")
    events = [event async for event in third.fetch_history_events()]
    assert any(event.HasField("workflow_execution_signaled_event_attributes") for event in events)


async def test_a_waiting_request_can_be_canceled(desk):
    desk.books.script = ["hang", "hang"]
    for number in (1, 2):
        await desk.becomes(await desk.request(request_id=f"r-{number}"), "creating")
    third = await desk.request(request_id="r-3")
    answer = await third.execute_update(Export.cancel, cancel())
    assert (answer.status, answer.reason) == (ExportStatus.FAILED, "export_canceled")
    assert len(desk.books.writes) == 2


@pytest.mark.parametrize(("does", "status"), [("hang", "creating"), ("written", "ready")])
async def test_a_cancellation_in_the_web_ui_ends_it_in_the_books_too(desk, does, status):
    desk.books.script = [does]
    handle = await desk.request()
    await desk.becomes(handle, status)
    await handle.cancel()
    view = await handle.result()
    assert view.reason == "export_canceled"
    assert desk.books.records[-1].actor == "operator:engine"
    assert desk.books.is_over()


async def test_the_sweep_says_what_it_found(desk):
    swept = await desk.environment.client.execute_workflow(
        ExportSweep.run, id=f"export-sweep-{desk.queue}", task_queue=desk.queue
    )
    assert swept.files == 1


def test_the_sweep_comes_every_five_minutes_and_one_at_a_time():
    schedule = sweep_of_exports(Settings.load())
    assert [interval.every for interval in schedule.spec.intervals] == [timedelta(minutes=5)]
    assert schedule.policy.overlap == ScheduleOverlapPolicy.SKIP
