"""The web service: customers' pages behind one set of headers and one way to say no.

Tokens are in paths, so there is no access log; what goes wrong is logged by its code.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web as http

from domain.errors import ErrorCode, TeikiError
from gateways.factory import gateway_of, hosted_form_origin
from gateways.port import GatewayUnavailable, PaymentGateway
from runtime.settings import Settings
from starter import Teiki
from web import pages
from web.card_change import CardChange

_BODY_BYTES_MAX: Final = 4_096
_SHUTDOWN_SECONDS: Final = 10.0
_STYLE: Final = Path(__file__).with_name("static") / "teiki.css"
_UNAVAILABLE: Final = frozenset(
    {ErrorCode.ENGINE_UNAVAILABLE, ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.GATEWAY_UNAVAILABLE}
)
_LINK_NOTICES: Final = {"unknown": ("unknown", 404), "form": ("expired", 410), "used": ("used", 410)}

_logger = logging.getLogger(__name__)

Handler = Callable[[http.Request], Awaitable[http.StreamResponse]]


def application(
    teiki: Teiki, gateway: PaymentGateway, *, public_url: str, form_origin: str
) -> http.Application:
    """The pages.

    Args:
        teiki: the SDK; stays the caller's.
        gateway: the payment company; stays the caller's.
        public_url: what customers' browsers call us.
        form_origin: where the payment company's form lives. Browsers apply `form-action` to redirects too, so the
            content security policy must name it.
    """
    headers = _headers(form_origin)

    async def secure(_: http.Request, response: http.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers.setdefault(name, value)

    app = http.Application(middlewares=[_speak_plainly], client_max_size=_BODY_BYTES_MAX)
    app.on_response_prepare.append(secure)
    app.add_routes(
        [
            http.get("/health", _health),
            http.get(pages.STYLE_PATH, _style),
            *CardChange(teiki, gateway, public_url=public_url).routes(),
        ]
    )
    return app


async def serve(settings: Settings, stop: asyncio.Event, *, host: str, port: int) -> None:
    """Listen until `stop`, then finish what is under way; with port 0 print the port it got as JSON."""
    gateway = gateway_of(
        settings.gateway, settings.gateway_url, horizon_seconds=settings.inflight_horizon_seconds
    )
    try:
        async with await Teiki.connect(settings) as teiki:
            app = application(
                teiki,
                gateway,
                public_url=settings.public_url,
                form_origin=hosted_form_origin(settings.gateway, settings.gateway_url),
            )
            runner = http.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
            await runner.setup()
            try:
                await http.TCPSite(runner, host, port).start()
                if port == 0:
                    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)  # noqa: T201 - the starter's answer
                _logger.info("web ready", extra={"port": runner.addresses[0][1]})
                await stop.wait()
            finally:
                await runner.cleanup()
    finally:
        await gateway.close()


def _headers(form_origin: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'self'; form-action 'self' {form_origin}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",  # the address holds the token
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


@http.middleware
async def _speak_plainly(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Refusals and outages as pages; a programmer's mistake goes on its way and becomes a bare 500."""
    try:
        return await handler(request)
    except TeikiError as error:
        if error.code is ErrorCode.LINK_NOT_USABLE:
            name, status = _LINK_NOTICES.get(str(error.facts.get("why")), ("expired", 410))
            return pages.notice(request, name, status=status)
        if error.code in _UNAVAILABLE:
            return _try_again(request, error.code.value)
        _logger.warning("a card change was refused", extra={"code": error.code.value})
        return pages.notice(request, "not_changeable", status=409)
    except (GatewayUnavailable, TimeoutError) as error:
        return _try_again(request, type(error).__name__)
    except http.HTTPNotFound:
        return pages.notice(request, "unknown", status=404)


def _try_again(request: http.Request, code: str) -> http.Response:
    _logger.warning("a customer was asked to try again", extra={"code": code})
    response = pages.notice(request, "try_again", status=503)
    response.headers["Retry-After"] = "30"
    return response


async def _health(_: http.Request) -> http.StreamResponse:
    return http.json_response({"status": "ok"})


async def _style(_: http.Request) -> http.StreamResponse:
    return http.FileResponse(_STYLE, headers={"Cache-Control": "public, max-age=3600"})
