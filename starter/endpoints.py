"""Endpoints: where merchants' services want to hear of what happens (spec: customers.md §5, interfaces.md §1).

    made = await teiki.endpoints.put(url="https://shop.example/teiki", topics=["payment.*"])
    made.secret   # whsec_…, shown this once

An endpoint is a setting and no business of a workflow: it is written to Postgres directly, with its request id and its
entry in history, so that its secret never passes through Temporal.
"""

from __future__ import annotations

import asyncio
import base64
import builtins
import secrets
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from db import endpoints as writes
from db.endpoints import Said
from db.reads import endpoints as reads
from db.reads.endpoints import EndpointItem
from domain.addresses import refused, require_public, require_url
from domain.free_text import require_free_text
from domain.identifiers import require_id
from domain.notifications import require_topics
from runtime.sealing import ENDPOINT_SECRET, Sealer
from starter.subscriptions import DEFAULT_ACTOR

if TYPE_CHECKING:
    from starter.teiki import Teiki

_SECRET_BYTES: Final = 32
_RESOLVE_S: Final = 5.0


class EndpointSecret(BaseModel):
    """An endpoint, and its new secret: it is shown once. None: the request was made before, or changed no secret."""

    model_config = ConfigDict(frozen=True)

    endpoint_id: str
    secret: str | None


class Endpoints:
    """`teiki.endpoints`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def put(
        self,
        *,
        url: str,
        topics: Sequence[str] = (),
        endpoint_id: str | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> EndpointSecret:
        """Make an endpoint, which hears of what happens from now on, or change one.

        Args:
            url: `https://…`; its host must have public addresses only, unless the settings allow others.
            topics: of `domain.notifications.TOPICS`, or `<noun>.*`; none: all.
            endpoint_id: of one that is to be changed; it keeps its secret and what waits for it.
            request_id: repeating the call with the same one changes nothing more.
            actor: who asks.
            comment: for operators.

        Raises:
            TeikiError: `endpoint_refused`, `invalid_input`, `too_many_endpoints`, `endpoint_not_found`,
                `request_id_conflict`, `settings_invalid`, `database_unavailable`.
        """
        wanted, said = require_topics(topics), await self._said(endpoint_id or "", request_id, actor, comment)
        await self._require_reachable(url)
        database = await self._teiki.database()
        if endpoint_id is not None:
            await writes.change_endpoint(database, _id(endpoint_id), url=url, topics=wanted, said=said)
            return EndpointSecret(endpoint_id=endpoint_id, secret=None)
        new = self._teiki.new_id("end")
        secret = _new_secret()
        made = await writes.create_endpoint(
            database, new, url=url, topics=wanted, sealed_secret=self._sealed(secret, new), said=said
        )
        return EndpointSecret(endpoint_id=made, secret=secret if made == new else None)

    async def list(self, *, with_removed: bool = False) -> builtins.list[EndpointItem]:
        """All, the oldest first, with how they fare."""
        return await reads.list_endpoints(await self._teiki.database(), with_removed=with_removed)

    async def show(self, endpoint_id: str) -> EndpointItem:
        """One of them, also a removed one; `endpoint_not_found`."""
        return await reads.get_endpoint(await self._teiki.database(), _id(endpoint_id))

    async def disable(
        self,
        endpoint_id: str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> None:
        """Send it nothing any more; what happens meanwhile waits for it. Only people switch an endpoint off."""
        said = await self._said(endpoint_id, request_id, actor, comment)
        await writes.disable_endpoint(await self._teiki.database(), _id(endpoint_id), said=said)

    async def enable(
        self,
        endpoint_id: str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> None:
        """Send to it (again). All that waits for it is due now; so this hurries one that is switched on, too."""
        said = await self._said(endpoint_id, request_id, actor, comment)
        await writes.enable_endpoint(await self._teiki.database(), _id(endpoint_id), said=said)

    async def rotate_secret(
        self,
        endpoint_id: str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> EndpointSecret:
        """A new secret, shown once. For 24 hours the one before signs too."""
        secret, said = _new_secret(), await self._said(endpoint_id, request_id, actor, comment)
        sealed = self._sealed(secret, _id(endpoint_id))
        database = await self._teiki.database()
        is_new = await writes.rotate_secret(database, endpoint_id, sealed_secret=sealed, said=said)
        return EndpointSecret(endpoint_id=endpoint_id, secret=secret if is_new else None)

    async def remove(
        self,
        endpoint_id: str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> None:
        """Forget it and its secrets; what waits for it is dropped. What it was told stays readable."""
        said = await self._said(endpoint_id, request_id, actor, comment)
        await writes.remove_endpoint(await self._teiki.database(), _id(endpoint_id), said=said)

    async def _require_reachable(self, url: str) -> None:
        """Refuse what nothing would ever be sent to; each connection is judged again."""
        allow_private = self._teiki.settings.endpoint_allow_private
        parts = require_url(url, allow_private=allow_private)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await loop.getaddrinfo(str(parts.hostname), parts.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise refused("unresolved", "This host has no address, or nobody tells it.") from error
        require_public([str(one[4][0]) for one in found], allow_private=allow_private)

    def _sealed(self, secret: str, endpoint_id: str) -> bytes:
        return Sealer(self._teiki.settings.endpoint_keyring(), ENDPOINT_SECRET).seal(secret, endpoint_id)

    async def _said(self, endpoint_id: str, request_id: str | None, actor: str, comment: str) -> Said:
        """Who says it, once the gate has let them."""
        await self._teiki.gate.admit("endpoint.change", actor=actor, subject_id=endpoint_id)
        return Said(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=require_free_text(comment, what="comment"),
            at=self._teiki.now(),
        )


def _id(endpoint_id: str) -> str:
    return require_id(endpoint_id, "end")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
