"""One Konbini slip: issued, asked about, paid or voided, and watched for late money (spec: orders.md §4).

Notices are hints. Every decision follows from what the payment company's book shows when it is asked, so the end is the
same whatever was lost, doubled or told in the wrong order. What becomes of the slip is written down and told to its
order, which decides what it means.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import (
        BillingContract,
        ChargeInput,
        Outcome,
        RefundInput,
        SlipDetails,
        SlipOrder,
        Verdict,
        VerifyInput,
    )
    from activities.contracts.orders import OrdersContract, RecordDepositInput
    from domain import deposit as deposits
    from domain.deposit import DepositMove, DepositState, Step, next_step
    from domain.identifiers import order_workflow_id
    from domain.order_state import DepositFact
    from domain.refunds import RefundDue, waiting_for_a_person, without
    from domain.unresolved import Mode, question_mode
    from workflows import order_messages as messages
    from workflows.entity import Entity, clock_of
    from workflows.errors import refusals, require_confirmed
    from workflows.messages import GatewayNotice, SettleAttention
    from workflows.options import MONEY, RECORD
    from workflows.order_visibility import deposit_details, deposit_summary

_ONLY_ATTEMPT = 1
"""A slip is asked for once; another slip is another payment number."""


@workflow.defn(name="KonbiniDeposit")
class KonbiniDeposit(Entity):
    """One slip. Workflow id `konbini/<id>`."""

    @workflow.init
    def __init__(self, start: messages.DepositInput) -> None:
        super().__init__(clock_of(start.clock_offset, None), start.seen)
        self._state = start.state
        self._is_new = start.is_new

    # ------------------------------------------------------------------ what is told to it

    @workflow.signal(description="The payment company has news: ask.")
    async def gateway_notified(self, notice: GatewayNotice) -> None:
        # After whatever is under way, whose answer may be older than the news.
        async with self._lock:
            deposits.noticed(self._state, self._now())
            self._changed = True

    @workflow.signal(description="The order does not want the slip any more: void it.")
    def not_wanted(self, reason: str) -> None:
        deposits.cancel(self._state, reason, self._now())
        self._changed = True

    # ------------------------------------------------------------------ the life of a slip

    @workflow.run
    async def run(self, start: messages.DepositInput) -> str:
        return await self._to_the_end(self._live(), when_told_to_stop=self._be_stopped)

    def _be_stopped(self) -> None:
        """Nobody may be left with a slip that can be paid and that nobody looks after."""
        self.not_wanted("canceled_in_the_engine")

    async def _live(self) -> str:
        if self._is_new:
            await self._record([])
        while (step := next_step(self._state)) is not None:
            self._changed = False
            workflow.set_current_details(deposit_details(self._state, step))
            if workflow.info().is_continue_as_new_suggested():
                await self._continue_as_new()
            elif await self._waited_until(step.at, deposit_summary(step)):
                async with self._lock:
                    await self._take_the_next_step()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state.status.value

    async def _take_the_next_step(self) -> None:
        step = next_step(self._state)
        if step is None or step.at > self._now():
            return
        if step.name == "watch":
            await self._watch()
        elif step.name == "refund":
            await self._return_late_money()
        else:
            await self._bring_forward(step)

    # ------------------------------------------------------------------ the slip

    async def _bring_forward(self, step: Step) -> None:
        """Issue the slip, ask about it, or void it; then write down and tell what it came to."""
        assert self._state.flight is not None
        voids = step.name == "void"
        mode = question_mode(self._state.flight, self._now(), wanted=not voids, ended=voids)
        if step.name == "ask":
            mode = Mode.ASK  # a slip is pending for days; nothing is given up before its end
        elif voids and deposits.may_be_given_up(self._state, self._now()):
            mode = Mode.GIVE_UP
        await self._concluded(await self._ask(mode), voids=voids)

    async def _ask(self, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        state, now, flight = self._state, self._now(), self._state.flight
        assert flight is not None
        konbini = state.konbini
        return await workflow.execute_activity_method(
            BillingContract.charge,
            ChargeInput(
                object_id=state.order_id,
                number=state.number,
                attempt=_ONLY_ATTEMPT,
                due_at=state.final_at,
                at=flight.sent_at if mode is not Mode.SEND else now,
                amount_minor=state.amount.minor,
                currency=state.amount.currency,
                row={},
                konbini=SlipOrder(
                    store=konbini.store.value,
                    customer_name=konbini.customer_name,
                    phone=konbini.phone,
                    deadline_at=state.deadline_at,
                ),
                **({} if mode is Mode.SEND else {"mode": mode, "turn": flight.asks, "learned_at": now}),
                **({"verdict": verdict} if verdict else {}),
            ),
            summary=f"slip {state.number}: {mode.value}",
            **MONEY,
        )

    async def _concluded(self, result: Outcome, *, voids: bool = False) -> None:
        state, now = self._state, self._now()
        assert state.flight is not None
        if result.outcome == "settled":
            await self._record(deposits.paid(state, now, paid_at=result.paid_at))
        elif result.outcome == "declined":
            refused = not voids and state.gateway_id is None
            await self._record(deposits.closed(state, now, refused=refused))
        elif result.outcome == "pending":
            is_first = state.status is deposits.DepositStatus.REQUESTED
            moves = deposits.shown_pending(state, result.gateway_id, now, preliminary=result.preliminary)
            if voids:
                deposits.asked_in_vain(state, now)  # it could not be voided: again soon
            if moves or is_first or result.slip is not None:
                await self._record(moves, slip=result.slip)
        else:
            was_asked = state.status is not deposits.DepositStatus.REQUESTED and result.outcome == "unknown"
            self._still_open(state.flight, result)
            if was_asked:
                deposits.asked_in_vain(state, now)

    async def _record(self, moves: list[DepositMove], *, slip: SlipDetails | None = None) -> None:
        """Write the slip down as it stands, and tell its order of each change."""
        state = self._state
        shown = ("amount", "deadline_at", "final_at", "status", "reason", "gateway_id", "paid_at")
        await workflow.execute_activity_method(
            OrdersContract.record_deposit,
            RecordDepositInput(
                deposit_id=state.id,
                order_id=state.order_id,
                number=state.number,
                at=self._now(),
                konbini=state.konbini,
                slip=slip,
                moves=tuple(moves),
                event_key=self._event_key(),
                **{name: getattr(state, name) for name in shown},
            ),
            summary=f"slip {state.number}: {state.status.value}",
            **RECORD,
        )
        self._is_new = False
        if moves:
            await self._tell_the_order()

    async def _tell_the_order(self) -> None:
        state = self._state
        fact = DepositFact(
            deposit_id=state.id,
            number=state.number,
            status=state.status,
            reason=state.reason,
            at=self._now(),
            paid_at=state.paid_at,
        )
        order = workflow.get_external_workflow_handle(order_workflow_id(state.order_id))
        try:
            await order.signal("deposit_changed", fact)
        except FailureError:
            workflow.logger.warning("the slip's order has ended before it was told")

    # ------------------------------------------------------------------ late money

    async def _watch(self) -> None:
        """Look for money that came after the end, or a second time; it goes back by itself."""
        state = self._state
        result = await workflow.execute_activity_method(
            BillingContract.verify,
            VerifyInput(
                object_id=state.order_id,
                number=state.number,
                attempt=_ONLY_ATTEMPT,
                at=self._now(),
                konbini=True,
            ),
            summary=f"slip {state.number}: look for late money",
            **MONEY,
        )
        for late in result.twins:
            deposits.late_money(state, late.gateway_id, late.amount_minor, self._now())
        deposits.watched(state, self._now(), clear=result.is_clear)

    async def _return_late_money(self) -> None:
        refund = self._state.next_refund
        assert refund is not None
        result = await self._give_back(refund, question_mode(refund.flight, self._now()))
        if result.outcome == "settled":
            self._close(refund)
        else:
            self._still_open(refund.flight, result)

    async def _give_back(self, refund: RefundDue, mode: Mode, *, verdict: Verdict | None = None) -> Outcome:
        return await workflow.execute_activity_method(
            BillingContract.refund,
            RefundInput(
                object_id=self._state.order_id,
                number=refund.number,
                at=refund.sent_at,
                reason="late_deposit",
                mode=mode,
                turn=refund.flight.asks,
                returns=refund.returns,
                attempt=refund.attempt,
                **({"verdict": verdict} if verdict else {}),
            ),
            summary=f"slip {self._state.number}: return late money",
            **MONEY,
        )

    def _close(self, refund: RefundDue, *, again: bool = False) -> None:
        self._state.refunds = without(self._state.refunds, refund, self._now(), again=again)

    # ------------------------------------------------------------------ a person's word

    @workflow.update(
        description="Settle what waits for a person; the gateway is asked first and knows better."
    )
    async def settle_attention(self, command: SettleAttention) -> str:
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._state.status.value
                refund = _waiting(self._state, command)
            verdict = Verdict(moved=command.moved, gateway_id=command.gateway_id)
            if refund is None:
                result = await self._ask(Mode.ASK, verdict=verdict)
            else:
                result = await self._give_back(refund, Mode.ASK, verdict=verdict)
            require_confirmed(result)
            if refund is None:
                await self._concluded(result)
            else:
                self._close(refund, again=command.again and result.outcome == "declined")
            self._remember(command)
            self._changed = True
            return self._state.status.value

    @settle_attention.validator
    def _can_settle_attention(self, command: SettleAttention) -> None:
        with refusals():
            if not self._is_repetition(command):
                _waiting(self._state, command)

    # ------------------------------------------------------------------ the cut

    async def _continue_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            messages.DepositInput(
                state=self._state, clock_offset=self._clock.offset, is_new=False, seen=self._seen
            )
        )


def _waiting(state: DepositState, command: SettleAttention) -> RefundDue | None:
    """The late payment meant; None: the slip itself."""
    return waiting_for_a_person(
        state.flight, state.refunds, number=command.number, returns=command.returns, what="slip"
    )
