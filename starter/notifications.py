"""Notifications: what endpoints were told, what they answered, and sending it again (spec: customers.md §5)."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from db import endpoints as writes
from db.endpoints import Said
from db.reads import notifications as reads
from db.reads.notifications import NotificationFilter, NotificationPage, NotificationView
from domain.free_text import require_free_text
from domain.identifiers import require_id
from domain.notifications import event_id_of
from starter.subscriptions import DEFAULT_ACTOR

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Notifications:
    """`teiki.notifications`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def list(
        self,
        filter: NotificationFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> NotificationPage:
        """One page of deliveries, the latest event first; `next_cursor` asks for the next."""
        database = await self._teiki.database()
        return await reads.list_notifications(database, filter, cursor=cursor, limit=limit)

    async def show(self, notification_id: str) -> NotificationView:
        """One notification: what is sent, where to, every try and its answer; `notification_not_found`."""
        return await reads.get_notification(await self._teiki.database(), event_id_of(notification_id))

    async def resend(
        self,
        notification_id: str,
        *,
        endpoint_id: str | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> builtins.list[str]:
        """Send it again, now, under the same `webhook-id`: a receiver that has it already takes it for a repetition.

        Args:
            notification_id: `ntf_…`.
            endpoint_id: only to this one; None: to all that were to hear of it.
            request_id: repeating the call with the same one sends nothing more.
            actor: who asks; it is in the endpoint's history.
            comment: for operators.

        Returns:
            the endpoints.

        Raises:
            TeikiError: `notification_not_found`, `request_id_conflict`, `invalid_input`, `database_unavailable`.
        """
        await self._teiki.gate.admit("notification.resend", actor=actor, subject_id=notification_id)
        said = Said(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=require_free_text(comment, what="comment"),
            at=self._teiki.now(),
        )
        return await writes.resend(
            await self._teiki.database(),
            event_id_of(notification_id),
            endpoint_id=require_id(endpoint_id, "end") if endpoint_id is not None else None,
            said=said,
        )
