"""The activities of orders over a real Postgres and a real sandbox, and the questions a test asks afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from activities.contracts.billing import ChargeInput, RefundInput, SlipOrder, VerifyInput
from activities.contracts.orders import OpenOrderInput, RecordDepositInput, RecordOrderInput
from activities.contracts.records import PutProduct
from activities.engine_commands import EngineCommands
from activities.orders import OrdersActivities
from db.catalogue import put_product
from domain import order as orders
from domain.deposit import DepositMove, DepositStatus
from domain.identifiers import charge_reference, refund_reference
from domain.money import Money
from domain.order_projection import changes, row_of
from domain.order_state import State
from domain.order_terms import KonbiniSpec, OrderSpec
from domain.product import ProductTerms
from domain.unresolved import Mode
from gateways import sandbox_till
from tests.activities.conftest import Desk, later
from tests.db.house import NOW, Tenant, unique

KONBINI = KonbiniSpec.model_validate(
    {"store": "lawson", "customer_name": "Test Customer", "phone": "090-0000-0000"}
)
DEADLINE = KONBINI.deadline_at(NOW)
SOLD = {"card": "one_time", "konbini": "one_time", "recurring": "recurring", "none": "token_auth"}


@dataclass
class Commands(EngineCommands):
    """What a worker tells other workflows, kept; a subscription stops once and has ended then."""

    told: list[tuple[str, str]] = field(default_factory=list)

    async def cancel_subscription(
        self, subscription_id: str, *, request_id: str, actor: str, comment: str
    ) -> bool:
        is_new = (subscription_id, request_id) not in self.told
        if is_new:
            self.told.append((subscription_id, request_id))
        return True


@dataclass
class OrderDesk(Desk):
    """An order at each step of its life, and both books beside it. `url`: where the sandbox listens."""

    url: str = ""
    commands: Commands = field(default_factory=Commands)

    @property
    def orders(self) -> OrdersActivities:
        return OrdersActivities(self.db, self.gateway, self.commands)

    # ------------------------------------------------------------------ making

    async def product(self, **terms: Any) -> str:
        product_id = unique("prd")
        given = {"price": Money(minor=1000, currency="JPY"), "point_rate": "0.01"} | terms
        entry = PutProduct(
            id=product_id,
            request_id=unique("req"),
            actor="test",
            name="One",
            terms=ProductTerms.model_validate(given),
            at=NOW,
        )
        assert (await put_product(self.db, entry)).outcome == "recorded"
        return product_id

    async def asked(
        self, pay: str = "konbini", *, tenant: Tenant | None = None, product_id: str = "", **more: Any
    ) -> OpenOrderInput:
        """What asks for an order; `more` goes to the product, `spec_…` to the spec."""
        of_spec = {
            name.removeprefix("spec_"): more.pop(name) for name in list(more) if name.startswith("spec_")
        }
        tenant = tenant or await self.house.tenant(token=await self.remote.script(["approve"]))
        if not product_id:
            product_id = await self.product(sales_method=SOLD[pay], **more)
        given: dict[str, Any] = {"customer_id": tenant.customer_id, "product_id": product_id, "pay": pay}
        if pay == "konbini":
            given["konbini"] = KONBINI
        if pay in ("card", "recurring"):
            given["payment_method_id"] = tenant.card_id
        if pay == "recurring":
            given["subscription"] = {"period": "monthly"}
        return OpenOrderInput(
            order_id=unique("ord"),
            request_id=unique("req"),
            actor=f"customer:{tenant.customer_id}",
            at=NOW,
            spec=OrderSpec.model_validate(given | of_spec),
        )

    async def placed(self, pay: str = "konbini", **more: Any) -> State:
        return await self.open(await self.asked(pay, **more))

    async def open(self, asked: OpenOrderInput) -> State:
        opened = await self.run(self.orders.open, asked)
        assert opened.outcome == "opened", opened
        return orders.placed(
            asked.order_id,
            asked.spec,
            opened.terms,
            number=opened.number,
            custom_fields=opened.custom_fields,
        )

    def completed(
        self, state: State, *, event_key: str = "", at: datetime = NOW, **more: Any
    ) -> RecordOrderInput:
        """What records that the order was paid; `state` goes on with it."""
        before = row_of(state, at)
        events = orders.paid(state, 1, state.terms.price.minor if state.terms.price else 0, at)
        return RecordOrderInput(
            order_id=state.id,
            at=at,
            actor="system",
            row=changes(before, row_of(state, at)),
            events=tuple(events),
            permission=state.permission,
            numbered=state.terms.membership_numbers,
            payment=1,
            event_key=event_key or f"{state.id}:1",
            **more,
        )

    # ------------------------------------------------------------------ money

    def slip(self, order_id: str, mode: Mode = Mode.SEND, *, number: int = 1, **more: Any) -> ChargeInput:
        learned = {} if mode is Mode.SEND else {"learned_at": NOW + timedelta(minutes=10)}
        given = {"amount_minor": 1000, "currency": "JPY", "at": NOW, "row": {}} | learned | more
        return ChargeInput(
            object_id=order_id,
            number=number,
            attempt=1,
            due_at=KONBINI.final_at(NOW),
            mode=mode,
            konbini=SlipOrder(
                store="lawson", customer_name="Test Customer", phone="09000000000", deadline_at=DEADLINE
            ),
            **given,
        )

    async def issue(self, order_id: str, mode: Mode = Mode.SEND, **more: Any) -> Any:
        return await self.twice(self.billing.charge, self.slip(order_id, mode, **more))

    async def pay(self, gateway_id: str, notice: str = "confirmed") -> None:
        await sandbox_till.pay(self.url, gateway_id, notice=notice)

    async def paid_slip(self) -> tuple[str, str]:
        """An order whose slip is paid, in both books, and the slip's id at the gateway."""
        state = await self.placed()
        issued = await self.issue(state.id)
        await self.pay(issued.gateway_id)
        assert (await self.issue(state.id, Mode.ASK, turn=1)).outcome == "settled"
        return state.id, issued.gateway_id

    async def look(self, order_id: str, *, number: int = 1, minutes: int = 20) -> Any:
        asked = VerifyInput(
            object_id=order_id, number=number, attempt=1, at=NOW + timedelta(minutes=minutes), konbini=True
        )
        return await self.twice(self.billing.verify, asked)

    async def give_back(
        self, order_id: str, mode: Mode = Mode.SEND, *, account: str | None = None, **more: Any
    ) -> Any:
        given: dict[str, Any] = {"at": later(), "reason": "order_canceled", "number": 1} | more
        order = RefundInput(object_id=order_id, mode=mode, bank_account=account, **given)
        return await self.twice(self.billing.refund, order)

    # ------------------------------------------------------------------ asking

    async def twice(self, activity: Any, order: Any) -> Any:
        """The result, when a second run gives the same one and leaves every row as it was."""
        first = await self.run(activity, order)
        before = await self.stored()
        second = await self.run(activity, order)
        assert second == first
        assert await self.stored() == before
        return first

    async def stored(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of everything an order may touch; the hint of an attempt is for people."""
        names = (
            *("orders", "permissions", "deposits", "order_notes", "membership_counters", "payments"),
            *("attempts", "ledger", "history", "outbox", "incidents", "requests"),
        )
        rows = {name: sorted(await self.house.rows(f"SELECT * FROM {name}"), key=str) for name in names}
        return rows | {"attempts": [{**row, "hint": ""} for row in rows["attempts"]]}

    async def books(self, order_id: str) -> tuple[int, int]:
        """Minor units: what the gateway's book has left for this order after its fees, and what ours has."""
        book = await self.remote.ledger()
        mine = {name: seen for name, seen in book["references"].items() if name.startswith(f"{order_id}/")}
        theirs = sum(minor for seen in mine.values() for minor in seen["net"].values())
        sql = (
            "SELECT coalesce(sum(CASE WHEN debit_account = 'gateway_receivable' THEN l.amount_minor"
            " WHEN credit_account = 'gateway_receivable' THEN -l.amount_minor ELSE 0 END), 0)::int AS minor"
            " FROM ledger l JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s AND l.kind <> 'fee'"
        )
        return theirs, (await self.house.row(sql, order_id))["minor"]

    async def fees(self, order_id: str) -> int:
        sql = (
            "SELECT coalesce(sum(l.amount_minor), 0)::int AS minor FROM ledger l"
            " JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s AND l.kind = 'fee'"
        )
        return (await self.house.row(sql, order_id))["minor"]

    async def fees_at_the_gateway(self) -> int:
        return (await self.remote.ledger())["fees"].get("JPY", 0)

    async def routes(self, order_id: str, number: int = 1) -> list[str]:
        return [line["route"] for line in await self.remote.requests(charge_reference(order_id, number, 1))]

    async def remittances(self, order_id: str, attempt: int = 1) -> int:
        return len(await self.remote.requests(refund_reference(order_id, 1, attempt=attempt)))

    async def kinds_of(self, order_id: str) -> list[str]:
        sql = "SELECT kind FROM history WHERE subject_id = %s ORDER BY seq"
        return [row["kind"] for row in await self.house.rows(sql, order_id)]


def a_deposit(
    order_id: str, status: str = "issued", *, event_key: str = "1", **more: Any
) -> RecordDepositInput:
    """A slip as its workflow writes it down."""
    given: dict[str, Any] = {
        "moves": (DepositMove(from_=DepositStatus.REQUESTED, to=DepositStatus(status), reason=status),),
        "reason": status,
    } | more
    return RecordDepositInput(
        deposit_id=f"kon_{order_id.removeprefix('ord_')}1",
        order_id=order_id,
        number=1,
        at=NOW,
        konbini=KONBINI,
        amount=Money(minor=1000, currency="JPY"),
        deadline_at=DEADLINE,
        final_at=KONBINI.final_at(NOW),
        status=DepositStatus(status),
        event_key=f"{order_id}:slip:{event_key}",
        **given,
    )
