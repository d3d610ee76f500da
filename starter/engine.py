"""The one place where the SDK meets Temporal: calls, and the translation of failures.

No Temporal type leaves this module. A refusal comes out as `TeikiError` with the workflow's own code and facts; an
engine that cannot be reached comes out as `engine_unavailable`, which says that repeating is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final
from weakref import WeakValueDictionary

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode, TeikiError
from starter.gate import Gate
from starter.precedence import precedence

_PATIENCE_SECONDS: Final = 30.0
"""How long a caller waits for an answer. What was accepted goes on without the caller."""

_UPDATES_AT_ONCE: Final = 6
"""Commands of ours to one workflow that are under way at the same time. The server takes ten in all and puts the
eleventh off for seconds: a crowd at one door waits here, in its order, and leaves room for other processes."""

_LOOK_EVERY_SECONDS: Final = 0.5
"""How often the progress of long work is asked for."""

_UNREACHABLE: Final = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    # How a connection looks that breaks in the middle of a call, and a server that is just starting or stopping.
    RPCStatusCode.UNKNOWN,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.ABORTED,
}


class NotRunning(Exception):  # noqa: N818 - an answer, not an error: the caller asks the database next
    """No such workflow is running: never started, or ended."""


class Engine:
    """Starts workflows, sends updates, asks queries; each passes the gate first."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        *,
        gate: Gate,
        precedence: Callable[[Client, str], AbstractAsyncContextManager[None]] = precedence,
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._gate = gate
        self._precedence = precedence
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def address(self) -> str:
        return self._client.service_client.config.target_host

    async def start_and_update(
        self,
        workflow: Any,
        start: BaseModel,
        update: Any,
        *,
        workflow_id: str,
        shown: Mapping[SearchAttributeKey[str], str],
        summary: str,
        task_queue: str | None = None,
    ) -> Any:
        """Start an entity and wait for its first answer, in one round trip.

        Args:
            workflow: the class.
            start: its input.
            update: what answers.
            workflow_id: of the entity.
            shown: its search attributes.
            summary: a word for people in the Web UI.
            task_queue: when it is not that of money.
        """
        await self._gate.admit_command(start, _object_of(workflow_id))
        operation = WithStartWorkflowOperation(
            workflow.run,
            start,
            id=workflow_id,
            task_queue=task_queue or self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=summary,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(key, value) for key, value in shown.items()]
            ),
        )
        async with _translated(workflow_id):
            return await self._client.execute_update_with_start_workflow(
                update, start_workflow_operation=operation
            )

    async def run(self, workflow: Any, order: BaseModel, *, workflow_id: str) -> Any:
        """Run a short workflow to its end; one that ran before under this id answers again."""
        await self._gate.admit_command(order, _object_of(workflow_id))
        async with _translated(workflow_id):
            try:
                return await self._client.execute_workflow(
                    workflow.run,
                    order,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                )
            except WorkflowAlreadyStartedError:
                return await self._client.get_workflow_handle_for(workflow.run, workflow_id).result()

    async def follow(
        self,
        workflow: Any,
        order: BaseModel,
        *,
        workflow_id: str,
        patience_s: float,
        on_progress: Callable[[Any], None] = lambda _: None,
    ) -> Any:
        """Start a workflow that takes its time and wait for its end; one that began before under this id is awaited.

        Args:
            workflow: the class.
            order: its input.
            workflow_id: of this work, for ever.
            patience_s: seconds to wait; the workflow goes on without the caller.
            on_progress: called with what the activity under way said last of its progress (its heartbeat).

        Raises:
            TeikiError: `engine_unavailable` also when it takes longer.
        """
        await self._gate.admit_command(order, _object_of(workflow_id))
        async with _translated(workflow_id, patience_s=patience_s):
            try:
                handle = await self._client.start_workflow(
                    workflow.run,
                    order,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                )
            except WorkflowAlreadyStartedError:
                handle = self._client.get_workflow_handle_for(workflow.run, workflow_id)
            result = asyncio.ensure_future(handle.result())
            try:
                while not (await asyncio.wait({result}, timeout=_LOOK_EVERY_SECONDS))[0]:
                    for told in await self._heartbeats(handle):
                        on_progress(told)
                return await result
            finally:
                result.cancel()

    async def notify(self, workflow_id: str, signal: str, notice: BaseModel) -> None:
        """Tell a running workflow a fact nobody waits for; `NotRunning` when there is none."""
        await self._gate.admit_command(notice, _object_of(workflow_id))
        async with _translated(workflow_id):
            await self._client.get_workflow_handle(workflow_id).signal(signal, notice)

    async def progress(self, workflow_id: str) -> Any:
        """What the activity under way said last of its progress; None when none is, or it has said nothing."""
        await self._gate.admit_read()
        async with _translated(workflow_id):
            said = await self._heartbeats(self._client.get_workflow_handle(workflow_id))
        return said[-1] if said else None

    async def _heartbeats(self, handle: WorkflowHandle[Any, Any]) -> list[Any]:
        described = await handle.describe()
        told = [
            pending.heartbeat_details.payloads
            for pending in described.raw_description.pending_activities
            if pending.heartbeat_details.payloads
        ]
        return [(await self._client.data_converter.decode(payloads))[0] for payloads in told]

    async def update(self, workflow_id: str, update: Any, command: BaseModel, *, update_id: str) -> Any:
        """Send a command to a running workflow; raises `NotRunning` when there is none."""
        await self._gate.admit_command(command, _object_of(workflow_id))
        async with (
            _translated(workflow_id),
            self._turn(workflow_id),
            self._precedence(self._client, workflow_id),
        ):
            return await self._client.get_workflow_handle(workflow_id).execute_update(
                update, command, id=update_id
            )

    def _turn(self, workflow_id: str) -> asyncio.Semaphore:
        """Kept as long as somebody waits in it."""
        turn = self._turns.get(workflow_id)
        if turn is None:
            turn = self._turns[workflow_id] = asyncio.Semaphore(_UPDATES_AT_ONCE)
        return turn

    async def signal(self, workflow_id: str, signal: str, argument: BaseModel) -> None:
        """Tell a running workflow something; raises `NotRunning` when there is none."""
        await self._gate.admit_command(argument, _object_of(workflow_id))
        async with _translated(workflow_id):
            await self._client.get_workflow_handle(workflow_id).signal(signal, argument)

    async def start_and_signal(
        self,
        workflow: Any,
        start: BaseModel,
        signal: str,
        argument: BaseModel,
        *,
        workflow_id: str,
        summary: str,
    ) -> None:
        """Tell a workflow something, which starts it unless it is running."""
        async with _translated(workflow_id):
            await self._client.start_workflow(
                workflow.run,
                start,
                id=workflow_id,
                task_queue=self._task_queue,
                start_signal=signal,
                start_signal_args=[argument],
                static_summary=summary,
            )

    async def query(self, workflow_id: str, query: Any) -> Any:
        await self._gate.admit_read()
        async with _translated(workflow_id):
            return await self._client.get_workflow_handle(workflow_id).query(query)


