"""Every payload Temporal stores is encrypted, and as small as we can make it.

AES-256-GCM with a key ring: the first key encrypts, every key decrypts, so that keys rotate without a
migration (keep an old key for as long as histories under it exist). Bytes count, because a renewal may cost
1.5 KB of history (quality.md): metadata is one short entry, the key's id travels in the header, JSON is
wrapped in one byte instead of a protobuf message, and compressed with a preset dictionary when that wins.

    payload.metadata = {"encoding": b"aes-gcm"}
    payload.data     = header | nonce (12) | AES-GCM( marker | body ) | tag (16)
    header           = one byte (version << 4 | length of the key id) | key id
    marker           = compression << 3 | form

The encoding's name and the header are authenticated with the ciphertext. Payloads with another encoding pass
through `decode` unchanged, so that histories recorded without a codec stay readable; one of ours that cannot
be decrypted raises `PayloadUndecodableError`, never passes silently.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from domain.errors import ErrorCode, TeikiError
from runtime.codec_dictionary import CURRENT, DICTIONARIES

ENCODING: Final = b"aes-gcm"
"""What the Web UI shows as the encoding of a payload nobody decoded."""

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,15}")

# Forms: what the body is. Whole messages are rare (search attributes are never encoded, protobuf inputs
# not used).
_FORM_PROTOBUF, _FORM_JSON, _FORM_NULL = 0, 1, 2
_FORMS: Final = {_FORM_JSON: b"json/plain", _FORM_NULL: b"binary/null"}
_FORM_OF: Final = {encoding: form for form, encoding in _FORMS.items()}

# Compressions: 0 none, 1 raw deflate, n + 1 raw deflate with dictionary n.
_STORED, _DEFLATED = 0, 1
# A small window makes deflate's set-up cheap; a payload that does not fit into it with the dictionary gets
# the full one.
_SMALL_WINDOW_BITS, _FULL_WINDOW_BITS = 13, 15


class PayloadUndecodableError(TeikiError):
    """A payload of ours that this process cannot read: key missing, key wrong, or bytes changed."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(ErrorCode.SETTINGS_INVALID, message, **facts)


