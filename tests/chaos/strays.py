"""Stray attempts: what an old worker would do, or a Temporal restored from a backup.

While an attempt's outcome is unknown, a rogue calls the real charge activity for the *next* attempt of the same
payment. The one live attempt per payment must refuse it. The row of the unknown attempt is locked meanwhile, so that
it cannot be resolved under the rogue's hands: then the next attempt would be right, and prove nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import ChargeInput
from db.engine import Database
from domain.errors import ErrorCode, TeikiError
from gateways.sandbox_client import SandboxGateway
from tests.chaos.guards import horizon
from tests.chaos.plan import Plan
from tests.chaos.scale import CLIENT_TIMEOUT
from tests.chaos.servers import Servers

_FIND: Final = """
SELECT a.*, p.due_at FROM attempts a JOIN payments p USING (object_id, number)
WHERE a.purpose = 'charge' AND a.state = 'unknown' AND starts_with(a.object_id, 'sub_')
ORDER BY random() LIMIT 1 FOR UPDATE OF a SKIP LOCKED
"""


class Strays:
    """Sends stray attempts until `plan.strays` have met a live one."""

    def __init__(self, plan: Plan, servers: Servers) -> None:
        self._plan = plan
        self._servers = servers
        self.met: Counter[str] = Counter()
        """How each was answered: `live_attempt_exists`, or what happened instead."""

    @property
    def fired(self) -> int:
        return sum(self.met.values())

    async def roam(self) -> None:
        settings = self._servers.direct()
        database = Database.connect(settings.database, pool_size=2)
        gateway = SandboxGateway(
            settings.gateway_url, timeout=CLIENT_TIMEOUT, inflight_horizon=horizon(self._plan.guard_off)
        )
        billing = BillingActivities(database, gateway)
        try:
            while self.fired < self._plan.strays:
                try:
                    await self._stray(settings.database, billing)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    await asyncio.sleep(0.5)  # the database is being restarted
                await asyncio.sleep(0.1)
        finally:
            await gateway.close()
            await database.close()

    async def _stray(self, url: str, billing: BillingActivities) -> None:
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
            found = await (await connection.execute(_FIND)).fetchone()
            if found is None:
                return
            try:
                result: Any = await ActivityEnvironment().run(billing.charge, _next_attempt(found))
            except TeikiError as error:
                if error.code is not ErrorCode.DATABASE_UNAVAILABLE:
                    self.met[error.code.value] += 1
            else:
                self.met[f"let through: {result.outcome}"] += 1

    @property
    def refused(self) -> int:
        return self.met[ErrorCode.LIVE_ATTEMPT_EXISTS.value]


def _next_attempt(found: dict[str, Any]) -> ChargeInput:
    return ChargeInput(
        object_id=found["object_id"],
        number=found["number"],
        attempt=found["attempt"] + 1,
        due_at=found["due_at"],
        at=datetime.now(UTC),
        amount_minor=found["amount_minor"],
        currency=found["currency"],
        row={},
    )
