"""Decrypts payloads for the Web UI and the `temporal` command line.

    python -m runtime.codec_server --port 8234 --origin http://127.0.0.1:8233 --origin http://localhost:8233

`POST /encode` and `/decode` take and answer Temporal's `Payloads` as JSON (the CLI needs both). CORS is
exact: list every origin the UI is opened under. It shows plaintext, so it listens on loopback unless
`--allow-remote` says otherwise, which asks for a token (`TEIKI_CODEC_SERVER_TOKEN`) or `--no-token`.
`--port 0` takes a free port and prints `{"port": N}` on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import ipaddress
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from domain.errors import ErrorCode, TeikiError
from runtime.codec import KeyRing, PayloadUndecodableError, TeikiCodec
from runtime.lifecycle import mark_ready, run_service
from runtime.settings import Settings
from runtime.telemetry import configure_logging

_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""A page of history with many payloads; Temporal limits each to 2 MB."""

_ALLOWED_HEADERS: Final = "authorization, content-type, x-namespace"

_logger = logging.getLogger(__name__)


def codec_app(keys: KeyRing, *, origins: Sequence[str], token: str | None = None) -> web.Application:
    """The routes and `/health`; `origins` as browsers send them: scheme, host, port, no slash at the end."""
    codec = TeikiCodec(keys)
    middlewares = [_cors(frozenset(origins)), *([_bearer(token)] if token is not None else [])]
    app = web.Application(middlewares=middlewares, client_max_size=_MAX_BODY_BYTES)
    app.router.add_post("/decode", _translate(codec.decode))
    app.router.add_post("/encode", _translate(codec.encode))
    app.router.add_get("/health", _health)
    return app


def _cors(allowed: frozenset[str]) -> Middleware:
    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and origin not in allowed:
            _logger.warning(
                "a page from an origin that is not allowed asked for payloads", extra={"origin": origin}
            )
            return web.json_response({"error": "origin not allowed"}, status=403)
        response = web.Response(status=204) if request.method == "OPTIONS" else await handler(request)
        if origin is not None:
            response.headers.update(
                {
                    "Access-Control-Allow-Origin": origin,
                    "Access-Control-Allow-Methods": "POST, OPTIONS",
                    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                    "Access-Control-Allow-Credentials": "true",
                    "Access-Control-Max-Age": "600",
                    "Vary": "Origin",
                }
            )
        response.headers["Cache-Control"] = "no-store"
        return response

    return cors


def _bearer(token: str) -> Middleware:
    @web.middleware
    async def bearer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/health" and request.method != "OPTIONS":
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                return web.json_response({"error": "a bearer token is needed"}, status=401)
        return await handler(request)

    return bearer


def _translate(translate: Callable[[Sequence[Payload]], Awaitable[list[Payload]]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            payloads = json_format.Parse(await request.text(), Payloads())
        except (json_format.ParseError, UnicodeDecodeError):
            return web.json_response({"error": "the body is not Temporal's Payloads as JSON"}, status=400)
        try:
            answer = await translate(payloads.payloads)
        except PayloadUndecodableError as error:
            return web.json_response(error.as_json(), status=422)
        text = json_format.MessageToJson(Payloads(payloads=answer), indent=None)
        return web.Response(text=text, content_type="application/json")

    return handle


async def _health(_: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})


async def serve(
    app: web.Application, *, host: str, port: int, stop: asyncio.Event, settings: Settings
) -> None:
    """Listens until `stop` is set; with port 0 prints the port it got."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        if port == 0:
            print(json.dumps({"port": runner.addresses[0][1]}), flush=True)  # noqa: T201 - for who started us
        mark_ready(settings.ready_file)
        await stop.wait()
    finally:
        await runner.cleanup()


def check_exposure(host: str, *, allow_remote: bool, token: str | None, no_token: bool = False) -> None:
    """Refuses to show plaintext to a network by accident.

    Raises:
        TeikiError: `settings_invalid`.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return
    if not allow_remote:
        raise TeikiError(
            ErrorCode.SETTINGS_INVALID,
            f"The codec server shows plaintext and listens on loopback only; {host} needs --allow-remote.",
            host=host,
        )
    if token is None and not no_token:
        raise TeikiError(
            ErrorCode.SETTINGS_INVALID,
            "A codec server that others can reach needs a token: set TEIKI_CODEC_SERVER_TOKEN "
            "(or say --no-token when something in front of it decides who reaches it).",
            host=host,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.codec_server", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8234)
    parser.add_argument("--origin", action="append", default=[], help="an origin the Web UI is opened under")
    parser.add_argument("--allow-remote", action="store_true", help="listen beyond loopback; needs a token")
    parser.add_argument("--no-token", action="store_true", help="something in front decides who reaches it")
    given = parser.parse_args(arguments)

    async def service(stop: asyncio.Event) -> None:
        settings = Settings.load()
        configure_logging(settings.log_level, settings.log_format)
        token = settings.codec_server_token.get_secret_value() if settings.codec_server_token else None
        check_exposure(given.host, allow_remote=given.allow_remote, token=token, no_token=given.no_token)
        origins = [origin.rstrip("/") for origin in given.origin]
        app = codec_app(settings.keyring(), origins=origins, token=token)
        await serve(app, host=given.host, port=given.port, stop=stop, settings=settings)

    return run_service(service, name="codec server")


if __name__ == "__main__":
    sys.exit(main())
