"""Encryption as Excel knows it: a password is needed to open the file (ECMA-376 agile; spec: exports.md)."""

from __future__ import annotations

from typing import BinaryIO


class EncryptedSink:
    """Takes a package's bytes and writes the encrypted file; `close` finishes it and leaves `target` open.

    `target` is opened for writing *and* reading ("w+b") and can seek: sizes are patched at the end and the integrity
    value is computed from what was written. Only ciphertext reaches it.
    """

    def __init__(self, target: BinaryIO, password: str) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> int:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def require_password(password: str) -> list[str]:
    """The warnings about a password: `password_longer_than_255` or none.

    Raises:
        TeikiError: `password_empty`; such a file could be written but never opened.
    """
    raise NotImplementedError
