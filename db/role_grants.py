"""Granting roles and taking them back, one at a time; and what an operator may, asked with every command.

A grant is a row that stays: taking it back dates it. Rows are never deleted, so that a house that once had an admin
never falls back to the days before it had one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, LiteralString

from db.engine import Database
from db.requests import Cursor, claim
from db.steps import conflict
from domain.errors import ErrorCode, TeikiError
from domain.roles import Role, Standing

_SCOPE: Final = "role"
_STANDING: Final[LiteralString] = """
SELECT EXISTS (SELECT 1 FROM role_grants WHERE role = 'admin') AS enforced,
       ARRAY(SELECT role FROM role_grants WHERE operator = %(operator)s AND revoked_at IS NULL) AS roles
"""
_ONE_AT_A_TIME: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended('role grants', 0))"
_GRANT: Final[LiteralString] = """
INSERT INTO role_grants (operator, role, granted_at, granted_by, comment)
VALUES (%(operator)s, %(role)s, %(at)s, %(actor)s, %(comment)s)
ON CONFLICT (operator, role) WHERE revoked_at IS NULL DO NOTHING RETURNING id
"""
_ADMINS: Final[LiteralString] = "SELECT operator FROM role_grants WHERE role = 'admin' AND revoked_at IS NULL"
_REVOKE: Final[LiteralString] = """
UPDATE role_grants SET revoked_at = %(at)s, revoked_by = %(actor)s, revoking_comment = %(comment)s
WHERE operator = %(operator)s AND role = %(role)s AND revoked_at IS NULL RETURNING id
"""
_OWNER: Final[dict[str, LiteralString]] = {
    "sub": "SELECT customer_id FROM subscriptions WHERE id = %(id)s",
    "ord": "SELECT customer_id FROM orders WHERE id = %(id)s",
    "per": "SELECT customer_id FROM permissions WHERE id = %(id)s",
    "rep": "SELECT p.customer_id FROM repayments r JOIN payers p ON p.id = r.object_id WHERE r.id = %(id)s",
}


async def standing_of(db: Database, operator: str) -> Standing:
    """The operator's roles, and whether roles are asked for at all yet; one statement."""
    row = await db.fetch_one(_STANDING, {"operator": operator})
    assert row is not None
    return Standing(frozenset(Role(role) for role in row["roles"]), bool(row["enforced"]))


async def owner_of(db: Database, object_id: str) -> str | None:
    """The customer whose a subscription, an order, a permission or a repayment is; None: there is no such thing."""
    find = _OWNER.get(object_id.partition("_")[0])
    row = await db.fetch_one(find, {"id": object_id}) if find is not None else None
    return None if row is None else str(row["customer_id"])


async def grant_role(
    db: Database, operator: str, role: Role, *, request_id: str, actor: str, comment: str, at: datetime
) -> bool:
    """Grant a role.

    Returns:
        False, and nothing changes, when the operator holds it already or the request is a repetition.

    Raises:
        TeikiError: `request_id_conflict`.
    """
    values = {"operator": operator, "role": role.value, "actor": actor, "comment": comment, "at": at}
    async with db.transaction() as cursor:
        return await _is_new(cursor, "grant", request_id, values) and await _changed(cursor, _GRANT, values)


async def revoke_role(
    db: Database, operator: str, role: Role, *, request_id: str, actor: str, comment: str, at: datetime
) -> bool:
    """Take a role back.

    Returns:
        False, and nothing changes, when the operator does not hold it or the request is a repetition.

    Raises:
        TeikiError: `last_admin` for the only admin's; `request_id_conflict`.
    """
    values = {"operator": operator, "role": role.value, "actor": actor, "comment": comment, "at": at}
    async with db.transaction() as cursor:
        if not await _is_new(cursor, "revoke", request_id, values):
            return False
        if role is Role.ADMIN:
            await cursor.execute(_ADMINS)
            if [row["operator"] for row in await cursor.fetchall()] == [operator]:
                raise TeikiError(
                    ErrorCode.LAST_ADMIN, "The last admin stays one: grant the role to another first."
                )
        return await _changed(cursor, _REVOKE, values)


async def _is_new(cursor: Cursor, what: str, request_id: str, values: dict[str, Any]) -> bool:
    await cursor.execute(_ONE_AT_A_TIME)
    content = {"what": what, "operator": values["operator"], "role": values["role"]}
    claimed = await claim(
        cursor,
        scope=_SCOPE,
        request_id=request_id,
        content=content,
        subject_id=values["operator"],
        at=values["at"],
    )
    if claimed.kind == "conflict":
        refusal = conflict(request_id)
        raise TeikiError(ErrorCode(refusal.code), refusal.message, **refusal.facts)
    return claimed.kind == "new"


async def _changed(cursor: Cursor, statement: LiteralString, values: dict[str, Any]) -> bool:
    await cursor.execute(statement, values)
    return await cursor.fetchone() is not None
