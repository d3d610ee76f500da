"""Sealing a secret until the worker needs it: AES-256-GCM under keys that only Teiki's processes have.

The same key ring as the payloads' codec, with other keys, and bound to what it belongs to: a sealed password that is
copied to another export's row, or a signing secret that is copied to another endpoint's, does not open
(docs/security.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.codec import KeyRing


@dataclass(frozen=True)
class Sealer:
    """Seals with the first key of the ring, opens with any. `purpose` keeps one kind of secret from another."""

    keys: KeyRing
    purpose: str = "export-password"

    def seal(self, secret: str, owner_id: str) -> bytes:
        return self.keys.encrypt(secret.encode("utf-8", "surrogatepass"), context=self._context(owner_id))

    def unseal(self, sealed: bytes, owner_id: str) -> str:
        """The secret.

        Raises:
            PayloadUndecodableError: a TeikiError naming the key's id; never the content.
        """
        return self.keys.decrypt(sealed, context=self._context(owner_id)).decode("utf-8", "surrogatepass")

    def _context(self, owner_id: str) -> bytes:
        return f"{self.purpose}:{owner_id}".encode()


ENDPOINT_SECRET = "endpoint-secret"  # noqa: S105 - a purpose, no secret
"""The purpose of what an endpoint's notifications are signed with."""
