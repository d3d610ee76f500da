"""Subscriptions in the middle of their lives, as the database and a workflow's input have them.

Entered by the same functions that the activities call. Amounts, ids and texts have the lengths of real ones, because
bytes are counted.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Final, Literal

from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import ChargeInput
from activities.contracts.records import AddPaymentMethod, OpenInput, PutCustomer, PutProduct
from db import catalogue, subscriptions
from db.engine import Database
from domain.identifiers import new_id
from domain.money import Money
from domain.projection import changes, row_of
from domain.subscription import State, Status, attempted, settled
from domain.terms import SubscriptionSpec, agree
from gateways.port import PaymentGateway
from workflows.messages import SubscriptionInput

ACTOR: Final = "service:bench"
TOKEN: Final = "tok_ok"  # noqa: S105 - the sandbox's card that always pays


def fresh_id(prefix: str) -> str:
    return new_id(prefix, at_ms=int(datetime.now(UTC).timestamp() * 1000), entropy=secrets.randbits(80))


class Books:
    """One customer with one card and one product; as many subscriptions as asked for."""

    def __init__(self, db: Database, gateway: PaymentGateway) -> None:
        self._db = db
        self._gateway = gateway

    async def open(self) -> None:
        """Enter the customer, the product and the card."""
        now = datetime.now(UTC)
        self.customer, self.product, self.card = (fresh_id(prefix) for prefix in ("cus", "prd", "pm"))
        by = {"actor": ACTOR, "at": now}
        await catalogue.put_customer(
            self._db,
            PutCustomer(id=self.customer, request_id=fresh_id("req"), email="bench@example.com", **by),
        )
        await catalogue.put_product(
            self._db, PutProduct(id=self.product, request_id=fresh_id("req"), name="Monthly box", **by)
        )
        details = await self._gateway.token_details(TOKEN)
        assert details is not None
        method = AddPaymentMethod(
            id=self.card, request_id=fresh_id("req"), customer_id=self.customer, token=TOKEN, **by
        )
        await catalogue.add_payment_method(self._db, method, details)

    def spec(self, *, period: str = "monthly") -> SubscriptionSpec:
        return SubscriptionSpec(
            customer_id=self.customer,
            product_id=self.product,
            payment_method_id=self.card,
            amount=Money(minor=1000, currency="JPY"),
            period=period,
        )

    async def subscriptions(self, count: int) -> list[State]:
        """Entered subscriptions, a few side by side."""
        made: list[State] = []
        for start in range(0, count, 10):
            batch = range(start, min(count, start + 10))
            made += await asyncio.gather(*(self._subscription() for _ in batch))
        return made

    async def _subscription(self) -> State:
        """Its first payment was made just now (the row says so, the ledger is not asked)."""
        now = datetime.now(UTC)
        spec = self.spec()
        terms = agree(spec, now=now)
        state = State(
            id=fresh_id("sub"),
            customer_id=self.customer,
            product_id=self.product,
            terms=terms,
            status=Status.CURRENT,
            reason="first_payment_succeeded",
            next_cycle=1,
            charges=0,
            amount_minor=terms.amount_minor,
        )
        await self.enter(state, spec, at=now)
        return state

    async def enter(self, state: State, spec: SubscriptionSpec, *, at: datetime) -> None:
        """As the opening's activity does, with the state's row."""
        await subscriptions.open_subscription(
            self._db,
            OpenInput(
                subscription_id=state.id,
                request_id=fresh_id("req"),
                actor=ACTOR,
                at=at,
                spec=spec,
                terms=state.terms,
                row=row_of(state),
            ),
        )


def input_of(state: State, *, cycles_per_run: int) -> SubscriptionInput:
    """As the subscription would hand itself to its next run."""
    return SubscriptionInput(
        id=state.id,
        state=state,
        seen={fresh_id("req"): secrets.token_hex(8)},
        cycles_per_run=cycles_per_run,
    )


def default_cycles_per_run() -> int:
    """Where production cuts the history."""
    return int(SubscriptionInput.model_fields["cycles_per_run"].default)


async def transactions_per_charge(url: str, gateway: PaymentGateway, *, charges: int) -> float:
    """Commits and rollbacks in the database per successful charge, as Postgres counts them.

    The real activity is called with one connection, whose own statistics are flushed before each reading (else
    Postgres is up to a second late); the readings' own transactions are taken off. Autovacuum rests meanwhile: its
    transactions are counted in the same place and are nobody's charge.
    """
    db = Database.connect(url, pool_size=1)
    try:
        await _autovacuum(db, "off")
        books = Books(db, gateway)
        await books.open()
        state, *_ = await books.subscriptions(1)
        billing = BillingActivities(db, gateway)
        await _charge_next(billing, state)  # opens the connection and prepares the statements
        before = await _transactions(db)
        for _ in range(charges):
            state = await _charge_next(billing, state)
        spent = await _transactions(db) - before - _READING
        return spent / charges
    finally:
        await _autovacuum(db, "on")
        await db.close()


async def _autovacuum(db: Database, state: Literal["on", "off"]) -> None:
    setting = "ALTER SYSTEM SET autovacuum = on" if state == "on" else "ALTER SYSTEM SET autovacuum = off"
    async with db.connection() as connection:
        await connection.execute(setting)
        await connection.execute("SELECT pg_reload_conf()")
    # A worker that is under way finishes its table first.
    await asyncio.sleep(1)


_READING: Final = 2
"""Transactions of one reading that the next one sees: its flush and its select."""


async def _transactions(db: Database) -> int:
    await db.fetch_one("SELECT pg_stat_force_next_flush()", {})
    row = await db.fetch_one(
        "SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()", {}
    )
    assert row is not None
    return int(row["n"])


async def _charge_next(billing: BillingActivities, state: State) -> State:
    """One renewal's charge, from the workflow's side."""
    before, at = row_of(state), state.next_cycle_due()
    payment = attempted(state, at)
    paid = state.model_copy(deep=True)
    settled(paid, at)
    result = await ActivityEnvironment().run(
        billing.charge,
        ChargeInput(
            object_id=state.id,
            number=payment.number,
            attempt=1,
            due_at=payment.due_at,
            at=at,
            amount_minor=payment.amount_minor,
            currency=state.terms.currency,
            row=changes(before, row_of(paid)),
        ),
    )
    assert result.outcome == "settled", result
    return paid
