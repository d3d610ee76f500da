"""Do the books agree? Asking now, and reading what was found (spec: charging.md §2.6).

The comparison itself is a workflow: it can take an hour, survives any crash, and is the only one that talks to the
gateway. Incidents are read from Postgres.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from activities.contracts.reconciliation import Progress, ReconciliationInput, Report
from db.reads import incidents
from db.reads.incidents import IncidentPage
from domain.terms import require_instant
from workflows.reconciliation import Reconciliation

if TYPE_CHECKING:
    from starter.teiki import Teiki

PATIENCE_SECONDS: Final = 12 * 3600.0


class Reconciliations:
    """`teiki.reconciliation`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def run(
        self,
        *,
        since: datetime | None = None,
        patience_s: float = PATIENCE_SECONDS,
        on_progress: Callable[[Report], None] = lambda _: None,
    ) -> Report:
        """Compare the gateway's list, attempts and ledger now; what does not match becomes an incident.

        Args:
            since: from when; without it from a day before the end of the last run, or from the beginning.
            patience_s: seconds to wait for the report; the run goes on without the caller.
            on_progress: called now and then with what was found so far.

        Raises:
            TeikiError: `engine_unavailable` when no worker answers, or not within the patience.
        """
        name = self._teiki.new_id("rec")

        def told(details: Any) -> None:
            if isinstance(details, dict):
                on_progress(Progress.model_validate(details).report)

        report: Report = await self._teiki.engine.follow(
            Reconciliation,
            ReconciliationInput(since=require_instant(since) if since else None),
            workflow_id=f"reconciliation/{self._teiki.settings.gateway}/{name}",
            patience_s=patience_s,
            on_progress=told,
        )
        return report

    async def incidents(
        self,
        *,
        subject_id: str | None = None,
        with_closed: bool = False,
        cursor: str | None = None,
        limit: int = incidents.LIMIT_DEFAULT,
    ) -> IncidentPage:
        """Incidents that wait for a person, newest first; `with_closed`: all."""
        return await incidents.list_incidents(
            await self._teiki.database(),
            subject_id=subject_id,
            with_closed=with_closed,
            cursor=cursor,
            limit=limit,
        )
