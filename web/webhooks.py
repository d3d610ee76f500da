"""Webhooks in: `POST /webhooks/{gateway}` (spec: charging.md §4, customers.md §6).

    200  stored, or stored before; also what nobody understands
    400  a header is missing; 401 the signature or its time is wrong; 404 no such gateway; 413 too large
    503  the database is down, or no secret is set: the payment company tries again

Nothing is done with what a webhook says before it is in the inbox, and then only its names are passed on, in the
background: whoever is concerned asks the payment company itself. What is not passed on here, because this process
dies or Temporal is down, a schedule passes on within a minute or two.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final, Self

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from domain.errors import ErrorCode, TeikiError
from gateways.port import PaymentGateway
from starter import Teiki

BODY_BYTES_MAX: Final = 256 * 1024
STORE_SECONDS_MAX: Final = 4.0
"""A payment company waits a few seconds for an answer; a database that takes longer is down to it."""
_ARRIVAL_SECONDS_MAX: Final = 10.0
_BACKGROUND_MAX: Final = 1_000
"""Hand-overs waiting in this process; more are left to the schedule."""
_AT_ONCE: Final = 2
_LEAVE_SECONDS: Final = 5.0
_STATUS: Final = {"headers": 400, "gateway": 404, "too_large": 413, "too_slow": 408}

_logger = logging.getLogger(__name__)


class Webhooks:
    """The route, and the hand-overs that go on after its answers. Use it as an async context manager.

    Args:
        teiki: stores and hands over.
        gateway: knows who may have signed.
    """

    def __init__(self, teiki: Teiki, gateway: PaymentGateway) -> None:
        self._teiki = teiki
        self._gateway = gateway
        self._background: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def router(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/webhooks/{gateway}", self.take_in, methods=["POST"])
        return routes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=_LEAVE_SECONDS)
            for task in late:  # the schedule takes over
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def take_in(self, request: Request) -> Response:
        """Verify, store, answer; hand over afterwards."""
        try:
            inbox_id = await self._stored(request)
        except TeikiError as error:
            return _no(error)
        if inbox_id is not None:
            self._hand_over_soon(inbox_id)
        return JSONResponse({"status": "known" if inbox_id is None else "stored"})

    async def _stored(self, request: Request) -> int | None:
        name = self._gateway.capabilities.name
        if request.path_params["gateway"] != name:
            raise _refused("gateway", "Nobody of this name sends webhooks here.")
        body = await _body(request)
        notice = self._gateway.parse_webhook(request.headers, body, now=self._teiki.now())
        try:
            async with asyncio.timeout(STORE_SECONDS_MAX):
                return await self._teiki.webhooks.store(
                    gateway=name,
                    event_id=notice.event_id,
                    kind=notice.kind,
                    reference=notice.reference,
                    gateway_id=notice.gateway_id,
                    body=body,
                )
        except TimeoutError as error:
            raise TeikiError(
                ErrorCode.DATABASE_UNAVAILABLE, "The database takes too long; try again."
            ) from error

    def _hand_over_soon(self, inbox_id: int) -> None:
        if len(self._background) >= _BACKGROUND_MAX:
            return
        task = asyncio.create_task(self._hand_over(inbox_id), name="webhook hand-over")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hand_over(self, inbox_id: int) -> None:
        async with self._room:
            try:
                await self._teiki.webhooks.hand_over(inbox_id)
            except TeikiError as error:
                _logger.warning(
                    "a webhook waits for the schedule", extra={"inbox_id": inbox_id, "code": error.code.value}
                )


async def _body(request: Request) -> bytes:
    """The body as it came, byte for byte; not read further than it may be long."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > BODY_BYTES_MAX:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS_MAX):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise _too_large()
                parts.append(part)
    except (TimeoutError, ClientDisconnect) as error:
        raise _refused("too_slow", "The body did not arrive whole, or not in time.") from error
    return b"".join(parts)


def _too_large() -> TeikiError:
    return _refused("too_large", f"A webhook has at most {BODY_BYTES_MAX} bytes.")


def _refused(why: str, message: str) -> TeikiError:
    return TeikiError(ErrorCode.WEBHOOK_REFUSED, message, why=why)


def _no(error: TeikiError) -> Response:
    """4xx for what is wrong with the request, 503 for what is wrong with us."""
    why = str(error.facts.get("why", ""))
    status = _STATUS.get(why, 401) if error.code is ErrorCode.WEBHOOK_REFUSED else 503
    _logger.warning(
        "a webhook was not taken in", extra={"code": error.code.value, "why": why, "status": status}
    )
    headers = {"Retry-After": "30"} if status == 503 else {}
    content = {"code": error.code.value, "message": error.message} | ({"why": why} if why else {})
    return JSONResponse(content, status_code=status, headers=headers)