def _object_of(workflow_id: str) -> str:
    return workflow_id.partition("/")[2]


@asynccontextmanager
async def _translated(workflow_id: str, *, patience_s: float = _PATIENCE_SECONDS) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(patience_s):
            yield
    except TimeoutError as error:
        raise _unavailable(workflow_id, "No worker answered in time; is one running?") from error
    except (WorkflowUpdateFailedError, WorkflowFailureError) as error:
        raise _refusal(error.cause) from error
    except WorkflowQueryFailedError as error:
        raise _unavailable(workflow_id, "The workflow could not answer.") from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise _unavailable(workflow_id, "No worker answered in time.") from error
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NotRunning(workflow_id) from error
        if error.status == RPCStatusCode.FAILED_PRECONDITION:
            raise _unavailable(
                workflow_id, "The workflow cannot work just now (see its task failures)."
            ) from error
        if error.status in _UNREACHABLE:
            raise _unavailable(workflow_id, "Temporal or its worker does not answer.") from error
        raise


def _refusal(cause: BaseException | None) -> BaseException:
    if isinstance(cause, ApplicationError) and cause.type in {code.value for code in ErrorCode}:
        facts = cause.details[0] if cause.details and isinstance(cause.details[0], dict) else {}
        return TeikiError(ErrorCode(cause.type), cause.message, **facts)
    if isinstance(cause, ApplicationError):
        return TeikiError(ErrorCode.INVALID_INPUT, cause.message)
    return TeikiError(ErrorCode.ENGINE_UNAVAILABLE, f"The workflow did not answer: {type(cause).__name__}.")


def _unavailable(workflow_id: str, message: str) -> TeikiError:
    return TeikiError(
        ErrorCode.ENGINE_UNAVAILABLE,
        f"{message} Repeat with the same request id: nothing is done twice.",
        workflow_id=workflow_id,
    )
