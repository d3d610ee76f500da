"""Money for a payment that was charged back: a link's life, or a receipt written down (spec: customers.md §4).

`run` is the contract: the link can be paid once, with any number of cards tried; the merchant's service is reminded on
the way; in the end it is paid, expired or canceled. Its charge is moved by the protocol of all money, with this
workflow's own attempts: one at a time, under one key each, and while one is under way nothing else happens to the link.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import Verdict
    from activities.contracts.repayments import (
        OpenRepayment,
        RecordRepayment,
        RepaymentOpened,
        RepaymentsContract,
    )
    from domain import repayment as links
    from domain.errors import ErrorCode
    from domain.identifiers import repayment_workflow_id
    from domain.refunds import RefundDue, waiting_for_a_person
    from domain.repayment import RepaymentKind, RepaymentStatus, State, next_step
    from domain.unresolved import InFlight, Mode, question_mode
    from workflows.errors import refusal, refusals, require_confirmed
    from workflows.messages import Command, GatewayNotice, SettleAttention
    from workflows.options import RECORD
    from workflows.repayment_messages import (
        AddRepayment,
        CancelRepayment,
        Pay,
        RepaymentAdded,
        RepaymentInput,
        RepaymentView,
    )
    from workflows.repayment_money import RepaymentMoney
    from workflows.repayment_visibility import details, timer_summary


@workflow.defn(name="Repayment")
class Repayment(RepaymentMoney):
    """One repayment. Workflow id `repayment/<id>`."""

    @workflow.init
    def __init__(self, start: RepaymentInput) -> None:
        super().__init__()
        self._start = start
        self._added: RepaymentAdded | None = None
        self._closed_elsewhere: str | None = None

    # ------------------------------------------------------------------ what is told to it

    @workflow.signal(description="The payment company has news of the charge: ask.")
    async def gateway_notified(self, notice: GatewayNotice) -> None:
        # After whatever is under way, whose answer may be older than the news.
        async with self._lock:
            state = self._state
            if state is not None and state.flight is not None and state.flight.next_at > self._now():
                state.flight.next_at = self._now()
                self._changed = True

    @workflow.signal(description="The books have closed the link: a newer one, or nothing is owed any more.")
    def closed(self, reason: str) -> None:
        self._closed_elsewhere = reason
        self._changed = True

    # ------------------------------------------------------------------ the life of a repayment

    @workflow.run
    async def run(self, start: RepaymentInput) -> RepaymentAdded | RepaymentView:
        return await self._to_the_end(self._live(start), when_told_to_stop=self._be_stopped)

    def _be_stopped(self) -> None:
        """A link that nobody looks after must not be payable."""
        self._closed_elsewhere = "canceled_in_the_engine"

    async def _live(self, start: RepaymentInput) -> RepaymentAdded | RepaymentView:
        opened = await self._open(start)
        while self._state is not None and (step := next_step(self._state)) is not None:
            self._changed = False
            workflow.set_current_details(details(self._state, step))
            if self._closed_elsewhere is not None and self._state.flight is None:
                async with self._lock:
                    await self._close(RepaymentStatus.CANCELED, self._closed_elsewhere)
            elif await self._waited_until(step.at, timer_summary(self._state, step)):
                async with self._lock:
                    await self._take_the_next_step()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return opened if self._state is None else self._view()

    async def _open(self, start: RepaymentInput) -> RepaymentAdded:
        """Enter it into the books, or refuse it by name and end without a trace."""
        add, now = start.add, self._now()
        opened = await workflow.execute_activity_method(
            RepaymentsContract.open, _entry(start, now), summary="enter into the books", **RECORD
        )
        facts = {name: getattr(opened, name) for name in ("outcome", "code", "message", "facts")}
        view = None
        if opened.outcome == "opened":
            assert opened.amount is not None
            self._seen[add.request_id] = add.fingerprint()
            view = self._remember_opened(add, opened)
            for closed in opened.closed:
                await self._tell_closed(closed, "newer_link" if add.link else "repaid")
        self._added = RepaymentAdded(repayment_id=opened.repayment_id, repayment=view, **facts)
        return self._added

    def _remember_opened(self, add: AddRepayment, opened: RepaymentOpened) -> RepaymentView:
        assert opened.amount is not None
        if add.link is None:
            return RepaymentView(
                id=self._start.id, status=RepaymentStatus.PAID, reason="received", amount=opened.amount
            )
        now = self._now()
        expires_at = now + add.link.life
        self._state = State(
            id=self._start.id,
            object_id=add.object_id,
            number=add.number,
            amount=opened.amount,
            expires_at=expires_at,
            remind_at=links.reminders_of(now, expires_at, add.link.remind_after),
        )
        return self._view()

    async def _tell_closed(self, repayment_id: str, reason: str) -> None:
        other = workflow.get_external_workflow_handle(repayment_workflow_id(repayment_id))
        try:
            await other.signal("closed", reason)
        except FailureError:
            workflow.logger.info("a closed link's workflow has ended before it was told")

    async def _take_the_next_step(self) -> None:
        # Asked again under the lock: somebody may have begun to pay between the timer and this moment.
        state = self._current
        step = next_step(state)
        if step is None or step.at > self._now():
            return
        if step.name == "ask":
            assert state.flight is not None
            await self._concluded(await self._charge(question_mode(state.flight, self._now())))
        elif step.name == "return":
            await self._return_twin()
        elif step.name == "verify":
            await self._verify()
        elif step.name == "remind":
            await self._remind()
        else:
            await self._close(RepaymentStatus.EXPIRED, "not_paid_in_time")

    async def _remind(self) -> None:
        state = self._current
        number = state.reminders + 1
        recorded = await self._record(f"reminder {number}", reminder=number)
        self._state = state.model_copy(
            update={
                "reminders": number,
                "remind_at": state.remind_at[1:],
                "status": recorded.status,
                "reason": recorded.reason,
            }
        )

    async def _close(self, to: RepaymentStatus, reason: str, **said: Any) -> None:
        """Write the end down; the books may have known it before, and better."""
        self._closed_elsewhere = None
        if not self._current.is_open:
            return
        recorded = await self._record(f"{to.value}: {reason}", to=to, reason=reason, **said)
        self._state = self._current.model_copy(update={"status": recorded.status, "reason": recorded.reason})
        self._changed = True

    async def _record(self, summary: str, **what: Any) -> Any:
        return await workflow.execute_activity_method(
            RepaymentsContract.record,
            RecordRepayment(repayment_id=self._start.id, at=self._now(), event_key=self._event_key(), **what),
            summary=summary,
            **RECORD,
        )

    # ------------------------------------------------------------------ what people may say

    @workflow.update(description="Wait until it is entered into the books.")
    async def await_added(self) -> RepaymentAdded:
        await workflow.wait_condition(lambda: self._added is not None)
        assert self._added is not None
        return self._added

    @workflow.update(description="Charge the card that the customer chose; answers how it went so far.")
    async def pay(self, command: Pay) -> RepaymentView:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._view()
                links.require_payable(self._current, self._now())
            now = self._now()
            self._state = self._current.model_copy(
                update={
                    "payment_method_id": command.payment_method_id,
                    "flight": InFlight.unsent(now),
                    "decline": None,
                }
            )
            self._remember(command)
            await self._concluded(await self._charge(Mode.SEND))
            self._changed = True
            return self._view()

    @pay.validator
    def _can_pay(self, command: Pay) -> None:
        self._try(command, lambda state: links.require_payable(state, self._now()))

    @workflow.update(description="Nobody can pay by this link any more.")
    async def cancel(self, command: CancelRepayment) -> RepaymentView:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._view()
                links.require_cancelable(self._current)
            await self._close(
                RepaymentStatus.CANCELED, "canceled", actor=command.actor, comment=command.comment
            )
            self._remember(command)
            return self._view()

    @cancel.validator
    def _can_cancel(self, command: CancelRepayment) -> None:
        self._try(command, links.require_cancelable)

    @workflow.update(
        description="Settle what waits for a person; the gateway is asked first and knows better."
    )
    async def settle_attention(self, command: SettleAttention) -> RepaymentView:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._view()
                refund = _waiting(self._current, command)
            verdict = Verdict(moved=command.moved, gateway_id=command.gateway_id)
            if refund is None:
                result = await self._charge(Mode.ASK, verdict=verdict)
            else:
                result = await self._give_back(refund, Mode.ASK, verdict=verdict)
            require_confirmed(result)
            if refund is None:
                await self._concluded(result)
            else:
                self._returned(refund, again=command.again and result.outcome == "declined")
            self._remember(command)
            self._changed = True
            return self._view()

    @settle_attention.validator
    def _can_settle_attention(self, command: SettleAttention) -> None:
        self._try(command, lambda state: _waiting(state, command))

    def _try(self, command: Command, check: Any) -> None:
        """The validator of every operation: refuse by name, change nothing."""
        if self._state is None:
            raise refusal(ErrorCode.REPAYMENT_NOT_FOUND, "The link is not open yet, or is none.", {})
        with refusals():
            if not self._is_repetition(command):
                check(self._state)

    # ------------------------------------------------------------------ memory

    def _view(self) -> RepaymentView:
        state = self._current
        return RepaymentView(
            id=state.id,
            status=state.status,
            reason=state.reason,
            amount=state.amount,
            expires_at=state.expires_at,
            is_being_paid=state.flight is not None,
            decline=state.decline,
        )


def _entry(start: RepaymentInput, now: datetime) -> OpenRepayment:
    add = start.add
    said: dict[str, Any] = {name: getattr(add, name) for name in ("object_id", "number", "request_id")}
    said |= {"repayment_id": start.id, "actor": add.actor, "comment": add.comment, "at": now}
    if add.link is not None:
        terms = {"token_hash": add.link.token_hash, "expires_at": now + add.link.life}
        return OpenRepayment(kind=RepaymentKind.LINK, amount=add.link.amount, **said, **terms)
    assert add.received is not None
    came = add.received
    terms = {"method": came.method, "received_as": came.reference, "received_on": came.on}
    return OpenRepayment(kind=RepaymentKind.MANUAL, amount=came.amount, **said, **terms)


def _waiting(state: State, command: SettleAttention) -> RefundDue | None:
    """The second charge's return that is meant; None: the link's own charge."""
    return waiting_for_a_person(
        state.flight, state.refunds, number=command.number, returns=command.returns, what="repayment"
    )
