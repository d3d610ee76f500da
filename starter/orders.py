"""Orders, as services and operators handle them (spec: interfaces.md §1, orders.md).

Every write is idempotent by its request id (given, or made here), takes an actor and an optional comment, and answers
with the new state. What an order allows is decided in its workflow, one thing after another; reads come from Postgres.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from activities.contracts.orders import AddNote, Identify
from db.reads.ended_orders import ended_state
from db.reads.order import OrderDetail, show_order
from db.reads.order_names import find_order_id
from db.reads.orders import OrderFilter, OrderPage, list_orders
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable, require_free_text
from domain.identifiers import (
    deposit_id,
    deposit_workflow_id,
    order_workflow_id,
    permission_id,
    require_id,
)
from domain.money import Money
from domain.order_operations import returned_by_cancel
from domain.order_projection import OrderView
from domain.order_state import OrderStatus
from domain.order_terms import OrderSpec
from starter.catalogue import Entries
from starter.engine import NotRunning
from starter.subscriptions import DEFAULT_ACTOR
from workflows import order_messages as messages
from workflows.catalogue import AddNoteEntry, IdentifyEntry
from workflows.messages import Command, GatewayNotice, SettleAttention
from workflows.order import Order as OrderWorkflow
from workflows.visibility import CUSTOMER, KIND, PRODUCT, STATUS

if TYPE_CHECKING:
    from db.reads.deposits import DepositItem
    from starter.teiki import Teiki


class Orders(Entries):
    """`teiki.orders`."""

    async def place(
        self,
        spec: OrderSpec,
        *,
        request_id: str | None = None,
        actor: str | None = None,
        comment: str = "",
        scenario_start: datetime | None = None,
    ) -> Order:
        """Place an order. A card is charged at once; a Konbini order gets its slip; a recurring one its subscription.

        A card that is declined does not raise: the order is `canceled` with the reason `payment_failed`.

        Args:
            spec: what is bought, by whom and how it is paid; answers and identification as the product asks.
            request_id: repeating the call with it answers with the same order.
            actor: who asks; the customer by default.
            comment: for operators, never shown to customers.
            scenario_start: in simulations only, the first instant of the order's own clock.

        Raises:
            TeikiError: `customer_not_found`, `customer_blocked`, `product_not_found`, `sales_method_mismatch`,
                `invalid_option`, `price_missing`, `invalid_custom_field`, `invalid_identification`, `payment_method_…`,
                `konbini_not_supported`, `konbini_amount_out_of_range`, `request_id_conflict`, `engine_unavailable`.
        """
        _require_texts(spec.custom_fields, what="custom field")
        _require_texts(spec.identification, what="identification information")
        order_id = self._teiki.new_id("ord")
        command = messages.PlaceOrder(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor or f"customer:{spec.customer_id}",
            comment=comment,
            spec=spec,
        )
        opened: messages.OrderOpened = await self._teiki.engine.start_and_update(
            OrderWorkflow,
            messages.OrderInput(id=order_id, place=command, scenario_start=scenario_start),
            OrderWorkflow.await_placed,
            workflow_id=order_workflow_id(order_id),
            shown={
                STATUS: "in_process",
                CUSTOMER: spec.customer_id,
                PRODUCT: spec.product_id,
                KIND: "order",
            },
            summary="Order",
        )
        if opened.outcome == "refused":
            raise TeikiError(
                ErrorCode(opened.code or ErrorCode.INVALID_INPUT), opened.message, **opened.facts
            )
        return Order(self._teiki, opened.order_id)

    def get(self, order_id: str) -> Order:
        """A handle; whether it exists is found out by its first call."""
        return Order(self._teiki, require_id(order_id, "ord"))

    async def find(self, name: str) -> Order:
        """The order that a person means.

        Args:
            name: its id, its order number (`20260105-0000017`), or the id of the permission it brought.

        Raises:
            TeikiError: `order_not_found`.
        """
        order_id = await find_order_id(await self._teiki.database(), name)
        if order_id is None:
            raise TeikiError(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order=repeatable(name))
        return Order(self._teiki, order_id)

    async def show(self, name: str) -> OrderDetail:
        """Everything about one order, by its id or number.

        Raises:
            TeikiError: `order_not_found`.
        """
        return await show_order(await self._teiki.database(), name)

    async def list(
        self,
        filter: OrderFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> OrderPage:
        """One page, newest first; `next_cursor` asks for the next.

        Raises:
            TeikiError: `invalid_cursor`; `invalid_input` for a limit outside 1–200.
        """
        return await list_orders(await self._teiki.database(), filter, cursor, limit)

    async def note(
        self, order_id: str, text: str, *, request_id: str | None = None, actor: str = DEFAULT_ACTOR
    ) -> None:
        """Leave an internal note, which the order list shows."""
        await self._enter(
            AddNoteEntry,
            AddNote(
                order_id=require_id(order_id, "ord"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                text=require_free_text(text, what="note"),
                at=self._teiki.now(),
            ),
        )

    async def identify(
        self,
        permission: str,
        identification: Mapping[str, str],
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> None:
        """Identification information of a permission: an administrator at any time, its customer once.

        Raises:
            TeikiError: `permission_not_found`, `identification_already_given`, `invalid_identification`, `forbidden`.
        """
        _require_texts(identification, what="identification information")
        await self._enter(
            IdentifyEntry,
            Identify(
                permission_id=require_id(permission, "per"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                comment=require_free_text(comment, what="comment"),
                identification=dict(identification),
                at=self._teiki.now(),
            ),
        )


class Order:
    """One order. All operations are safe to repeat with the same `request_id`."""

    def __init__(self, teiki: Teiki, order_id: str) -> None:
        self._teiki = teiki
        self.id = order_id
        self.permission_id = permission_id(order_id)

    def __repr__(self) -> str:
        return f"Order({self.id!r})"

    async def show(self) -> OrderDetail:
        """Everything about it, from Postgres: status and why, what comes next, permission, money, notes, history.

        Raises:
            TeikiError: `order_not_found`.
        """
        return await self._teiki.orders.show(self.id)

    async def use(self, **by: Any) -> OrderView:
        """The content is used or viewed: the purchase is confirmed."""
        return await self._send(OrderWorkflow.use, messages.Use, **by)

    async def process_access(self, **by: Any) -> OrderView:
        """Mark a ticket as used; of many calls one succeeds, the others are `already_processed`."""
        return await self._send(OrderWorkflow.process_access, messages.ProcessAccess, **by)

    async def cancel(
        self, *, refund_amount: Money | None = None, bank_account: str | None = None, **by: Any
    ) -> OrderView:
        """End the order and give back what was paid.

        Args:
            refund_amount: what the person saw and agreed to; None agrees to what is computed now.
            bank_account: the payment company's token for the account that a Konbini remittance goes to; None: it asks
                the customer.
            by: `request_id`, `actor`, `comment`.

        Raises:
            TeikiError: `not_cancelable`, `invalid_status`, `refund_amount_mismatch`, `partial_refund_not_supported`,
                `refund_not_supported`.
        """
        if bank_account is not None:
            require_free_text(bank_account, what="bank account")
        return await self._send(
            OrderWorkflow.cancel_order,
            messages.CancelOrder,
            refund_amount=refund_amount,
            bank_account=bank_account,
            **by,
        )

    async def cancel_subscription(self, **by: Any) -> OrderView:
        """Stop the subscription of a recurring order; the permission runs until the paid period is over."""
        return await self._send(OrderWorkflow.cancel_subscription, messages.CancelSubscription, **by)

    async def issue_slip(self, **by: Any) -> OrderView:
        """Another Konbini slip; the one before is voided first."""
        return await self._send(OrderWorkflow.issue_slip, messages.IssueSlip, **by)

    async def change_custom_fields(self, fields: Mapping[str, Any], **by: Any) -> OrderView:
        """Correct answers, until the purchase is confirmed."""
        _require_texts(fields, what="custom field")
        return await self._send(
            OrderWorkflow.change_custom_fields, messages.ChangeCustomFields, fields=dict(fields), **by
        )

    async def note(self, text: str, **by: Any) -> None:
        """Leave an internal note."""
        await self._teiki.orders.note(self.id, text, **by)

    async def refund_amount(self) -> Money | None:
        """What a cancellation would return now; None where nothing was ever to be paid.

        Raises:
            TeikiError: `order_not_found`; `invalid_status` when the order has ended long ago.
        """
        try:
            snapshot: messages.OrderSnapshot = await self._teiki.engine.query(
                order_workflow_id(self.id), OrderWorkflow.snapshot
            )
        except NotRunning as error:
            raise await self._ended(None) from error
        if snapshot.state is None or snapshot.state.terms.price is None:
            return None
        return Money(minor=returned_by_cancel(snapshot.state), currency=snapshot.state.terms.price.currency)

    async def notify_slip(self, number: int, gateway_id: str = "") -> None:
        """Tell a slip's workflow that the payment company has news, as a webhook does: it asks."""
        notice = GatewayNotice(gateway_id=gateway_id, reference=f"{self.id}/{number}/1")
        workflow_id = deposit_workflow_id(deposit_id(self.id, number))
        await self._teiki.engine.notify(workflow_id, "gateway_notified", notice)

    async def settle_attention(self, *, slip: int | None, **given: Any) -> OrderView | DepositItem:
        """A person's word on what waits for one; see `teiki.attention.settle`, which reads the rest.

        `slip`: it is about the slip of this number, or late money on it; None: the order's own payment or refund.
        """
        given.setdefault("actor", DEFAULT_ACTOR)
        given["request_id"] = given.get("request_id") or self._teiki.new_id("req")
        command = SettleAttention(**given)
        if slip is None:
            answer = await self._execute(OrderWorkflow.settle_attention, command)
            return answer.order
        settled = deposit_id(self.id, slip)
        try:
            await self._teiki.engine.update(
                deposit_workflow_id(settled),
                "settle_attention",
                command,
                update_id=f"{command.request_id}:{command.fingerprint()}",
            )
        except NotRunning as error:
            raise TeikiError(
                ErrorCode.INVALID_STATUS, "Nobody watches this slip any more.", deposit_id=settled
            ) from error
        return await self._teiki.deposits.show(settled)

    # ------------------------------------------------------------------ how commands travel

    async def _send(self, update: Any, command_type: type[Command], **given: Any) -> OrderView:
        given.setdefault("actor", DEFAULT_ACTOR)
        given["request_id"] = given.get("request_id") or self._teiki.new_id("req")
        answer = await self._execute(update, command_type(**given))
        return answer.order

    async def _execute(self, update: Any, command: Command) -> messages.OrderAnswer:
        # The update's id holds the content too: the same request id with other content must be refused by the
        # workflow, not answered from the first call's result.
        update_id = f"{command.request_id}:{command.fingerprint()}"
        try:
            answer: messages.OrderAnswer = await self._teiki.engine.update(
                order_workflow_id(self.id), update, command, update_id=update_id
            )
        except NotRunning as error:
            raise await self._ended(command) from error
        return answer

    async def _ended(self, command: Command | None) -> TeikiError:
        """Why an order without a workflow takes no command: the same word as while it still ran."""
        state = await ended_state(await self._teiki.database(), self.id)
        if state is None:
            return TeikiError(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order_id=self.id)
        asks_for_access = isinstance(command, messages.Use | messages.ProcessAccess)
        if asks_for_access and state.used_at is not None:
            return TeikiError(
                ErrorCode.ALREADY_PROCESSED,
                "This ticket was processed before.",
                by=state.used_by,
                at=state.used_at.isoformat(),
                status=state.status,
            )
        if asks_for_access:
            return TeikiError(
                ErrorCode.PERMISSION_NOT_ACTIVE,
                "There is no access: the order is not paid, or its permission has ended.",
                order_status=state.status,
                permission=state.permission,
            )
        is_expired = state.status == OrderStatus.EXPIRED
        if is_expired and isinstance(command, messages.ChangeCustomFields):
            return TeikiError(
                ErrorCode.ORDER_ALREADY_CONFIRMED,
                "The answers of a confirmed or ended order are not changed any more.",
                status=state.status,
            )
        return TeikiError(
            ErrorCode.INVALID_STATUS,
            f"This order is {state.status}; nothing about it changes any more.",
            status=state.status,
            permission=state.permission,
        )


def _require_texts(fields: Mapping[str, Any], *, what: str) -> None:
    """Before they travel: a card number is not to stand in the engine's history either."""
    for name, answer in fields.items():
        for text in (name, str(answer)):
            require_free_text(text, what=what)
