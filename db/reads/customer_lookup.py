"""Whom a person means: a customer by id, or by an e-mail address of today or of before (spec: customers.md §1)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.customer_details import contact_key
from domain.errors import ErrorCode, TeikiError

_NAMED_MAX: Final = 20
# By the address as it is entered now, and by every one that ever was; both are indexed.
_BY_EMAIL: Final = text(
    """
    SELECT id FROM customers WHERE lower(email) = :key
    UNION
    SELECT l.customer_id FROM contacts k JOIN customer_contacts l ON l.contact_id = k.id
    WHERE k.kind = 'email' AND k.key = :key
    ORDER BY id LIMIT :most
    """
)
_BY_ID: Final = text("SELECT id FROM customers WHERE id = :id")


async def customer_meant(connection: AsyncConnection, named: str) -> str:
    """The id.

    Raises:
        TeikiError: `customer_not_found`; `customer_ambiguous` with the ids when several have the address.
    """
    if "\x00" in named:
        raise _not_found(named)
    if "@" in named:
        key = contact_key(named)
        found = await connection.execute(_BY_EMAIL, {"key": key, "most": _NAMED_MAX})
    else:
        found = await connection.execute(_BY_ID, {"id": named})
    ids = [row.id for row in found]
    if not ids:
        raise _not_found(named)
    if len(ids) > 1:
        raise TeikiError(
            ErrorCode.CUSTOMER_AMBIGUOUS, "Several customers have this address: name one by its id.", ids=ids
        )
    return str(ids[0])


def _not_found(named: str) -> TeikiError:
    return TeikiError(ErrorCode.CUSTOMER_NOT_FOUND, "There is no such customer.", customer=named[:60])
