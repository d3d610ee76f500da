"""The life of one order: placed, paid, confirmed, expired, or canceled on the way (spec: orders.md).

`run` is the contract with the customer: wait for what comes next, do it, and let people use, cancel or correct the
order meanwhile. A Konbini slip and a subscription are workflows of their own; they tell the order what became of their
money, and the order decides what that means. Everything that changes it happens under one lock, one after another.
"""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.contracts.orders import OpenOrderInput, OrdersContract, StopSubscription
    from domain import order as orders
    from domain import order_credits
    from domain import order_operations as operations
    from domain.credit import CreditFact
    from domain.deposit import opened as slip_opened
    from domain.errors import TeikiError
    from domain.identifiers import deposit_workflow_id, order_workflow_id, subscription_workflow_id
    from domain.order_projection import row_of
    from domain.order_state import DepositFact, Slip, SubscriptionFact
    from domain.order_steps import StepKind, next_step, slip_to_tend
    from domain.order_terms import Pay
    from domain.unresolved import Mode
    from workflows import order_messages as messages
    from workflows.entity import next_runs_version
    from workflows.messages import Create, GatewayNotice, SubscriptionInput
    from workflows.options import RECORD
    from workflows.order_money import OrderMoney
    from workflows.order_operations import OrderOperations
    from workflows.order_visibility import details, timer_summary
    from workflows.visibility import search_attributes

FACTS_PER_RUN = 60
"""News of slips and payments taken before history is cut."""


