"""The gateways' circuits as people see them: `teiki gateway status` and `teiki doctor`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from db.engine import Database
from db.watch_tables import gateway_circuits


class CircuitItem(BaseModel):
    """One gateway's circuit."""

    model_config = ConfigDict(frozen=True)

    gateway: str
    state: Literal["closed", "open", "half_open"]
    failures: int
    """In a row; 0 when closed."""
    since: datetime | None
    """When the outage began; when it is closed, when the last one ended, None when there never was one."""
    next_probe_in_s: float | None
    """Seconds until a call is let through again, 0 when that is due; None when closed."""
    last_hint: str
    """What was seen last, also of an outage that is over."""


async def gateway_circuit(db: Database, gateway: str) -> CircuitItem:
    """One gateway's circuit at this instant of the database's clock; closed when there never was trouble."""
    left = func.extract("epoch", gateway_circuits.c.retry_at - func.clock_timestamp())
    query = select(gateway_circuits, left.label("left_s")).where(gateway_circuits.c.gateway == gateway)
    async with db.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return CircuitItem(
            gateway=gateway, state="closed", failures=0, since=None, next_probe_in_s=None, last_hint=""
        )
    return CircuitItem(
        gateway=row.gateway,
        state=row.state,
        failures=row.failures,
        since=row.opened_at or row.updated_at,
        next_probe_in_s=None if row.left_s is None else max(0.0, float(row.left_s)),
        last_hint=row.last_hint,
    )
