"""The gateways' circuits as people see them: `teiki gateway status` and `teiki doctor`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from db.engine import Database
from db.tables import gateway_circuits


class CircuitItem(BaseModel):
    """One gateway's circuit. A gateway that never failed has none."""

    model_config = ConfigDict(frozen=True)

    gateway: str
    state: Literal["closed", "open", "half_open"]
    failures: int
    """In a row; 0 when closed."""
    since: datetime
    """When the outage began; when it is closed, when it ended."""
    next_probe_in_s: float | None
    """Seconds until a call is let through again, 0 when that is due; None when closed."""
    last_hint: str
    """What was seen last, also of an outage that is over."""


async def gateway_circuits_now(db: Database) -> list[CircuitItem]:
    """Every gateway that ever had trouble, by name, at this instant of the database's clock."""
    left = func.extract("epoch", gateway_circuits.c.retry_at - func.clock_timestamp())
    query = select(gateway_circuits, left.label("left_s")).order_by(gateway_circuits.c.gateway)
    async with db.reading() as connection:
        rows = (await connection.execute(query)).all()
    return [
        CircuitItem(
            gateway=row.gateway,
            state=row.state,
            failures=row.failures,
            since=row.opened_at or row.updated_at,
            next_probe_in_s=None if row.left_s is None else max(0.0, float(row.left_s)),
            last_hint=row.last_hint,
        )
        for row in rows
    ]
