"""A desk at which payments are charged back and paid again, and the books beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from activities.chargebacks import ChargebacksActivities
from activities.contracts.billing import ChargeInput, RepaymentOrder, VerifyInput
from activities.contracts.chargebacks import ChargebackOrder, EndAccess
from activities.contracts.records import OpenInput
from activities.contracts.repayments import OpenRepayment, RecordRepayment
from activities.engine_commands import EngineCommands
from activities.repayments import RepaymentsActivities
from domain.money import Money
from domain.repayment import RepaymentKind
from domain.unresolved import Mode
from gateways.sandbox_bank import charge_back
from tests.activities.conftest import Desk, charge_of, later
from tests.db.house import unique


@dataclass
class Commands(EngineCommands):
    """What a worker tells other workflows, kept. `running`: whether an order's workflow still runs."""

    told: list[tuple[str, str]] = field(default_factory=list)
    running: bool = True

    async def suspend_subscription(self, subscription_id: str, *, request_id: str, comment: str) -> bool:
        self.told.append((subscription_id, request_id))
        return True

    async def revoke_access(self, order_id: str, *, request_id: str, comment: str) -> bool | None:
        self.told.append((order_id, request_id))
        return True if self.running else None


@dataclass
class BankDesk(Desk):
    """`url`: where the sandbox listens; `policy`: the setting `chargeback_access`."""

    url: str = ""
    policy: Any = "revoke"
    commands: Commands = field(default_factory=Commands)

    @property
    def chargebacks(self) -> ChargebacksActivities:
        return ChargebacksActivities(self.db, self.gateway, self.commands, self.policy)

    @property
    def repayments(self) -> RepaymentsActivities:
        return RepaymentsActivities(self.db)

    # ------------------------------------------------------------------ chargebacks

    async def paid(self, amount: Money | None = None) -> OpenInput:
        tenant = await self.house.tenant(token=await self.remote.script(["approve"]))
        more = {} if amount is None else {"amount": amount}
        order = await self.house.subscription(tenant, **more)
        assert (await self.charge(order)).outcome == "settled"
        return order

    async def at_the_bank(self, order: OpenInput, **more: Any) -> dict[str, Any]:
        attempt = await self.attempt(order)
        return await charge_back(self.url, attempt["gateway_id"], **more)

    async def take(self, order: OpenInput, *, entered: bool = False) -> Any:
        asked = ChargebackOrder(
            object_id=order.subscription_id,
            number=1,
            at=later(),
            actor="operator:desk" if entered else "system",
            entered=entered,
            comment="a letter came" if entered else "",
        )
        return await self.run(self.chargebacks.take, asked)

    async def charged_back(self, amount: Money | None = None) -> OpenInput:
        order = await self.paid(amount)
        await self.at_the_bank(order)
        assert (await self.take(order)).outcome == "booked"
        return order

    async def end_access(self, object_id: str) -> Any:
        asked = EndAccess(object_id=object_id, number=1, at=later())
        return await self.run(self.chargebacks.end_access, asked)

    # ------------------------------------------------------------------ repayments

    def manual(self, order: OpenInput, minor: int | None, **more: Any) -> OpenRepayment:
        currency = order.terms.currency
        given = {
            "repayment_id": unique("rep"),
            "request_id": unique("req"),
            "actor": "operator:desk",
            "at": later(),
            "object_id": order.subscription_id,
            "number": 1,
            "kind": RepaymentKind.MANUAL,
            "amount": None if minor is None else Money(minor=minor, currency=currency),
            "method": "bank_transfer",
            "received_as": "FURIKOMI 17",
            "received_on": date(2026, 2, 3),
        }
        return OpenRepayment.model_validate(given | more)

    def link(self, order: OpenInput, minor: int | None = None, **more: Any) -> OpenRepayment:
        own = {
            "kind": RepaymentKind.LINK,
            "method": None,
            "received_as": None,
            "received_on": None,
            "token_hash": unique("hash"),
            "expires_at": later() + timedelta(days=14),
        }
        return self.manual(order, minor, **(own | more))

    async def open(self, asked: OpenRepayment) -> Any:
        return await self.run(self.repayments.open, asked)

    def pay_of(
        self, order: OpenInput, link: OpenRepayment, mode: Mode = Mode.SEND, *, card: str = "", **more: Any
    ) -> ChargeInput:
        asked = charge_of(order, mode, **more)
        repayment = RepaymentOrder(
            repayment_id=link.repayment_id, payment_method_id=card or order.spec.payment_method_id
        )
        return asked.model_copy(update={"repayment": repayment, "row": {}, "moves": []})

    async def pay(self, order: OpenInput, link: OpenRepayment, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.run(self.billing.charge, self.pay_of(order, link, mode, **more))

    async def verify(self, order: OpenInput, link: OpenRepayment) -> Any:
        asked = VerifyInput(
            object_id=order.subscription_id,
            number=1,
            attempt=1,
            at=later(),
            repayment_id=link.repayment_id,
        )
        return await self.run(self.billing.verify, asked)

    async def record(self, link: OpenRepayment, **what: Any) -> Any:
        asked = RecordRepayment(repayment_id=link.repayment_id, at=later(), **what)
        return await self.run(self.repayments.record, asked)

    # ------------------------------------------------------------------ questions

    async def payment_state(self, order: OpenInput) -> str:
        row = await self.house.row(
            "SELECT state FROM payments WHERE object_id = %s AND number = 1", order.subscription_id
        )
        return str(row["state"])

    async def ledger_kinds(self, order: OpenInput) -> list[tuple[str, int]]:
        rows = await self.house.rows(
            "SELECT l.kind, l.amount_minor FROM ledger l JOIN attempts a ON a.key = l.attempt_key"
            " WHERE a.object_id = %s ORDER BY l.id",
            order.subscription_id,
        )
        return [(row["kind"], row["amount_minor"]) for row in rows]

    async def topics(self, order: OpenInput, prefix: str) -> list[str]:
        rows = await self.house.rows(
            "SELECT topic FROM outbox WHERE subject_id = %s AND (topic LIKE %s OR topic LIKE 'repayment.%%')"
            " ORDER BY id",
            order.subscription_id,
            f"{prefix}%",
        )
        return [row["topic"] for row in rows]

    async def books_agree(self, order: OpenInput) -> int:
        """Minor units that the sandbox's book and our ledger both hold of this subscription."""
        assert (await self.remote.ledger())["balanced"]
        currency = order.terms.currency
        book = (await self.remote.ledger())["references"]
        theirs = sum(
            seen["net"].get(currency, 0)
            for reference, seen in book.items()
            if reference.startswith(order.subscription_id + "/")
        )
        ours = await self.house.row(
            "SELECT coalesce(sum(CASE 'gateway_receivable' WHEN debit_account THEN l.amount_minor"
            " WHEN credit_account THEN -l.amount_minor ELSE 0 END), 0)::int AS minor"
            " FROM ledger l JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s",
            order.subscription_id,
        )
        assert ours["minor"] == theirs
        return int(theirs)

    async def snapshot(self, order: OpenInput) -> Any:
        stored = await self.house.everything(order.subscription_id)
        repayments = await self.house.rows(
            "SELECT * FROM repayments WHERE object_id = %s ORDER BY id", order.subscription_id
        )
        return stored | {"repayments": repayments}

    async def same_twice(self, order: OpenInput, act: Any) -> Any:
        """The result, when a second run gives the same one and leaves every row as it was."""
        first = await act()
        before = await self.snapshot(order)
        second = await act()
        assert await self.snapshot(order) == before
        return first, second
