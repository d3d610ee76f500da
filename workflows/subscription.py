"""The life of one subscription, from its first charge to its last, for decades.

`run` is the contract with the customer: wait for what comes next, do it, and let operators change the course at any
time. What comes next is decided by `domain`; what it changes is written by activities; this file keeps the two in
step. Whatever is done is done under one lock, so that an operation and a charge never meet half-way
(spec: subscriptions.md §§3–8).
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contracts.records import OpenInput, RecordsContract
    from domain import operations
    from domain.errors import TeikiError
    from domain.order_state import SubscriptionFact
    from domain.projection import order_fact, row_of, view_of
    from domain.subscription import State, Status, Step, StepKind, next_step
    from domain.terms import agree
    from domain.unresolved import Mode
    from workflows import messages
    from workflows.entity import SYSTEM, next_runs_version
    from workflows.options import RECORD
    from workflows.subscription_money import SubscriptionMoney
    from workflows.subscription_operations import SubscriptionOperations
    from workflows.visibility import details, timer_summary


@workflow.defn(name="Subscription")
class Subscription(SubscriptionOperations, SubscriptionMoney):
    """One subscription. Workflow id `subscription/<id>`."""

    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    # ------------------------------------------------------------------ the contract with the customer

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await self._to_the_end(self._live(start), when_told_to_stop=self._stop)

    def _stop(self) -> None:
        self._stop_requested = True

    async def _live(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        if start.state is None and not await self._open():
            await self._tell_the_order()
            await workflow.wait_condition(workflow.all_handlers_finished)
            assert self._opened is not None
            return self._opened
        while not self._is_over():
            self._changed = False
            await self._tell_the_order()
            step = next_step(self._current)
            workflow.set_current_details(details(self._current, step))
            if self._stop_requested:
                async with self._lock:
                    await self._cancel("canceled_in_the_engine", actor="operator:engine")
            elif self._history_is_long():
                await self._continue_as_new()
            elif await self._reached(step):
                async with self._lock:
                    await self._take_the_next_step()
        await self._tell_the_order()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._answer()

    async def _tell_the_order(self) -> None:
        """An order that this subscription pays hears of every payment and change of status."""
        if self._start.order_workflow_id is None:
            return
        refused = SubscriptionFact(status=Status.CANCELED, charges=0)
        fact = order_fact(self._state) if self._state is not None else refused
        if fact == self._told:
            return
        order = workflow.get_external_workflow_handle(self._start.order_workflow_id)
        try:
            await order.signal("subscription_changed", fact)
        except FailureError:
            workflow.logger.warning("the subscription's order has ended before it was told")
        self._told = fact

    async def _reached(self, step: Step | None) -> bool:
        """Wait for the step's instant; False when an operation changed the course meanwhile."""
        return await self._waited_until(step.at if step else None, timer_summary(self._current, step))

    async def _take_the_next_step(self) -> None:
        # Asked again under the lock: an operation may have come between the timer and this moment.
        step = next_step(self._current)
        if step is None or step.at > self._now():
            return
        if step.kind in (StepKind.PAYMENT, StepKind.RETRY):
            await self._charge(Mode.SEND)
        elif step.kind in (StepKind.ASK, StepKind.ATTENTION):
            await self._ask()
        elif step.kind is StepKind.REFUND:
            await self._refund()
        elif step.kind is StepKind.VERIFY:
            await self._verify()
        else:
            await self._cancel("period_ended")

    # ------------------------------------------------------------------ opening

    async def _open(self) -> bool:
        """Enter the subscription into the books, or refuse it by name and end without a trace."""
        create = self._start.create
        assert create is not None
        now = self._now()
        try:
            terms = agree(create.spec, now=now)
        except TeikiError as error:
            self._opened = messages.Opened(
                outcome="refused",
                subscription_id=self._start.id,
                code=error.code.value,
                message=error.message,
                facts=error.facts,
            )
            return False
        state = State(
            id=self._start.id,
            customer_id=create.spec.customer_id,
            product_id=create.spec.product_id,
            terms=terms,
            amount_minor=terms.amount_minor,
        )
        result = await workflow.execute_activity_method(
            RecordsContract.open,
            OpenInput(
                subscription_id=state.id,
                request_id=create.request_id,
                actor=create.actor,
                comment=create.comment,
                at=now,
                spec=create.spec,
                terms=terms,
                row=row_of(state),
            ),
            summary="enter into the books",
            **RECORD,
        )
        if result.outcome == "opened":
            self._state, self._written = state, row_of(state)
            self._seen[create.request_id] = create.fingerprint()
        view = view_of(state) if result.outcome == "opened" else None
        self._opened = messages.Opened(**result.model_dump(), subscription=view)
        return result.outcome == "opened"

    # ------------------------------------------------------------------ the end, and the cut

    async def _cancel(self, reason: str, *, actor: str = SYSTEM) -> None:
        """End it without an operation: its scheduled date has come, or the engine was told to stop it."""
        self._stop_requested = False
        if not self._current.is_final:
            moves = operations.cancel_now(self._current, self._now(), reason=reason)
            await self._record(moves=moves, actor=actor)

    def _is_over(self) -> bool:
        state = self._current
        return state.is_final and state.is_at_rest

    def _history_is_long(self) -> bool:
        at_a_boundary = self._current.open is None and self._current.in_flight is None
        info = workflow.info()
        cut = self._cycles >= self._start.cycles_per_run or info.is_target_worker_deployment_version_changed()
        return (cut and at_a_boundary) or info.is_continue_as_new_suggested()

    async def _continue_as_new(self) -> None:
        """Cut the history between two payments; every accepted operation is finished first."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._is_over() or self._stop_requested:
            return  # a cancellation came while we waited
        implied = row_of(self._current)
        workflow.continue_as_new(
            messages.SubscriptionInput(
                id=self._start.id,
                state=self._current,
                clock_offset=self._clock.offset,
                seen=self._seen,
                written=None if self._row == implied else self._row,
                cycles_per_run=self._start.cycles_per_run,
                **(
                    {"order_workflow_id": self._start.order_workflow_id, "told": self._told}
                    if self._start.order_workflow_id
                    else {}
                ),
            ),
            initial_versioning_behavior=next_runs_version(),
        )
