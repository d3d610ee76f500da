"""Sealing a password until the worker needs it: AES-256-GCM under keys that only Teiki's processes have.

The same key ring as the payloads' codec, with other keys, and bound to one export: a sealed password that is copied to
another export's row does not open (docs/security.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.codec import KeyRing


@dataclass(frozen=True)
class Sealer:
    """Seals with the first key of the ring, opens with any."""

    keys: KeyRing

    def seal(self, password: str, export_id: str) -> bytes:
        return self.keys.encrypt(password.encode("utf-8", "surrogatepass"), context=_context(export_id))

    def unseal(self, sealed: bytes, export_id: str) -> str:
        """The password.

        Raises:
            PayloadUndecodableError: a TeikiError naming the key's id; never the content.
        """
        return self.keys.decrypt(sealed, context=_context(export_id)).decode("utf-8", "surrogatepass")


def _context(export_id: str) -> bytes:
    return b"export-password:" + export_id.encode()
