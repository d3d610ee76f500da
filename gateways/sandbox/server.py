"""The sandbox's server: puts book, desk and routes together and lives until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateways.sandbox.api import Api
from gateways.sandbox.audit import Audit
from gateways.sandbox.book import Book
from gateways.sandbox.card_form import CardForms
from gateways.sandbox.cards import Cards
from gateways.sandbox.control import Control, load_setting, save_setting
from gateways.sandbox.desk import Desk
from gateways.sandbox.disputes import Disputes
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.keys import KEY_TTL_SECONDS, KeyBook, parse_mode
from gateways.sandbox.konbini import Konbini
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.remittance import Remittances, parse_remittances
from gateways.sandbox.schema import open_database, transaction
from gateways.sandbox.slips import Slips
from gateways.sandbox.webhook_sender import WebhookSender
from gateways.sandbox.webhooks import Outbox, Receiver, parse_receiver, receiver_of

_log = logging.getLogger(__name__)

_BODY_MAX_BYTES = 256 * 1024
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. What is given here of `idempotency`, `key_ttl_seconds` and webhooks wins over what an earlier run was
    switched to.
    """

    database: str
    host: str = "127.0.0.1"
    port: int = 0
    idempotency: str | None = None
    key_ttl_seconds: float | None = None
    seed: int = 0
    webhook_url: str | None = None
    webhook_secrets_file: str | None = None
    stop_with_stdin: bool = False


def make_app(db: sqlite3.Connection, options: Options) -> web.Application:
    """The application over an open database, with the settings an earlier run left in it.

    Raises:
        Refusal: the options or the stored settings are not understood.
    """
    keys = KeyBook(db, seed=options.seed)
    stored = load_setting(db, "idempotency") or {"mode": "strict", "key_ttl_seconds": KEY_TTL_SECONDS}
    keys.mode = parse_mode(options.idempotency or stored["mode"])
    ttl = options.key_ttl_seconds
    keys.ttl_seconds = float(stored["key_ttl_seconds"] if ttl is None else ttl)
    book = Book(db)
    cards = Cards(db, book)
    outbox = Outbox(db, _receiver(db, options))
    remittances = parse_remittances(load_setting(db, "remittances") or {}, Remittances())
    desk = Desk(db, book, cards, keys, _stored_plan(db, options.seed), outbox, remittances)
    sender = WebhookSender(db, outbox)

    async def deliver(_: web.Application) -> AsyncIterator[None]:
        sender.start()
        yield
        await sender.stop()

    app = web.Application(middlewares=[_refusals_are_answers], client_max_size=_BODY_MAX_BYTES)
    app.cleanup_ctx.append(deliver)
    app.router.add_get("/health", _health)
    konbini = Konbini(book, Slips(db, book), desk)
    merchants = (Api(db, book, cards, desk), konbini, Disputes(book, desk), CardForms(db))
    rooms = (*merchants, Control(db, desk, sender), Audit(db))
    app.add_routes([route for room in rooms for route in room.routes()])
    return app


async def serve(options: Options) -> None:
    """Answer until SIGTERM or SIGINT. Prints `{"port": N}` on standard output when it is ready."""
    db = open_database(options.database)
    runner = web.AppRunner(
        make_app(db, options), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handle_signals=False
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, options.host, options.port, backlog=512).start()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if options.stop_with_stdin:
            # The parent holds our standard input; when the parent is gone, so are we.
            loop.add_reader(sys.stdin.fileno(), stop.set)
        sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()
        db.close()


def _receiver(db: sqlite3.Connection, options: Options) -> Receiver | None:
    if options.webhook_url is None:
        return receiver_of(load_setting(db, "webhooks"))
    secrets = (
        Path(options.webhook_secrets_file).read_text(encoding="utf-8") if options.webhook_secrets_file else ""
    )
    receiver = parse_receiver({"url": options.webhook_url, "secret": next(iter(secrets.split()), "")})
    with transaction(db):
        save_setting(db, "webhooks", receiver.stored())
    return receiver


def _stored_plan(db: sqlite3.Connection, seed: int) -> FaultPlan:
    stored = load_setting(db, "fault_plan")
    if stored is None:
        return FaultPlan(seed=seed)
    fired = dict(
        db.execute(
            "SELECT rule, count(*) FROM fired_faults WHERE serial = ? AND rule IS NOT NULL GROUP BY rule",
            (stored["serial"],),
        ).fetchall()
    )
    return FaultPlan(seed=stored["seed"], raw_rules=stored["rules"], serial=stored["serial"], fired=fired)


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


@web.middleware
async def _refusals_are_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return web.json_response(refusal.body(), status=refusal.status)
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001 - answered, logged whole, and never taken for a success
        # The last line of defence: the caller gets an honest 500, the log the whole story (never the body).
        _log.exception("the sandbox could not answer %s %s", request.method, request.match_info.route.name)
        return web.json_response(
            Refusal(500, "server_error", "The sandbox itself failed; see its log.").body(), status=500
        )
