"""Was this request seen before, and what did it make? (spec: interfaces.md)"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from db.engine import Database
from db.tables import requests


class RequestItem(BaseModel):
    """An accepted request: what it made or changed. Compare `fingerprint` with `db.requests.fingerprint(content)`."""

    model_config = ConfigDict(frozen=True)

    scope: str
    request_id: str
    fingerprint: str
    subject_id: str
    at: datetime


async def find_request(db: Database, scope: str, request_id: str) -> RequestItem | None:
    """Scopes: `db.requests.CREATE_SCOPE`, `operation_scope(id)`, `customer.put`, `product.put`,
    `payment_method.add`.
    """
    query = select(requests).where(requests.c.scope == scope, requests.c.request_id == request_id)
    async with db.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return RequestItem.model_validate({name: getattr(row, name) for name in RequestItem.model_fields})
