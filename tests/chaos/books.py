"""What the run itself asks of the books: how far it is, what is still open, which promises are missing."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from temporalio.client import Client

_PAIRS: Final = """
SELECT count(DISTINCT (object_id, number)) AS n FROM attempts
WHERE purpose = 'charge' AND starts_with(object_id, 'sub_')
"""
_OTHERS: Final = """
SELECT 'order ' || status || ': ' || reason AS what, count(*) AS n FROM orders GROUP BY 1
UNION ALL SELECT 'credit ' || status || ': ' || reason, count(*) FROM credits GROUP BY 1 ORDER BY 1
"""
_OPEN: Final = "SELECT key FROM attempts WHERE state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')"
_UNFINISHED: Final = """
SELECT id, status, reason, next_kind, charges FROM subscriptions
WHERE status NOT IN ('completed', 'canceled')
  AND NOT (status = 'suspended' AND next_kind IS NULL)
UNION ALL SELECT id, status, reason, next_kind, payments FROM orders WHERE status NOT IN ('canceled', 'expired')
UNION ALL SELECT id, status, reason, NULL, NULL FROM credits WHERE status = 'open'
"""
# A second look at what was in doubt is no step that is shown, and still owed.
_SUSPENDED: Final = """
SELECT id FROM subscriptions s WHERE status = 'suspended' AND NOT EXISTS (
    SELECT FROM attempts a WHERE a.object_id = s.id AND a.purpose = 'charge' AND a.needs_verification)
"""
_TRIES: Final = 100
_STATUSES: Final = "SELECT status, reason, count(*) AS n FROM subscriptions GROUP BY 1, 2 ORDER BY 1, 2"
_INCIDENTS: Final = "SELECT kind, count(*) AS n FROM incidents GROUP BY 1 ORDER BY 1"
_PROMISED: Final = "SELECT data->>'request_id' AS request_id FROM history WHERE data ? 'request_id'"


class Books:
    """Reads the database directly; every answer is a fresh connection, because servers are being killed."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        for _ in range(_TRIES):
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, row_factory=dict_row
                ) as connection:
                    return await (await connection.execute(query, parameters)).fetchall()
            except psycopg.OperationalError:  # being restarted
                await asyncio.sleep(0.3)
        raise RuntimeError("The database did not come back.")

    async def pairs(self) -> int:
        return int((await self.rows(_PAIRS))[0]["n"])

    async def open_attempts(self) -> set[str]:
        return {row["key"] for row in await self.rows(_OPEN)}

    async def unfinished(self) -> list[dict[str, Any]]:
        """Subscriptions that are neither over nor suspended for a reason, orders and credits that have not ended."""
        return await self.rows(_UNFINISHED)

    async def suspended(self) -> set[str]:
        """Subscriptions that are suspended and have nothing left to do."""
        return {row["id"] for row in await self.rows(_SUSPENDED)}

    async def statuses(self) -> dict[str, int]:
        return {f"{row['status']}: {row['reason']}": row["n"] for row in await self.rows(_STATUSES)}

    async def others(self) -> dict[str, int]:
        """Orders and credits by how they ended."""
        return {row["what"]: row["n"] for row in await self.rows(_OTHERS)}

    async def incidents(self) -> dict[str, int]:
        return {row["kind"]: row["n"] for row in await self.rows(_INCIDENTS)}

    async def recorded_requests(self) -> set[str]:
        return {row["request_id"] for row in await self.rows(_PROMISED)}


async def reported_problems(client: Client) -> list[str]:
    """Workflows whose tasks keep failing: nothing but a wedged one has this attribute."""
    listed = client.list_workflows("TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'")
    return sorted([workflow.id async for workflow in listed])


async def still_running(client: Client) -> set[str]:
    listed = client.list_workflows("ExecutionStatus = 'Running'")
    return {workflow.id async for workflow in listed}