@dataclass(frozen=True)
class KeyRing:
    """The keys of this process: `primary` encrypts, every key decrypts."""

    primary: str
    _keys: dict[str, AESGCM] = field(repr=False)

    @classmethod
    def of(cls, keys: Iterable[tuple[str, bytes]]) -> Self:
        """A ring of (id, 32 bytes); the first is the primary.

        Raises:
            TeikiError: `settings_invalid` for no key, a bad id, a wrong length or an id given twice.
        """
        ring: dict[str, AESGCM] = {}
        for key_id, secret in keys:
            if not _KEY_ID.fullmatch(key_id):
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    "A codec key's id has 1 to 15 letters, digits, dots, dashes or underscores.",
                    setting="codec_keys",
                )
            if len(secret) != _KEY_BYTES:
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    f"Codec key {key_id!r} must be {_KEY_BYTES} bytes long, it has {len(secret)}.",
                    setting="codec_keys",
                    key_id=key_id,
                )
            if key_id in ring:
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    f"Codec key {key_id!r} is given twice.",
                    setting="codec_keys",
                    key_id=key_id,
                )
            ring[key_id] = AESGCM(secret)
        if not ring:
            raise TeikiError(ErrorCode.SETTINGS_INVALID, "No codec key is given.", setting="codec_keys")
        return cls(primary=next(iter(ring)), _keys=ring)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A ring from `id:base64,id2:base64` (commas or line breaks between keys).

        Raises:
            TeikiError: `settings_invalid`; the message never shows key material.
        """
        keys: list[tuple[str, bytes]] = []
        for position, entry in enumerate(filter(None, re.split(r"[,\s]+", text.strip())), start=1):
            key_id, colon, encoded = entry.partition(":")
            try:
                secret = base64.b64decode(
                    encoded, altchars=b"-_" if "-" in encoded or "_" in encoded else None, validate=True
                )
            except (binascii.Error, ValueError):
                secret = b""
            if not colon or not secret:
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    f"Codec key number {position} is not of the form id:base64.",
                    setting="codec_keys",
                )
            keys.append((key_id, secret))
        return cls.of(keys)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def encrypt(self, plaintext: bytes, *, context: bytes = ENCODING) -> bytes:
        """Header, nonce and ciphertext under the primary key; it opens only in the same context."""
        key_id = self.primary.encode()
        header = bytes([_VERSION << 4 | len(key_id)]) + key_id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._keys[self.primary].encrypt(nonce, plaintext, context + header)

    def decrypt(self, data: bytes, *, context: bytes = ENCODING) -> bytes:
        """The plaintext of `encrypt`, under whichever key the header names.

        Raises:
            PayloadUndecodableError: naming the key id.
        """
        if not data or data[0] >> 4 != _VERSION:
            raise PayloadUndecodableError("A payload has a format this version of Teiki does not know.")
        end = 1 + (data[0] & 0x0F)
        header, nonce = data[:end], data[end : end + _NONCE_BYTES]
        key_id = header[1:].decode("ascii", "replace")
        key = self._keys.get(key_id)
        if key is None:
            raise PayloadUndecodableError(
                f"A payload is encrypted with key {key_id!r}, which is not among this process's codec keys.",
                key_id=key_id,
                known_key_ids=list(self.ids),
            )
        try:
            return key.decrypt(nonce, data[end + _NONCE_BYTES :], context + header)
        except (InvalidTag, ValueError) as error:
            raise PayloadUndecodableError(
                f"A payload of key {key_id!r} does not decrypt: other key bytes, or the payload was changed.",
                key_id=key_id,
            ) from error


def new_key(key_id: str) -> str:
    """A fresh random key as `id:base64`, the form the settings take."""
    return f"{key_id}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"


def pack(payload: Payload) -> bytes:
    """The payload as marker and body, compressed when that is smaller."""
    form = _FORM_PROTOBUF
    if len(payload.metadata) == 1 and not payload.external_payloads:
        form = _FORM_OF.get(payload.metadata.get("encoding", b""), _FORM_PROTOBUF)
    body = payload.SerializeToString(deterministic=True) if form == _FORM_PROTOBUF else payload.data
    smallest, how = body, _STORED
    if len(body) > 4:  # a deflate stream of less than that never wins
        for candidate, zdict in ((CURRENT + 1, DICTIONARIES[CURRENT]), (_DEFLATED, None)):
            deflated = _deflate(body, zdict)
            if len(deflated) < len(smallest):
                smallest, how = deflated, candidate
            if len(body) < len(DICTIONARIES[CURRENT]):
                break  # for a short text the dictionary always wins: do not pay for the second try
    return bytes([how << 3 | form]) + smallest


def unpack(plain: bytes) -> Payload:
    """The payload `pack` was given.

    Raises:
        PayloadUndecodableError: for markers of a newer version.
    """
    if not plain:
        raise PayloadUndecodableError("A payload is empty inside.")
    how, form, body = plain[0] >> 3, plain[0] & 0x07, plain[1:]
    if how != _STORED:
        body = _inflate(body, how)
    if form == _FORM_PROTOBUF:
        try:
            return Payload.FromString(body)
        except DecodeError as error:
            raise PayloadUndecodableError("A payload's inner message cannot be parsed.") from error
    if form not in _FORMS:
        raise PayloadUndecodableError(
            f"A payload has form {form}, which this version of Teiki does not know."
        )
    return Payload(metadata={"encoding": _FORMS[form]}, data=body)


def _deflate(body: bytes, zdict: bytes | None) -> bytes:
    small = len(body) + len(zdict or b"") < (1 << _SMALL_WINDOW_BITS) - 512
    window = _SMALL_WINDOW_BITS if small else _FULL_WINDOW_BITS
    arguments = (9, zlib.DEFLATED, -window, 8, zlib.Z_DEFAULT_STRATEGY)
    deflater = zlib.compressobj(*arguments, zdict) if zdict is not None else zlib.compressobj(*arguments)
    return deflater.compress(body) + deflater.flush()


def _inflate(body: bytes, how: int) -> bytes:
    zdict = None if how == _DEFLATED else DICTIONARIES.get(how - 1)
    if how != _DEFLATED and zdict is None:
        raise PayloadUndecodableError(
            f"A payload needs dictionary {how - 1}, which this version of Teiki does not have."
        )
    inflater = (
        zlib.decompressobj(-_FULL_WINDOW_BITS)
        if zdict is None
        else zlib.decompressobj(-_FULL_WINDOW_BITS, zdict)
    )
    try:
        return inflater.decompress(body) + inflater.flush()
    except zlib.error as error:
        raise PayloadUndecodableError("A payload's compression is damaged.") from error


class TeikiCodec(PayloadCodec):
    """The codec of clients, workers, replayers and the codec server. Runs in line: tens of
    microseconds each.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypts each payload (also one that is encrypted already: the caller asked)."""
        return [
            Payload(metadata={"encoding": ENCODING}, data=self._keys.encrypt(pack(payload)))
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypts ours, hands back others unchanged.

        Raises:
            PayloadUndecodableError: one of ours that cannot be read.
        """
        return [
            unpack(self._keys.decrypt(payload.data))
            if payload.metadata.get("encoding") == ENCODING
            else payload
            for payload in payloads
        ]
