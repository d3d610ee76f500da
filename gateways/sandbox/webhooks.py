"""Webhooks out: what the sandbox tells its merchant, written in the transaction of the change.

While no receiver is registered nothing is written and nothing is drawn. With one, each change of a charge or refund is
one event; its faults (lost, late, twice, out of order, forged) are decided and logged here, so that `webhook_sender.py`
only delivers. An event may arrive before look-ups show what it tells of: receivers fetch back, and try again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from gateways.sandbox.book import Change
from gateways.sandbox.faults import Strike
from gateways.sandbox.refusal import invalid
from gateways.sandbox.schema import now_us, to_iso

RETRY_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
"""Pauses between the tries of one delivery; after the last it is given up. A stand-in has no three days' patience."""
OVERTAKING_SECONDS: Final = 2.0
"""How long an event waits to be overtaken (`webhook_reorder`) when no later one comes."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with, no secret
_SECRET_BYTES: Final = range(24, 65)
_RETRIES_MAX: Final = 50
_SECONDS_MAX: Final = 86_400.0
_KEYS: Final = frozenset({"url", "secret", "retry_seconds", "timeout_seconds"})

Choose = Callable[[Change], Sequence[Strike]]
Log = Callable[[Sequence[Strike], str, str], None]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events go. `secret` is `whsec_` and the base64 of 24 to 64 bytes, as Standard Webhooks has it."""

    url: str
    secret: str
    retry_seconds: tuple[float, ...] = RETRY_SECONDS
    timeout_seconds: float = 5.0

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def parse_receiver(raw: dict[str, Any]) -> Receiver:
    """The receiver a registration describes.

    Raises:
        Refusal: 422 `invalid_webhook`, saying which part is not understood.
    """
    if set(raw) - _KEYS:
        raise invalid(f"A receiver is {', '.join(sorted(_KEYS))}.", code="invalid_webhook")
    url, secret = raw.get("url"), raw.get("secret")
    parts = urlsplit(url) if isinstance(url, str) and url.isprintable() else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.netloc:
        raise invalid("`url` is an http or https address.", code="invalid_webhook")
    if not isinstance(secret, str) or secret_bytes(secret) is None:
        raise invalid(
            f"`secret` is {SECRET_PREFIX} and the base64 of 24 to 64 bytes.", code="invalid_webhook"
        )
    retries, timeout = raw.get("retry_seconds", RETRY_SECONDS), raw.get("timeout_seconds", 5.0)
    if (
        not isinstance(retries, list | tuple)
        or len(retries) > _RETRIES_MAX
        or not all(map(_seconds, retries))
    ):
        raise invalid(f"`retry_seconds` is a list of at most {_RETRIES_MAX} pauses.", code="invalid_webhook")
    if not _seconds(timeout) or not timeout:
        raise invalid("`timeout_seconds` is a number above 0.", code="invalid_webhook")
    assert isinstance(url, str)
    return Receiver(url, secret, tuple(float(pause) for pause in retries), float(timeout))


def secret_bytes(secret: str) -> bytes | None:
    """The key in a secret; None when it is none."""
    if not secret.startswith(SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return None
    return key if len(key) in _SECRET_BYTES else None


def sign(key: bytes, event_id: str, timestamp: int, body: str) -> str:
    """The `webhook-signature` of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`."""
    mac = hmac.new(key, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


class Outbox:
    """Writes deliveries inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, receiver: Receiver | None) -> None:
        self._db = db
        self.receiver = receiver
        self.on_written: Callable[[], None] = lambda: None
        """Called when something waits to be sent; the sender sets it."""

    def write(self, changes: Iterable[Change], choose: Choose, log: Log) -> None:
        """One event per change, as its faults will have it.

        Args:
            changes: what the book says has changed.
            choose: the faults that strike one change's event.
            log: writes fired faults: `(strikes, route, reference)`.
        """
        if self.receiver is None:
            return
        written = False
        for change in changes:
            strikes = choose(change)
            self._write(change, {strike.fault.name: strike for strike in strikes})
            if strikes:
                log(strikes, "webhook", change.record["reference"])
            written = True
        if written:
            self.on_written()

    def forget(self) -> None:
        """What waits for a receiver that is gone is given up."""
        self._db.execute("UPDATE webhook_deliveries SET state = 'given_up' WHERE state = 'waiting'")

    def counts(self) -> dict[str, int]:
        """Deliveries by state."""
        return dict(self._db.execute("SELECT state, count(*) FROM webhook_deliveries GROUP BY 1").fetchall())

    def _write(self, change: Change, struck: dict[str, Strike]) -> None:
        made = now_us()
        event = _Event(change.kind, change.record, made)
        late, overtaken = struck.get("webhook_delay"), "webhook_reorder" in struck
        wait = (late.fault.seconds if late else 0.0) + (OVERTAKING_SECONDS if overtaken else 0.0)
        state = "lost" if "webhook_lose" in struck else "waiting"
        for _ in range(2 if "webhook_duplicate" in struck else 1):
            self._insert(event, state=state, overtaken=overtaken, due=made + int(wait * 1_000_000))
        if "webhook_forge" in struck:
            self._insert(_false(change, made), forged=True, due=made)

    def _insert(
        self,
        event: _Event,
        *,
        due: int,
        state: str = "waiting",
        overtaken: bool = False,
        forged: bool = False,
    ) -> None:
        self._db.execute(
            "INSERT INTO webhook_deliveries"
            " (event_id, kind, reference, body, forged, overtaken, state, made_us, next_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.id,
                event.kind,
                event.record["reference"],
                event.body(),
                forged,
                overtaken,
                state,
                event.made,
                due,
            ),
        )


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    record: dict[str, Any]
    made: int
    id: str = field(default_factory=lambda: f"evt_{secrets.token_hex(12)}")

    def body(self) -> str:
        told = {"type": self.kind, "timestamp": to_iso(self.made), "data": self.record}
        return json.dumps(told, separators=(",", ":"))


def _false(change: Change, made: int) -> _Event:
    """Somebody else's event about the same record: good news that is not true."""
    amount = change.record["amount"]
    lie = {
        "state": "settled",
        "decline": None,
        "deposit": None,
        "amount": {**amount, "minor": amount["minor"] * 10},
    }
    return _Event(f"{change.record['kind']}.settled", change.record | lie, made)


def receiver_of(stored: dict[str, Any] | None) -> Receiver | None:
    """The registration an earlier run left.

    Raises:
        Refusal: it is not understood.
    """
    return None if stored is None or stored.get("url") is None else parse_receiver(stored)


def _seconds(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= _SECONDS_MAX
