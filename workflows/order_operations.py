"""What customers and operators may do to a running order: its updates, each with its validator.

Every operation is tried on a copy first. The validator refuses by name before anything is in history; the handler
decides again under the lock, writes it down, and only then remembers it: of two that exclude each other exactly one
wins (spec: orders.md §§2, 5, 7, 8).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import order_operations as operations
    from domain.errors import ErrorCode
    from domain.order_projection import view_of
    from domain.order_state import Event, OrderStatus, State
    from domain.order_terms import Pay
    from workflows import order_messages as messages
    from workflows.errors import refusal, refusals
    from workflows.messages import Command
    from workflows.order_memory import OrderMemory

Apply = Callable[[State, datetime], list[Event]]


class OrderOperations(OrderMemory):
    """Updates and queries of `Order`."""

    @workflow.update(
        description="Wait until the order is placed: a card has its first answer, a token its access."
    )
    async def await_placed(self) -> messages.OrderOpened:
        await workflow.wait_condition(self._is_placed)
        if self._opened is not None:
            return self._opened
        view = view_of(self._current, self._now())
        return messages.OrderOpened(outcome="opened", order_id=self._current.id, order=view)

    def _is_placed(self) -> bool:
        if self._opened is not None or self._state is None:
            return self._opened is not None
        at_once = self._state.terms.pay in (Pay.CARD, Pay.NONE)
        waits = at_once and self._state.status is OrderStatus.IN_PROCESS
        return not waits or self._state.in_flight is not None

    @workflow.update(description="The content is used or viewed: the purchase is confirmed.")
    async def use(self, command: messages.Use) -> messages.OrderAnswer:
        return await self._operate("use", command, _use(command))

    @use.validator
    def _can_use(self, command: messages.Use) -> None:
        self._try(command, _use(command))

    @workflow.update(description="Mark a ticket as used. Cannot be undone.")
    async def process_access(self, command: messages.ProcessAccess) -> messages.OrderAnswer:
        return await self._operate("process_access", command, _process_access(command))

    @process_access.validator
    def _can_process_access(self, command: messages.ProcessAccess) -> None:
        self._try(command, _process_access(command))

    @workflow.update(description="End the order and give back what was paid.")
    async def cancel_order(self, command: messages.CancelOrder) -> messages.OrderAnswer:
        return await self._operate("cancel_order", command, _cancel(command))

    @cancel_order.validator
    def _can_cancel_order(self, command: messages.CancelOrder) -> None:
        self._try(command, _cancel(command))

    @workflow.update(description="The payment was charged back: no access any more.")
    async def revoke_access(self, command: messages.RevokeAccess) -> messages.OrderAnswer:
        return await self._operate("revoke_access", command, _revoke_access)

    @revoke_access.validator
    def _can_revoke_access(self, command: messages.RevokeAccess) -> None:
        self._try(command, _revoke_access)

    @workflow.update(description="Stop the subscription; past payments stay.")
    async def cancel_subscription(self, command: messages.CancelSubscription) -> messages.OrderAnswer:
        return await self._operate("cancel_subscription", command, _cancel_subscription(command))

    @cancel_subscription.validator
    def _can_cancel_subscription(self, command: messages.CancelSubscription) -> None:
        self._try(command, _cancel_subscription(command))

    @workflow.update(description="Another slip for the deposit; the one before is voided first.")
    async def issue_slip(self, command: messages.IssueSlip) -> messages.OrderAnswer:
        return await self._operate("issue_slip", command, _issue_slip)

    @issue_slip.validator
    def _can_issue_slip(self, command: messages.IssueSlip) -> None:
        self._try(command, _issue_slip)

    @workflow.update(description="Correct the customer's answers, until the purchase is confirmed.")
    async def change_custom_fields(self, command: messages.ChangeCustomFields) -> messages.OrderAnswer:
        return await self._operate("change_custom_fields", command, _change_fields(command))

    @change_custom_fields.validator
    def _can_change_custom_fields(self, command: messages.ChangeCustomFields) -> None:
        self._try(command, _change_fields(command))

    @workflow.query(description="The workflow's own memory: what a cancellation would return now.")
    def snapshot(self) -> messages.OrderSnapshot:
        return messages.OrderSnapshot(state=self._state, clock_offset=self._clock.offset)

    def _try(self, command: Command, apply: Apply) -> None:
        """The validator of every operation: try it on a copy, refuse by name, change nothing."""
        if self._state is None:
            raise refusal(ErrorCode.ORDER_NOT_FOUND, "The order is not open yet.", {})
        with refusals():
            # Whose order it is never changes: asked here alone, and not again in the handler.
            operations.require_own(self._state, command.actor)
            if not self._is_repetition(command):
                apply(self._copy(), self._now())

    async def _operate(self, name: str, command: Command, apply: Apply) -> messages.OrderAnswer:
        """Decide on a copy, write it down, and only then remember it."""
        async with self._lock:
            with refusals():
                if self._is_repetition(command):
                    return self._answer()
                state, before = self._copy(), self._current.status
                events = apply(state, self._now())
            result = await self._record(
                state,
                events,
                actor=command.actor,
                comment=command.comment,
                request_id=command.request_id,
                operation=name,
                arguments=command.arguments(),
                summary=f"{name} by {command.actor}",
            )
            if result.outcome == "refused":
                raise refusal(result.code or "refused", result.message, result.facts)
            self._remember(command)
            if result.outcome == "recorded":
                self._remember_state(state, before)
            return self._answer()


def _use(command: messages.Use) -> Apply:
    return lambda state, now: operations.use(state, now, command.actor)


def _process_access(command: messages.ProcessAccess) -> Apply:
    return lambda state, now: operations.process_access(state, now, command.actor)


def _cancel(command: messages.CancelOrder) -> Apply:
    return lambda state, now: operations.cancel(
        state, now, command.actor, refund_amount=command.refund_amount, bank_account=command.bank_account
    )


def _cancel_subscription(command: messages.CancelSubscription) -> Apply:
    return lambda state, now: operations.cancel_subscription(state, command.actor)


def _revoke_access(state: State, now: datetime) -> list[Event]:
    return operations.revoke_access(state)


def _issue_slip(state: State, now: datetime) -> list[Event]:
    return operations.issue_slip(state)


def _change_fields(command: messages.ChangeCustomFields) -> Apply:
    return lambda state, now: operations.change_custom_fields(state, dict(command.fields))
