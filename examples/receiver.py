"""A merchant's end of the notifications: verifies, answers at once, and does each thing once.

    ENDPOINT_SECRET=whsec_… python examples/receiver.py --port 8900 --database received.db

Three rules are all of it. Verify the bytes as they came, before anything reads them. Remember the `webhook-id` in the
same transaction as what you do: the same notification comes again whenever an answer was lost. Answer 2xx only when
that transaction is committed; whatever else you answer, it is sent again.

`ENDPOINT_SECRET` may hold two secrets separated by a space, for the day of a rotation.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Sequence

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

BODY_BYTES_MAX = 256 * 1024


class Receiver:
    """`secrets`: any of them may have signed. `database`: a file of SQLite."""

    def __init__(self, secrets: Sequence[str], database: str) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._db = sqlite3.connect(database)
        self._db.execute("CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY, type TEXT, data TEXT)")

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/notifications", self.take)
        return app

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._is_genuine(body, dict(request.headers)):
            return web.Response(status=401)
        notification = json.loads(body)
        with self._db:  # one transaction: the id, and what it brought about
            new = self._db.execute(
                "INSERT INTO received VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (request.headers["webhook-id"], notification["type"], json.dumps(notification["data"])),
            )
            if new.rowcount:
                self._act(notification["type"], notification["data"])
        return web.Response(status=204)

    def _act(self, kind: str, data: dict[str, object]) -> None:
        """Your business. `data` names the object; ask Teiki when you need more than it says."""
        print(kind, json.dumps(data, ensure_ascii=False, sort_keys=True), flush=True)  # noqa: T201

    def _is_genuine(self, body: bytes, headers: dict[str, str]) -> bool:
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):  # also what is no signature, and no text
                continue
            return True
        return False


def main() -> int:
    asked = argparse.ArgumentParser(description="Receives Teiki's notifications on loopback.")
    asked.add_argument("--port", type=int, default=8900)
    asked.add_argument("--database", default="received.db")
    given = asked.parse_args()
    secrets = os.environ.get("ENDPOINT_SECRET", "").split()
    if not secrets:
        print("Set ENDPOINT_SECRET to what `teiki endpoint add` showed.", file=sys.stderr)  # noqa: T201
        return 2
    web.run_app(Receiver(secrets, given.database).app(), host="127.0.0.1", port=given.port, print=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