@workflow.defn(name="Order")
class Order(OrderOperations, OrderMoney):
    """One order. Workflow id `order/<id>`."""

    @workflow.init
    def __init__(self, start: messages.OrderInput) -> None:
        super().__init__(start)
        self._children: set[asyncio.Task[None] | None] = set()

    # ------------------------------------------------------------------ what is told to it

    @workflow.signal(description="What became of a slip.")
    def deposit_changed(self, fact: DepositFact) -> None:
        self._facts.append(fact)
        self._changed = True

    @workflow.signal(description="What became of the subscription.")
    def subscription_changed(self, fact: SubscriptionFact) -> None:
        self._facts.append(fact)
        self._changed = True

    @workflow.signal(description="What became of a credit.")
    def credit_changed(self, fact: CreditFact) -> None:
        self._facts.append(fact)
        self._changed = True

    @workflow.signal(description="The payment company has news of the order's money: ask.")
    async def gateway_notified(self, notice: GatewayNotice) -> None:
        # After whatever is under way, whose answer may be older than the news.
        async with self._lock:
            if self._state is not None:
                orders.hurry(self._state, self._now())
                self._changed = True

    # ------------------------------------------------------------------ the contract with the customer

    @workflow.run
    async def run(self, start: messages.OrderInput) -> messages.OrderOpened | messages.OrderAnswer:
        return await self._to_the_end(self._live(start), when_told_to_stop=self._be_stopped)

    def _be_stopped(self) -> None:
        self._stop_requested = True

    async def _live(self, start: messages.OrderInput) -> messages.OrderOpened | messages.OrderAnswer:
        if start.state is None and not await self._open():
            await workflow.wait_condition(workflow.all_handlers_finished)
            assert self._opened is not None
            return self._opened
        while not self._is_over():
            self._changed = False
            step = next_step(self._current, self._now())
            workflow.set_current_details(details(self._current, step))
            if self._facts:
                async with self._lock:
                    await self._take_a_fact()
            elif self._stop_requested:
                async with self._lock:
                    await self._stop()
            elif self._history_is_long():
                await self._continue_as_new()
            elif await self._waited_until(step.at if step else None, timer_summary(step)):
                async with self._lock:
                    await self._take_the_next_step()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._answer()

    async def _take_a_fact(self) -> None:
        fact = self._facts.pop(0)
        self._facts_taken += 1
        state, now = self._copy(), self._now()
        number: int | None
        if isinstance(fact, CreditFact):
            events, number = [], fact.number
            order_credits.credit_changed(state, fact)
        elif isinstance(fact, DepositFact):
            events, number = orders.deposit_changed(state, fact, now), fact.number
        else:
            events, number = orders.subscription_changed(state, fact, now), fact.last_number
        credited, credit_ids = order_credits.count_credits(state)
        more: dict[str, Any] = {"credit_ids": credit_ids} if credit_ids else {}
        await self._go_on(state, [*events, *credited], payment=number, **more)

    async def _take_the_next_step(self) -> None:
        # Asked again under the lock: an operation may have come between the timer and this moment.
        step = next_step(self._current, self._now())
        if step is None or step.at > self._now():
            return
        if step.kind in (StepKind.CONFIRM, StepKind.EXPIRE, StepKind.LAPSE):
            await self._pass_time(step.kind)
        elif step.kind is StepKind.CHARGE:
            await self._charge(Mode.SEND)
        elif step.kind in (StepKind.ASK, StepKind.ATTENTION):
            await self._ask()
        elif step.kind is StepKind.REFUND:
            await self._refund()
        elif step.kind is StepKind.VERIFY:
            await self._verify()
        elif step.kind is StepKind.SLIP:
            await self._tend_slip()
        else:
            await self._tend_subscription()

    async def _pass_time(self, kind: StepKind) -> None:
        state, now = self._copy(), self._now()
        if kind is StepKind.CONFIRM:
            events = orders.confirm(state, now)
        elif kind is StepKind.EXPIRE:
            events = orders.expire(state, now)
        else:
            events = orders.lapse(state)
        await self._go_on(state, events)

    # ------------------------------------------------------------------ slip and subscription

    async def _tend_slip(self) -> None:
        """Start the slip's workflow, or tell it that the slip is not wanted any more."""
        state = self._copy()
        slip = slip_to_tend(state)
        assert slip is not None
        if slip.is_started:
            assert slip.cancel is not None
            handle = workflow.get_external_workflow_handle(deposit_workflow_id(slip.deposit_id))
            try:
                await handle.signal("not_wanted", slip.cancel)
            except FailureError:
                workflow.logger.warning("a slip's workflow has ended before it was told")
            self._replace_slip(state.id, slip.model_copy(update={"is_told": True}))
        else:
            await self._start_slip(slip)
            self._replace_slip(state.id, slip.model_copy(update={"is_started": True}))

    def _replace_slip(self, order_id: str, slip: Slip) -> None:
        """Remembered only: the books need not know who was told what."""
        state = self._copy()
        if state.earlier_slip is not None and state.earlier_slip.number == slip.number:
            state.earlier_slip = slip
        else:
            state.slip = slip
        self._state = state

    async def _start_slip(self, slip: Slip) -> None:
        terms = self._current.terms
        assert terms.konbini is not None
        assert terms.price is not None
        state = slip_opened(
            slip.deposit_id, self._current.id, slip.number, terms.konbini, terms.price, self._now()
        )
        await self._start_child(
            "KonbiniDeposit",
            messages.DepositInput(state=state, clock_offset=self._clock.offset),
            workflow_id=deposit_workflow_id(slip.deposit_id),
            kind="deposit",
            summary=f"slip {slip.number}",
        )

    async def _tend_subscription(self) -> None:
        """Start the subscription, or stop it."""
        state = self._copy()
        assert state.subscription_id is not None
        if state.subscription_cancel is not None:
            await workflow.execute_activity_method(
                OrdersContract.stop_subscription,
                StopSubscription(
                    subscription_id=state.subscription_id,
                    request_id=f"{state.id}-stop",
                    actor=state.subscription_cancel,
                ),
                summary="stop the subscription",
                **RECORD,
            )
            state.subscription_cancel = None
        else:
            await self._start_subscription()
            state.subscription_started = True
        self._state = state

    async def _start_subscription(self) -> None:
        state = self._current
        assert state.terms.subscription is not None
        assert state.subscription_id is not None
        create = Create(
            request_id=f"{state.id}-subscription",
            actor=f"customer:{state.customer_id}",
            spec=state.terms.subscription,
        )
        await self._start_child(
            "Subscription",
            SubscriptionInput(
                id=state.subscription_id,
                create=create,
                clock_offset=self._clock.offset,
                order_workflow_id=order_workflow_id(state.id),
            ),
            workflow_id=subscription_workflow_id(state.subscription_id),
            kind="subscription",
            summary="the order's subscription",
        )

    async def _start_child(
        self, name: str, start: object, *, workflow_id: str, kind: str, summary: str
    ) -> None:
        try:
            child = await workflow.start_child_workflow(
                name,
                start,
                id=workflow_id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=summary,
                search_attributes=search_attributes(
                    kind, customer=self._current.customer_id, product=self._current.product_id
                ),
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.warning("a workflow of the order was started before")
        else:
            self._children.add(asyncio.create_task(self._outlive(child)))

    async def _outlive(self, child: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        """An order does not end before what it started: people find all of it under the order until it is over."""
        try:
            await child
        except FailureError:
            workflow.logger.warning("a workflow of the order did not end by itself")
        self._children.discard(asyncio.current_task())
        if self._state is not None and self._state.is_final:
            self._changed = True  # it may be what the end was waiting for; nothing else hangs on it

    # ------------------------------------------------------------------ opening

    async def _open(self) -> bool:
        """Enter the order into the books, or refuse it by name and end without a trace."""
        place = self._start.place
        assert place is not None
        now = self._now()
        result = await workflow.execute_activity_method(
            OrdersContract.open,
            OpenOrderInput(
                order_id=self._start.id,
                request_id=place.request_id,
                actor=place.actor,
                comment=place.comment,
                at=now,
                spec=place.spec,
            ),
            summary="enter into the books",
            **RECORD,
        )
        if result.outcome != "opened":
            facts = {name: getattr(result, name) for name in ("code", "message", "facts")}
            self._opened = messages.OrderOpened(outcome=result.outcome, order_id=result.order_id, **facts)
            return False
        assert result.terms is not None
        state = orders.placed(
            self._start.id,
            place.spec,
            result.terms,
            number=result.number,
            custom_fields=result.custom_fields,
        )
        self._written = row_of(state, now)
        self._identification = dict(result.identification)
        self._seen[place.request_id] = place.fingerprint()
        self._state = state
        if state.terms.pay is Pay.NONE:
            acquired = self._copy()
            await self._go_on(acquired, orders.acquired(acquired, now))
        return True

    # ------------------------------------------------------------------ the end, and the cut

    async def _stop(self) -> None:
        """The engine was told to stop it: an order that can still be canceled is, the rest runs to its end."""
        self._stop_requested = False
        state = self._copy()
        if state.is_final:
            return
        try:
            events = operations.cancel(state, self._now(), "operator:engine")
        except TeikiError as error:
            workflow.logger.warning("an order that cannot be canceled runs to its end: %s", error.code)
        else:
            await self._go_on(state, events)

    def _is_over(self) -> bool:
        over = self._current.is_final and self._current.is_at_rest
        return over and not self._facts and not self._children

    def _history_is_long(self) -> bool:
        if not self._is_placed():
            return False  # somebody waits for the card's first answer, and the cut would wait for him
        info = workflow.info()
        return (
            self._facts_taken >= FACTS_PER_RUN
            or info.is_continue_as_new_suggested()
            or (info.is_target_worker_deployment_version_changed() and self._current.in_flight is None)
        )

    async def _continue_as_new(self) -> None:
        """Cut the history; every accepted operation is finished first, and no news is left behind."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._is_over() or self._stop_requested or self._facts:
            return
        workflow.continue_as_new(
            messages.OrderInput(
                id=self._start.id,
                state=self._current,
                clock_offset=self._clock.offset,
                seen=self._seen,
                written=self._row,
                identification=self._identification,
            ),
            initial_versioning_behavior=next_runs_version(),
        )
