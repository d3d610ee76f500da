"""The Standard Webhooks scheme: who signed this, and when (spec: customers.md §6).

HMAC-SHA256 over `id.timestamp.body`, several signatures in one header, several secrets while one is being replaced. The
public library `standardwebhooks` looks at the machine's clock and answers odd headers with odd exceptions; here the
clock is an argument and every refusal has a name. The library signs in our tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.errors import ErrorCode, TeikiError

REPLAY_WINDOW: Final = timedelta(minutes=5)
"""How far a timestamp may be from now, in both directions."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with, no secret
_SECRET_BYTES: Final = range(24, 65)
_SIGNATURES_MAX: Final = 20
_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_TIMESTAMP: Final = re.compile(r"\d{1,11}", re.ASCII)


def keys_of(secrets: Sequence[str]) -> tuple[bytes, ...]:
    """The keys in the secrets, each `whsec_` and the base64 of 24 to 64 bytes.

    Raises:
        TeikiError: `settings_invalid`; never shows a secret.
    """
    return tuple(_key(secret, place) for place, secret in enumerate(secrets, start=1))


def _key(secret: str, place: int) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise TeikiError(
            ErrorCode.SETTINGS_INVALID,
            f"Webhook secret number {place} is not {SECRET_PREFIX} and the base64 of 24 to 64 bytes.",
            setting="webhook_secrets",
        )
    return key


def verified_id(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], *, now: datetime) -> str:
    """The event's id, when somebody who has one of our keys signed this body within the replay window.

    Args:
        headers: with names in small letters.
        body: as it came, byte for byte.
        keys: any of them may have signed.
        now: the instant of the arrival.

    Raises:
        TeikiError: `webhook_refused`, with `why`: `headers`, `too_old`, `too_new` or `signature`.
    """
    event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not (_ID.fullmatch(event_id) and _TIMESTAMP.fullmatch(stamp) and given):
        raise refused("headers", "webhook-id, webhook-timestamp and webhook-signature are needed.")
    signed = f"{event_id}.{stamp}.".encode() + body
    wanted = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    # Every pair is compared: how long it takes tells nothing about where one fits.
    fits = [hmac.compare_digest(one, other) for one in _signatures(given) for other in wanted]
    if not any(fits):
        raise refused("signature", "No signature of ours fits this body.")
    age = now - datetime.fromtimestamp(int(stamp), UTC)
    if age > REPLAY_WINDOW:
        raise refused("too_old", "This was signed too long ago.")
    if age < -REPLAY_WINDOW:
        raise refused("too_new", "This was signed in the future.")
    return event_id


def _signatures(header: str) -> list[bytes]:
    """The `v1` signatures of a header; what is not understood is somebody else's scheme."""
    found = []
    for part in header.split(" ")[:_SIGNATURES_MAX]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def refused(why: str, message: str) -> TeikiError:
    """A webhook that is not taken in."""
    return TeikiError(ErrorCode.WEBHOOK_REFUSED, message, why=why)
