"""The one place that every operation passes before it goes anywhere (spec: customers.md §7, domain/roles.py).

Commands pass it in `starter.engine`, on their way to Temporal; reads in `Teiki.database`, on their way to Postgres; so
what services, the command line and the web do is held to the same rules, and what is added later is refused until it
has a rule. Whoever is refused gets `forbidden`, and the audit says so.

Two are asked about: who the client is (`principal`), and in whose name a command goes (`actor`). A merchant's backend
says in whose name it acts, and that name decides. An operator who names somebody else gains nothing: both must be
allowed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import BaseModel

from db.audit import note_denied
from db.engine import Database
from db.role_grants import owner_of, standing_of
from domain.errors import ErrorCode, TeikiError
from domain.roles import READ, ActorKind, Standing, forbidden, kind_of, may, rule_of

DEFAULT_PRINCIPAL: Final = "service:sdk"

_KNOWN_FOR_SECONDS: Final = 2.0
"""So long after a role was taken back another process may still let its operator through."""
_KNOWN_MAX: Final = 1_000

OPERATION_OF: Final[dict[str, str]] = {
    "Create": "subscription.create",
    "Suspend": "subscription.suspend",
    "Resume": "subscription.resume",
    "Cancel": "subscription.cancel",
    "Recover": "subscription.recover",
    "ChangeCard": "subscription.change_card",
    "ChangeAmount": "subscription.change_amount",
    "OpenCardLink": "subscription.card_change_link",
    "SettleAttention": "attention.settle",
    "CloseIncident": "attention.close",
    "PlaceOrder": "order.place",
    "Use": "order.use",
    "ProcessAccess": "order.process_access",
    "CancelOrder": "order.cancel",
    "CancelSubscription": "order.cancel_subscription",
    "IssueSlip": "order.issue_slip",
    "ChangeCustomFields": "order.change_custom_fields",
    "AddNote": "order.note",
    "Identify": "order.identify",
    "GatewayNotice": "order.notify_slip",
    "PutCustomer": "customer.put",
    "BlockingInput": "customer.block",
    "AskCredit": "payment.credit",
    "ChargebackOrder": "chargeback.enter",
    "AddRepayment": "repayment.add",
    "CancelRepayment": "repayment.cancel",
    "Pay": "repayment.pay",
    "PutProduct": "product.put",
    "AddPaymentMethod": "payment_method.add",
    "RequestExport": "export.request",
    "CancelExport": "export.cancel",
    "HandOver": "webhook.work_off",
    "ReconciliationInput": "reconciliation.run",
}
"""What a command is called in `domain.roles`, by its model."""


class Gate:
    """Lets through or refuses.

    Args:
        database: opens the connection pool.
        principal: who the client is: `operator:…` at a terminal, else a service.
    """

    def __init__(
        self, database: Callable[[], Awaitable[Database]], principal: str = DEFAULT_PRINCIPAL
    ) -> None:
        self._database = database
        self.principal = principal
        self._known: dict[str, tuple[float, Standing]] = {}

    def forget(self) -> None:
        """Roles were changed: ask anew."""
        self._known.clear()

    async def admit_command(self, given: BaseModel, object_id: str) -> None:
        """Let a command through to a workflow.

        Args:
            given: the command, or a start input that holds one.
            object_id: the workflow's own object.

        Raises:
            TeikiError: `forbidden`; `database_unavailable`, since whom nobody can look up nobody lets in.
        """
        command = _command_in(given)
        operation = OPERATION_OF.get(type(command).__name__, type(command).__name__)
        subject = _named_in(command, ("permission_id", "order_id", "customer_id", "id")) or object_id
        actor = getattr(command, "actor", None) or self.principal
        await self.admit(operation, actor=actor, subject_id=subject, owner=_owner_in(command))

    async def admit_read(self) -> None:
        """Let the client look at what lists and pages show."""
        await self.admit(READ)

    async def admit(
        self,
        operation: str,
        *,
        actor: str | None = None,
        subject_id: str = "",
        owner: str | None = None,
    ) -> None:
        """Let an operation through.

        Args:
            operation: a name of `domain.roles.RULES`.
            actor: in whose name; None: the client's own.
            subject_id: what it is about.
            owner: the customer whom it is about, where the books need not be asked.

        Raises:
            TeikiError: `forbidden`, `database_unavailable`.
        """
        actor = actor or self.principal
        for who in {actor} if _speaks_for_others(self.principal) else dict.fromkeys((self.principal, actor)):
            await self._admit_one(operation, who, actor, subject_id, owner)

    async def _admit_one(
        self, operation: str, who: str, actor: str, subject_id: str, owner: str | None
    ) -> None:
        try:
            kind = kind_of(who)
            rule_of(operation)
            if await self._may(operation, kind, who, subject_id, owner):
                return
            refusal = forbidden(operation, kind)
        except TeikiError as error:
            if error.code is not ErrorCode.FORBIDDEN:
                raise
            refusal = error
        facts = refusal.facts if who == actor else refusal.facts | {"in_the_name_of": actor}
        await note_denied(
            await self._database(), actor=who, operation=operation, subject_id=subject_id, facts=facts
        )
        raise refusal

    async def _may(
        self, operation: str, kind: ActorKind, who: str, subject_id: str, owner: str | None
    ) -> bool:
        if kind == "operator":
            return may(operation, kind, standing=await self._standing(who))
        if kind == "customer" and rule_of(operation).customer:
            owner = owner or await owner_of(await self._database(), subject_id)
            return may(operation, kind, is_own=owner is not None and who == f"customer:{owner}")
        return may(operation, kind)

    async def _standing(self, operator: str) -> Standing:
        """Asked once for what one command needs, and not again for two seconds."""
        asked_at, standing = self._known.get(operator, (0.0, None))
        if standing is None or time.monotonic() - asked_at > _KNOWN_FOR_SECONDS:
            standing = await standing_of(await self._database(), operator)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[operator] = (time.monotonic(), standing)
        return standing


def _speaks_for_others(principal: str) -> bool:
    return principal == "system" or principal.startswith("service:")


def _command_in(given: BaseModel) -> BaseModel:
    """The command itself, or the one that a start input carries."""
    if type(given).__name__ in OPERATION_OF:
        return given
    inside = (getattr(given, name) for name in type(given).model_fields)
    return next(
        (value for value in inside if isinstance(value, BaseModel) and hasattr(value, "actor")), given
    )


def _named_in(command: Any, names: tuple[str, ...]) -> str | None:
    found = (getattr(command, name, None) for name in names)
    return next((value for value in found if isinstance(value, str)), None)


def _owner_in(command: Any) -> str | None:
    """The customer whom the command itself names; an entry of a customer is the customer's own."""
    if type(command).__name__ == "PutCustomer":
        return str(command.id)
    return _named_in(command, ("customer_id",)) or _named_in(getattr(command, "spec", None), ("customer_id",))
