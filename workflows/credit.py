"""The life of one credit: accepted, its money on the way, back with the customer, looked at once more.

A credit lives by itself, because what it returns may have ended long ago. Its part of the payment is reserved in the
books before anything is sent, and its money moves by the one protocol: asked about while nobody knows, sent again
under the same key after the horizon, left to a person when the key is too old (spec: customers.md §3, charging.md §2).
An order that is concerned is told; one that has ended is brought up to date in the books.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import BillingContract, Outcome, RefundInput, Verdict, VerifyInput
    from activities.contracts.credits import (
        CountCredit,
        CreditsContract,
        OpenCredit,
        RecordCredit,
    )
    from domain import credit as rules
    from domain.credit import CreditState, CreditStatus
    from domain.errors import ErrorCode
    from domain.identifiers import order_workflow_id
    from domain.unresolved import Mode, question_mode
    from workflows import credit_messages as messages
    from workflows.blocking import BLOCKING, BlockingInput
    from workflows.entity import Entity, clock_of, next_runs_version
    from workflows.errors import refusal, refusals, require_confirmed
    from workflows.messages import GatewayNotice, SettleAttention
    from workflows.options import MONEY, RECORD
    from workflows.visibility import STATUS

BLOCK_SECONDS_MAX = 60
"""What a credit waits for its block at most; the block goes on."""


@workflow.defn(name="Credit")
class Credit(Entity):
    """One credit. Workflow id `credit/<id>`."""

    @workflow.init
    def __init__(self, start: messages.CreditInput) -> None:
        super().__init__(clock_of(start.clock_offset, start.scenario_start), start.seen)
        self._start = start
        self._state: CreditState | None = start.state
        self._refused: messages.CreditOpened | None = None

    # ------------------------------------------------------------------ what is told to it

    @workflow.update(description="Wait until it is accepted and the payment company has answered once.")
    async def await_answer(self) -> messages.CreditOpened:
        await workflow.wait_condition(self._is_answered)
        return self._answer()

    def _is_answered(self) -> bool:
        if self._refused is not None or self._state is None:
            return self._refused is not None
        due = self._state.due
        return due is None or due.flight.asks > 0

    def _answer(self) -> messages.CreditOpened:
        return self._refused or messages.CreditOpened(outcome="opened", credit_id=self._start.id)

    @workflow.signal(description="The payment company has news: ask.")
    async def gateway_notified(self, notice: GatewayNotice) -> None:
        # After whatever is under way, whose answer may be older than the news.
        async with self._lock:
            if self._state is not None and rules.hurry(self._state, self._now()):
                self._changed = True

    # ------------------------------------------------------------------ the life of a credit

    @workflow.run
    async def run(self, start: messages.CreditInput) -> messages.CreditOpened:
        # What was accepted is finished, also when somebody asks the engine to stop it.
        return await self._to_the_end(self._live(), when_told_to_stop=lambda: None)

    async def _live(self) -> messages.CreditOpened:
        if self._state is None and not await self._open():
            await workflow.wait_condition(workflow.all_handlers_finished)
            return self._answer()
        while (step := rules.next_step(self._current)) is not None:
            self._changed = False
            workflow.set_current_details(_details(self._current))
            if self._history_is_long():
                await self._continue_as_new()
            elif step.at is None or await self._waited_until(step.at, _timer_summary(self._current)):
                async with self._lock:
                    await self._take_the_next_step()
        workflow.set_current_details(_details(self._current))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._answer()

    async def _open(self) -> bool:
        """Reserve its money in the books, or refuse it by name and end without a trace."""
        ask = self._start.ask
        assert ask is not None
        now = self._now()
        result = await workflow.execute_activity_method(
            CreditsContract.open,
            OpenCredit(
                credit_id=self._start.id,
                object_id=ask.object_id,
                number=ask.number,
                amount=ask.amount,
                accept_risk=ask.accept_risk,
                block_all=ask.block_all,
                request_id=ask.request_id,
                actor=ask.actor,
                comment=ask.comment,
                at=now,
            ),
            summary=f"reserve of payment {ask.number}",
            **RECORD,
        )
        if result.outcome != "opened":
            facts = {name: getattr(result, name) for name in ("credit_id", "code", "message", "facts")}
            self._refused = messages.CreditOpened(outcome=result.outcome, **facts)
            return False
        assert result.amount is not None
        self._seen[ask.request_id] = ask.fingerprint()
        self._state = rules.accepted(
            self._start.id,
            object_id=ask.object_id,
            number=ask.number,
            amount=result.amount,
            order_id=result.order_id,
            customer_id=result.customer_id,
            bank_account=ask.bank_account,
            blocks=ask.actor if ask.block_all else None,
            now=now,
        )
        return True

    async def _take_the_next_step(self) -> None:
        # Asked again under the lock: a person may have come between the timer and this moment.
        step = rules.next_step(self._current)
        if step is None or (step.at is not None and step.at > self._now()):
            return
        if step.kind == "block":
            await self._block()
        elif step.kind == "tell":
            await self._tell_the_order()
        elif step.kind == "refund":
            await self._refund()
        else:
            await self._verify()

    async def _block(self) -> None:
        """`block_all`: a block like any other, first of all. Who is slow to hear of it does not hold the money up."""
        state = self._current
        assert state.blocks is not None
        order = BlockingInput(
            customer_id=state.customer_id,
            do="block_all",
            request_id=f"{state.id}-block",
            actor=state.blocks,
            comment=f"blocked with credit {state.id}",
            at=self._now(),
        )
        block = await workflow.start_child_workflow(
            BLOCKING,
            order,
            id=order.workflow_id,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary="block the customer",
        )
        await workflow.wait([block], timeout=BLOCK_SECONDS_MAX)
        state.blocks = None

    async def _tell_the_order(self) -> None:
        state = self._current
        assert state.order_id is not None
        order = workflow.get_external_workflow_handle(order_workflow_id(state.order_id))
        try:
            await order.signal("credit_changed", state.fact)
        except FailureError:
            # It has ended, and its books are brought up to date for it.
            if state.status is CreditStatus.RETURNED:
                await workflow.execute_activity_method(
                    CreditsContract.count_on_ended_order,
                    CountCredit(credit_id=state.id, at=self._now()),
                    summary="count on the ended order",
                    **RECORD,
                )
        state.told = state.status

    # ------------------------------------------------------------------ its money

    async def _refund(self) -> None:
        state = self._current
        assert state.due is not None
        result = await self._give_back(question_mode(state.due.flight, self._now()))
        self._look_again(result, state.due.attempt)
        if result.outcome == "settled":
            self._close(CreditStatus.RETURNED, "returned")
        else:
            assert result.outcome != "declined", "a refused refund waits for a person"
            self._still_open(state.due.flight, result)

    async def _give_back(self, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        """One question about its refund, under one key for ever."""
        state = self._current
        due = state.due
        assert due is not None
        more = {
            "attempt": due.attempt if due.attempt > 1 else None,
            "verdict": verdict,
            "bank_account": state.bank_account,
        }
        return await workflow.execute_activity_method(
            BillingContract.refund,
            RefundInput(
                object_id=state.object_id,
                number=state.number,
                at=self._now(),
                reason="credit",
                mode=mode,
                turn=due.flight.asks,
                credit_id=state.id,
                **{name: value for name, value in more.items() if value is not None},
            ),
            summary=f"return {state.amount} of payment {state.number}",
            **MONEY,
        )

    def _look_again(self, result: Outcome, attempt: int) -> None:
        if result.verify_in_s is not None:
            rules.verify_later(self._current, attempt, self._now(), in_s=result.verify_in_s)

    def _close(self, status: CreditStatus, reason: str) -> None:
        rules.close(self._current, status, reason)
        workflow.upsert_search_attributes([STATUS.value_set(status.value)])

    async def _verify(self) -> None:
        """What got its outcome after a doubt is looked at once more; what went back twice is booked and shown."""
        state = self._current
        verification = state.next_verification
        assert verification is not None
        result = await workflow.execute_activity_method(
            BillingContract.verify,
            VerifyInput(
                object_id=state.object_id,
                number=state.number,
                attempt=verification.attempt,
                at=self._now(),
                credit_id=state.id,
            ),
            summary=f"verify attempt {verification.attempt}",
            **MONEY,
        )
        again = None if result.is_clear else verification.ask_again(self._now())
        others = tuple(other for other in state.verifications if other is not verification)
        state.verifications = (*others, again) if again is not None else others

    # ------------------------------------------------------------------ a person's word

    @workflow.update(
        description="Settle what waits for a person; the gateway is asked first and knows better."
    )
    async def settle_attention(self, command: SettleAttention) -> str:
        async with self._lock:
            state = self._current
            with refusals():
                if self._is_repetition(command):
                    return state.status.value
                due = rules.require_waiting(state)
            verdict = Verdict(moved=command.moved, gateway_id=command.gateway_id)
            result = await self._give_back(Mode.ASK, verdict=verdict)
            require_confirmed(result)
            self._look_again(result, due.attempt)
            if result.outcome == "settled":
                self._close(CreditStatus.RETURNED, "returned")
            elif command.again:
                rules.ask_again(state, self._now())
            else:
                self._close(CreditStatus.FAILED, "not_returned")
            self._remember(command)
            self._changed = True
            await self._write_down(command)
            return state.status.value

    async def _write_down(self, command: SettleAttention) -> None:
        state = self._current
        await workflow.execute_activity_method(
            CreditsContract.record,
            RecordCredit(
                credit_id=state.id,
                object_id=state.object_id,
                number=state.number,
                status=state.status,
                reason=state.reason,
                request_id=command.request_id,
                actor=command.actor,
                comment=command.comment,
                arguments=command.arguments(),
                at=self._now(),
            ),
            summary="write a person's word down",
            **RECORD,
        )

    @settle_attention.validator
    def _can_settle_attention(self, command: SettleAttention) -> None:
        if self._state is None:
            raise refusal(ErrorCode.CREDIT_NOT_FOUND, "The credit is not accepted yet.", {})
        with refusals():
            if not self._is_repetition(command):
                rules.require_waiting(self._state)

    # ------------------------------------------------------------------ the cut

    @property
    def _current(self) -> CreditState:
        assert self._state is not None
        return self._state

    def _history_is_long(self) -> bool:
        if not self._is_answered():
            return False  # somebody waits for the first answer, and the cut would wait for him
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed()

    async def _continue_as_new(self) -> None:
        """A refusal may wait for a person for months, and is asked about four times a day."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            messages.CreditInput(
                id=self._start.id, state=self._current, clock_offset=self._clock.offset, seen=self._seen
            ),
            initial_versioning_behavior=next_runs_version(),
        )


def _details(state: CreditState) -> str:
    """For people, in the Web UI."""
    waits = "" if state.due is None else f" ({state.due.flight.state})"
    return (
        f"| | |\n|---|---|\n| credit of | {state.object_id}, payment {state.number} |\n"
        f"| amount | {state.amount} |\n| status | {state.status.value}{waits} |"
    )


def _timer_summary(state: CreditState) -> str:
    if state.due is None:
        return "a second look"
    return "a person" if state.due.flight.state == "attention" else "the payment company"
