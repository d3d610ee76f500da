"""Roles of operators: who holds which, granting and taking back (spec: customers.md §7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from db.reads.audit import Grants, list_grants
from db.role_grants import grant_role, revoke_role
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable, require_free_text
from domain.roles import Role
from starter.gate import DEFAULT_PRINCIPAL

if TYPE_CHECKING:
    from starter.teiki import Teiki

_OPERATOR: Final = re.compile(r"operator:[\w.@:\-]{1,80}")


class Roles:
    """`teiki.roles`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def list(self, *, with_revoked: bool = False) -> Grants:
        """Who holds which role; `with_revoked`: also who held them."""
        await self._teiki.gate.admit("role.list")
        return await list_grants(await self._teiki.database(), with_revoked=with_revoked)

    async def grant(
        self,
        operator: str,
        role: Role | str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_PRINCIPAL,
        comment: str = "",
    ) -> bool:
        """Grant a role; with the first admin roles are asked for from then on.

        Args:
            operator: `operator:<id>`.
            role: a `Role`, or its word.
            request_id: repeating the call with it changes nothing more.
            actor: an admin.
            comment: for admins.

        Returns:
            False when the operator held it already.

        Raises:
            TeikiError: `forbidden`, `invalid_input`, `card_number_refused`, `request_id_conflict`.
        """
        await self._teiki.gate.admit("role.grant", actor=actor, subject_id=operator)
        return await self._change(grant_role, operator, role, request_id, actor, comment)

    async def revoke(
        self,
        operator: str,
        role: Role | str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_PRINCIPAL,
        comment: str = "",
    ) -> bool:
        """Take a role back; arguments as of `grant`.

        Returns:
            False when the operator did not hold it.

        Raises:
            TeikiError: `last_admin`, and as of `grant`.
        """
        await self._teiki.gate.admit("role.revoke", actor=actor, subject_id=operator)
        return await self._change(revoke_role, operator, role, request_id, actor, comment)

    async def _change(
        self, change: Any, operator: str, role: str, request_id: str | None, actor: str, comment: str
    ) -> bool:
        try:
            changed: bool = await change(
                await self._teiki.database(),
                _operator(operator),
                _role(role),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                comment=require_free_text(comment, what="comment"),
                at=self._teiki.now(),
            )
        finally:
            self._teiki.gate.forget()
        return changed


def _operator(given: str) -> str:
    if _OPERATOR.fullmatch(given) is None:
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "Roles are granted to operator:<id>.", operator=repeatable(given, 100)
        )
    return given


def _role(given: str) -> Role:
    try:
        return Role(given)
    except ValueError as error:
        known = [role.value for role in Role]
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "There is no such role.", role=repeatable(given, 40), known=known
        ) from error
