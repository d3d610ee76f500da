"""A small correct world for the auditor: what was lived through with the real activities, and what breaks it.

Real Postgres, real sandbox. A break in SQL gets a copy of the database, a break at the gateway a world of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import RefundInput
from activities.contracts.records import CardLink, OpenInput
from db import subscriptions
from db.engine import Database
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.postgres import EmbeddedPostgres
from tests.activities.bank_desk import BankDesk
from tests.activities.conftest import charge_of
from tests.activities.order_desk import OrderDesk
from tests.chaos.audit_books import Terms
from tests.chaos.auditor import audit
from tests.chaos.bank_breaks import repaid_life
from tests.chaos.shop_breaks import sold
from tests.db.house import NOW, House, happening, transition

_names = itertools.count(1)

OF_PAID = "WHERE object_id = '{paid}' AND state = 'settled'"


@dataclass
class World:
    """`paid`: declined once, then settled; `returned`: settled and refunded; `resting`: suspended by an operator;
    `repaid`: charged back, and repaid by a link and otherwise; `sold`: the id of an order, given back in part.
    """

    database_url: str
    gateway_url: str
    paid: OpenInput
    returned: OpenInput
    resting: OpenInput
    repaid: OpenInput
    sold: str

    def findings(self, **terms: timedelta) -> Any:
        return audit(self.database_url, self.gateway_url, Terms(**terms))

    async def execute(self, *statements: str) -> None:
        """Break our books as no code of ours can: past foreign keys and the triggers that forbid it."""
        names = {name: getattr(self, name) for name in ("paid", "returned", "resting", "repaid")}
        ids = {name: order.subscription_id for name, order in names.items()} | {"sold": self.sold}
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            await connection.execute("SET session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement.format(**ids))  # type: ignore[arg-type]  # a test's own text


@asynccontextmanager
async def a_world(postgres: EmbeddedPostgres) -> AsyncIterator[World]:
    url = await postgres.create_database(f"world_{next(_names)}", template="migrated")
    sandbox = await start_sandbox(":memory:")
    try:
        gateway, remote = SandboxGateway(sandbox.base_url), SandboxRemote(sandbox.base_url)
        db = Database.connect(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=2)
        try:
            orders = await _lived(House(db), BillingActivities(db, gateway), remote)
            repaid = await repaid_life(BankDesk(db, gateway, remote, House(db), url=sandbox.base_url))
            order_id = await sold(OrderDesk(db, gateway, remote, House(db), url=sandbox.base_url))
        finally:
            await db.close()  # a database with connections cannot be copied
            await gateway.close()
            await remote.close()
        yield World(url, sandbox.base_url, *orders, repaid, order_id)
    finally:
        await sandbox.stop()


async def _lived(
    house: House, billing: BillingActivities, remote: SandboxRemote
) -> tuple[OpenInput, OpenInput, OpenInput]:
    async def entered(*script: Any) -> OpenInput:
        return await house.subscription(await house.tenant(token=await remote.script(list(script))))

    paid = await entered({"decline": "insufficient_funds"})
    returned, resting, blocked = [await entered() for _ in range(3)]
    run = ActivityEnvironment().run
    assert (await run(billing.charge, charge_of(paid, attempt=1))).outcome == "declined"
    assert (await run(billing.charge, charge_of(paid, attempt=2))).outcome == "settled"
    assert (await run(billing.charge, charge_of(returned, attempt=1))).outcome == "settled"
    refund = RefundInput(object_id=returned.subscription_id, number=1, at=NOW, reason="asked for")
    assert (await run(billing.refund, refund)).outcome == "settled"
    assert (await run(billing.charge, charge_of(resting, attempt=1))).outcome == "settled"
    suspended = happening(
        resting,
        operation="suspend",
        request_id="req_suspend",
        row={"status": "suspended", "reason": "asked for", "next_kind": None, "next_at": None},
        moves=[transition("current", "suspended", "asked for")],
        event_key=resting.subscription_id,
    )
    assert (
        await subscriptions.record(house.db, suspended, event_key=suspended.event_key)
    ).outcome == "recorded"
    link = CardLink(token_hash=f"hash of {paid.subscription_id}", expires_at=NOW + timedelta(days=1))
    opened = happening(paid, operation="open_card_link", request_id="req_link", link=link, event_key="link")
    assert (
        await subscriptions.record(house.db, opened, event_key=paid.subscription_id)
    ).outcome == "recorded"
    await subscriptions.use_card_link(house.db, link.token_hash, NOW)
    await house.block(blocked.spec.customer_id, blocked.spec.customer_id)
    assert (await run(billing.charge, charge_of(blocked, attempt=1))).decline == "customer_blocked"
    return paid, returned, resting


def broken(world: World, **terms: timedelta) -> set[str]:
    """The invariants that are violated, each with an example in words."""
    findings = world.findings(**terms)
    names = {name for name, count in findings.violations.items() if count}
    assert names == {name for name, shown in findings.examples.items() if shown}
    return names
