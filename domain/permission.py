"""A permission: the right to use what was bought, its period and what became of it (spec: orders.md §6).

A permission belongs to one order and is granted when that is paid. Revoked and granted again (a preliminary notice that
was taken back, then paid after all) it keeps its id and its membership number.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

Acquisition = Literal["purchase", "token_auth", "admin"]


class PermissionStatus(StrEnum):
    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Permission(BaseModel):
    """As the order remembers it; fields only grow, with defaults.

    Attributes:
        starts_at: and `ends_at` (None: without end): the usage period.
        used_at: when the ticket was processed, by `used_by`.
    """

    id: str
    status: PermissionStatus
    reason: str
    acquisition: Acquisition = "purchase"
    acquired_at: datetime
    starts_at: datetime
    ends_at: datetime | None = None
    used_at: datetime | None = None
    used_by: str | None = None

    def is_within(self, now: datetime) -> bool:
        return self.starts_at <= now and (self.ends_at is None or now < self.ends_at)
