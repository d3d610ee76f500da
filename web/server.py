"""The web service: customers' pages and the payment company's webhooks, behind one set of headers.

Tokens are in paths, so there is no access log; what goes wrong is logged by its code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import ErrorCode, TeikiError
from gateways.factory import gateway_of, hosted_form_origin
from gateways.port import GatewayUnavailable, PaymentGateway
from runtime.settings import Settings
from starter import Teiki
from web import pages
from web.card_change import CardChange
from web.repayment import RepaymentPages
from web.webhooks import Webhooks

_SHUTDOWN_SECONDS: Final = 10
_STYLE: Final = Path(__file__).with_name("static") / "teiki.css"
_UNAVAILABLE: Final = frozenset(
    {ErrorCode.ENGINE_UNAVAILABLE, ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.GATEWAY_UNAVAILABLE}
)
_LINK_NOTICES: Final = {"unknown": ("unknown", 404), "form": ("expired", 410), "used": ("used", 410)}

_logger = logging.getLogger(__name__)


def application(
    teiki: Teiki, gateway: PaymentGateway, *, public_url: str, form_origin: str, webhooks: Webhooks
) -> ASGIApp:
    """Everything that is served.

    Args:
        teiki: the SDK; stays the caller's.
        gateway: the payment company; stays the caller's.
        public_url: what customers' browsers call us.
        form_origin: where the payment company's form lives. Browsers apply `form-action` to redirects too, so the
            content security policy must name it.
        webhooks: takes in what the payment company tells; stays the caller's.
    """
    # No description of ourselves is served: customers and payment companies need none.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(TeikiError, _refused)
    app.add_exception_handler(GatewayUnavailable, _try_again)
    app.add_exception_handler(TimeoutError, _try_again)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_api_route("/health", _health, methods=["GET", "HEAD"])
    app.add_api_route(pages.STYLE_PATH, _style, methods=["GET", "HEAD"])
    app.include_router(CardChange(teiki, gateway, public_url=public_url).router())
    app.include_router(RepaymentPages(teiki, gateway, public_url=public_url).router())
    app.include_router(webhooks.router())
    return _Secure(app, form_origin)


async def serve(settings: Settings, stop: asyncio.Event, *, host: str, port: int) -> None:
    """Listen until `stop`, then finish what is under way; with port 0 print the port it got as JSON."""
    gateway = gateway_of(
        settings.gateway,
        settings.gateway_url,
        horizon_seconds=settings.inflight_horizon_seconds,
        webhook_secrets=settings.webhook_secret_list,
    )
    try:
        async with await Teiki.connect(settings) as teiki, Webhooks(teiki, gateway) as webhooks:
            app = application(
                teiki,
                gateway,
                public_url=settings.public_url,
                form_origin=hosted_form_origin(settings.gateway, settings.gateway_url),
                webhooks=webhooks,
            )
            async with listening(app, host=host, port=port) as taken:
                if port == 0:
                    print(json.dumps({"port": taken}), flush=True)  # noqa: T201 - the starter's answer
                _logger.info("web ready", extra={"port": taken})
                await stop.wait()
    finally:
        await gateway.close()


@asynccontextmanager
async def listening(app: ASGIApp, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts; hands out the port. In the end what is under way is finished."""
    # `access_log=False` alone keeps the logger from its handlers, not from those of whoever puts one on it.
    logging.getLogger("uvicorn.access").disabled = True
    with socket.create_server((host, port), backlog=512) as here:
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            http="h11",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[here]), name="web")
        try:
            yield here.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """Uvicorn's, which leaves the signals to `runtime.lifecycle`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Secure:
    """Headers on every answer, also on one to a programmer's mistake, which passes by all other layers."""

    def __init__(self, app: ASGIApp, form_origin: str) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in _headers(form_origin)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                missing = [header for header in self._headers if header[0] not in given]
                message = {**message, "headers": [*message["headers"], *missing]}
            await send(message)

        await self._app(scope, receive, secured)


def _headers(form_origin: str) -> list[tuple[str, str]]:
    policy = (
        f"default-src 'none'; style-src 'self'; form-action 'self' {form_origin}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return [
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),  # the address holds the token
        ("X-Robots-Tag", "noindex, nofollow"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    """Refusals and outages as pages; a programmer's mistake goes on its way and becomes a bare 500."""
    assert isinstance(error, TeikiError)
    if error.code is ErrorCode.LINK_NOT_USABLE:
        name, status = _LINK_NOTICES.get(str(error.facts.get("why")), ("expired", 410))
        return pages.notice(request, name, status=status)
    if error.code in _UNAVAILABLE:
        return await _try_again(request, error)
    _logger.warning("a card change was refused", extra={"code": error.code.value})
    return pages.notice(request, "not_changeable", status=409)


async def _try_again(request: Request, error: Exception) -> Response:
    code = error.code.value if isinstance(error, TeikiError) else type(error).__name__
    _logger.warning("a customer was asked to try again", extra={"code": code})
    response = pages.notice(request, "try_again", status=503)
    response.headers["Retry-After"] = "30"
    return response


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return pages.notice(request, "unknown", status=404)
    return Response(status_code=error.status_code, headers=error.headers)


async def _health() -> Response:
    return JSONResponse({"status": "ok"})


async def _style() -> Response:
    return FileResponse(_STYLE, headers={"Cache-Control": "public, max-age=3600"})
