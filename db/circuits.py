"""The circuit of one gateway, in a row that all workers share (spec: issue 3; the rules are `gateways/circuit.py`'s).

The database's clock measures the pauses, so that workers whose clocks differ agree on when to try again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from db.engine import Database

_LOAD: Final = """
SELECT state, failures, updated_at,
       coalesce(extract(epoch FROM retry_at - clock_timestamp()), 0)::float8 AS retry_in_s
FROM gateway_circuits WHERE gateway = %(gateway)s
"""

_STORE: Final = """
INSERT INTO gateway_circuits AS c (gateway, state, failures, opened_at, retry_at, last_hint, updated_at)
SELECT %(gateway)s, %(state)s, %(failures)s,
       CASE WHEN %(state)s <> 'closed' THEN now END,
       CASE WHEN %(state)s <> 'closed' THEN now + make_interval(secs => %(open_for_s)s::float8) END,
       %(hint)s, now
FROM clock_timestamp() AS now
ON CONFLICT (gateway) DO UPDATE SET
    state = excluded.state,
    failures = excluded.failures,
    opened_at = CASE WHEN excluded.state <> 'closed' THEN coalesce(c.opened_at, excluded.opened_at) END,
    retry_at = excluded.retry_at,
    last_hint = CASE WHEN excluded.last_hint = '' THEN c.last_hint ELSE excluded.last_hint END,
    -- It is the row's version too: two writes within one microsecond must differ.
    updated_at = greatest(excluded.updated_at, c.updated_at + interval '1 microsecond')
WHERE %(seen)s::timestamptz IS NULL OR c.updated_at = %(seen)s::timestamptz
RETURNING updated_at
"""


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """What is known of a gateway. `retry_in_s`: seconds until the next probe, negative when it is due."""

    state: str
    failures: int
    retry_in_s: float
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CircuitRows:
    """One gateway's row; a `gateways.circuit.CircuitBook`."""

    db: Database
    gateway: str

    async def load(self) -> CircuitRow | None:
        """The row; None when there never was trouble.

        Raises:
            TeikiError: `database_unavailable`.
        """
        row = await self.db.fetch_one(_LOAD, {"gateway": self.gateway})
        return None if row is None else CircuitRow(**row)

    async def store(
        self, *, state: str, failures: int, open_for_s: float, hint: str, seen: datetime | None
    ) -> datetime | None:
        """Write it unless it has changed since `seen`; an empty hint keeps the last one.

        Returns:
            the row's new `updated_at`; None when somebody else was faster.

        Raises:
            TeikiError: `database_unavailable`.
        """
        row = await self.db.fetch_one(
            _STORE,
            {
                "gateway": self.gateway,
                "state": state,
                "failures": failures,
                "open_for_s": open_for_s,
                "hint": hint,
                "seen": seen,
            },
        )
        return None if row is None else row["updated_at"]
