"""Subscriptions, as services and operators handle them (spec: interfaces.md §1).

Every write is idempotent by its request id (given, or made here), takes an actor and an optional comment, and answers
with the new state. Reads come from Postgres; a dry run asks the workflow for its memory and plays the future on it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from db.reads.subscription import SubscriptionDetail, show_subscription
from db.reads.subscriptions import SubscriptionFilter, SubscriptionPage, list_subscriptions
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.identifiers import require_id, subscription_workflow_id
from domain.money import Money
from domain.projection import SubscriptionView
from domain.resume import Plan, preview, resume
from domain.subscription import FINAL, State
from domain.terms import ResumePolicy, SubscriptionSpec, agree, require_instant
from starter.engine import NotRunning
from workflows import messages
from workflows.subscription import Subscription as SubscriptionWorkflow
from workflows.visibility import CUSTOMER, KIND, PRODUCT, STATUS

if TYPE_CHECKING:
    from starter.teiki import Teiki

CARD_LINK_LIFE: Final = timedelta(days=7)
DEFAULT_ACTOR: Final = "service:sdk"


class Subscriptions:
    """`teiki.subscriptions`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def create(
        self,
        spec: SubscriptionSpec,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
        scenario_start: datetime | None = None,
    ) -> Subscription:
        """Open a subscription; without `start_on` its first charge follows at once.

        Args:
            spec: amounts in minor units, dates local to `spec.zone`.
            request_id: repeating the call with it answers with the same subscription.
            actor: who asks, `service:<name>` or `operator:<id>`.
            comment: for operators.
            scenario_start: simulations only: the instant the subscription believes it is.

        Raises:
            TeikiError: any code of `domain.terms.agree`; `customer_not_found`, `product_not_found`,
                `payment_method_not_found`, `payment_method_not_card`, `payment_method_of_other_customer`,
                `customer_blocked`, `request_id_conflict`, `engine_unavailable`.
        """
        agree(spec, now=scenario_start or self._teiki.now())
        subscription_id = self._teiki.new_id("sub")
        command = messages.Create(
            request_id=request_id or self._teiki.new_id("req"), actor=actor, comment=comment, spec=spec
        )
        opened: messages.Opened = await self._teiki.engine.start_and_update(
            SubscriptionWorkflow,
            messages.SubscriptionInput(id=subscription_id, create=command, scenario_start=scenario_start),
            SubscriptionWorkflow.await_opened,
            workflow_id=subscription_workflow_id(subscription_id),
            shown={
                STATUS: "unverified",
                CUSTOMER: spec.customer_id,
                PRODUCT: spec.product_id,
                KIND: "subscription",
            },
            summary="Subscription",
        )
        if opened.outcome == "refused":
            raise TeikiError(
                ErrorCode(opened.code or ErrorCode.INVALID_INPUT), opened.message, **opened.facts
            )
        return Subscription(self._teiki, opened.subscription_id)

    def get(self, subscription_id: str) -> Subscription:
        """A handle; whether it exists is found out by its first call."""
        return Subscription(self._teiki, require_id(subscription_id, "sub"))

    async def list(
        self,
        filter: SubscriptionFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> SubscriptionPage:
        """One page, newest first; `next_cursor` asks for the next."""
        return await list_subscriptions(await self._teiki.database(), filter, cursor=cursor, limit=limit)


class Subscription:
    """One subscription. All operations are safe to repeat with the same `request_id`."""

    def __init__(self, teiki: Teiki, subscription_id: str) -> None:
        self._teiki = teiki
        self.id = subscription_id

    def __repr__(self) -> str:
        return f"Subscription({self.id!r})"

    async def show(self) -> SubscriptionDetail:
        """Everything about it, from Postgres: status and why, what comes next, payments, operations.

        Raises:
            TeikiError: `subscription_not_found`.
        """
        return await show_subscription(await self._teiki.database(), self.id)

    async def suspend(self, **by: Any) -> SubscriptionView:
        """Stop charging; allowed in `current` and `unpaid`."""
        return await self._send(SubscriptionWorkflow.suspend, messages.Suspend, **by)

    async def resume(
        self,
        *,
        policy: ResumePolicy | Literal["next_cycle", "catch_up"] | None = None,
        at: datetime | None = None,
        dry_run: bool = False,
        **by: Any,
    ) -> Plan:
        """Go on after a suspension. Answers with the plan: each payment and its instant.

        Args:
            policy: overrides the subscription's own for this resume.
            at: the next payment's instant instead of a policy.
            dry_run: answer with the plan and change nothing.
            by: `request_id`, `actor`, `comment`.

        Raises:
            TeikiError: `invalid_status`, `resume_at_in_past`, `invalid_instant`, `invalid_input` for an unknown
                policy.
        """
        chosen = _policy(policy)
        if dry_run:
            instant = None if at is None else require_instant(at)
            return await self.what_if(
                lambda state, now: resume(state, now, policy=chosen or state.terms.resume_policy, at=instant)
            )
        command = self._command(messages.Resume, policy=chosen, at=at, **by)
        answer = await self._execute(SubscriptionWorkflow.resume, command)
        assert answer.plan is not None
        return answer.plan

    async def cancel(self, *, mode: Literal["now", "period_end"] = "now", **by: Any) -> SubscriptionView:
        """End it: at once, or at the next scheduled payment date, which is then not charged."""
        return await self._send(SubscriptionWorkflow.cancel, messages.Cancel, mode=mode, **by)

    async def recover(self, **by: Any) -> SubscriptionView:
        """Take a scheduled cancellation back."""
        return await self._send(SubscriptionWorkflow.recover, messages.Recover, **by)

    async def change_card(self, payment_method_id: str, **by: Any) -> SubscriptionView:
        """Charge another card from now on; while a payment is failing it is tried at once."""
        return await self._send(
            SubscriptionWorkflow.change_card, messages.ChangeCard, payment_method_id=payment_method_id, **by
        )

    async def change_amount(self, amount: Money, *, next_only: bool = False, **by: Any) -> SubscriptionView:
        """Another amount from the next scheduled payment not attempted yet, or for that one only."""
        return await self._send(
            SubscriptionWorkflow.change_amount,
            messages.ChangeAmount,
            amount=amount,
            next_only=next_only,
            **by,
        )

    async def card_change_link(self, *, life: timedelta = CARD_LINK_LIFE, **by: Any) -> str:
        """A URL by which the customer changes the card: single use, expiring; older links end.

        The token in it exists nowhere else: the database keeps its hash.
        """
        token = secrets.token_urlsafe(32)
        await self._send(
            SubscriptionWorkflow.open_card_link,
            messages.OpenCardLink,
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            expires_at=self._teiki.now() + life,
            **by,
        )
        return f"{self._teiki.settings.public_url.rstrip('/')}/card-change/{token}"

    async def settle_attention(
        self, *, number: int, returns: str | None, moved: bool, gateway_id: str | None, again: bool, **by: Any
    ) -> SubscriptionView:
        """A person's word on an attempt in `attention`; see `teiki.attention.settle`, which reads the rest."""
        return await self._send(
            SubscriptionWorkflow.settle_attention,
            messages.SettleAttention,
            number=number,
            returns=returns,
            moved=moved,
            gateway_id=gateway_id,
            again=again,
            **by,
        )

    async def what_if(self, operation: Callable[[State, datetime], object] | None = None) -> Plan:
        """The payments to come if every charge succeeds, after an operation tried on a copy. Changes nothing.

        `operation` is any function of `domain.operations` or `domain.resume`, given the copy and the instant.
        """
        snapshot: messages.Snapshot = await self._from_engine(
            lambda: self._teiki.engine.query(subscription_workflow_id(self.id), SubscriptionWorkflow.snapshot)
        )
        if snapshot.state is None:
            raise self._not_found()
        state, now = snapshot.state, self._teiki.now()
        changed = operation(state, now) if operation is not None else None
        plan = preview(state, now)
        return plan.model_copy(update={"skipped": getattr(changed, "skipped", [])})

    # ------------------------------------------------------------------ how commands travel

    async def _send(
        self, update: Any, command_type: type[messages.Command], **given: Any
    ) -> SubscriptionView:
        answer = await self._execute(update, self._command(command_type, **given))
        return answer.subscription

    def _command(self, command_type: type[messages.Command], **given: Any) -> messages.Command:
        given.setdefault("actor", DEFAULT_ACTOR)
        given["request_id"] = given.get("request_id") or self._teiki.new_id("req")
        return command_type(**given)

    async def _execute(self, update: Any, command: messages.Command) -> messages.Answer:
        # The update's id holds the content too: the same request id with other content must be refused by the
        # workflow, not answered from the first call's result.
        update_id = f"{command.request_id}:{command.fingerprint()}"
        answer: messages.Answer = await self._from_engine(
            lambda: self._teiki.engine.update(
                subscription_workflow_id(self.id), update, command, update_id=update_id
            )
        )
        return answer

    async def _from_engine(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The call's answer; for a workflow that has ended, the refusal that its final status deserves."""
        try:
            return await call()
        except NotRunning as error:
            detail = await self.show()
            if detail.status not in FINAL:
                raise TeikiError(
                    ErrorCode.ENGINE_UNAVAILABLE,
                    "Its workflow is not running although the books say it is; ask an operator (docs/operations.md).",
                    subscription_id=self.id,
                    status=detail.status.value,
                ) from error
            raise TeikiError(
                ErrorCode.INVALID_STATUS,
                "This subscription has ended.",
                status=detail.status.value,
                allowed="any but canceled and completed",
            ) from error

    def _not_found(self) -> TeikiError:
        return TeikiError(
            ErrorCode.SUBSCRIPTION_NOT_FOUND, "There is no such subscription.", subscription_id=self.id
        )


def _policy(name: str | None) -> ResumePolicy | None:
    known = [policy.value for policy in ResumePolicy]
    if name is not None and name not in known:
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "There is no such resume policy.", policy=repeatable(name), known=known
        )
    return None if name is None else ResumePolicy(name)
