"""Encryption as Excel knows it: a password is needed to open the file (MS-OFFCRYPTO "agile"; spec: exports.md).

AES-256-CBC in segments of 4,096 bytes under a random key; the key is wrapped by 100,000 rounds of SHA-512 over the
password; an HMAC over the ciphertext shows that nobody touched it. Segments are encrypted as they come: memory stays
flat, and nothing but ciphertext ever reaches the target.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from hashlib import sha512
from struct import pack
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from domain.errors import ErrorCode, TeikiError
from exports.compound import MINI_STREAM_BELOW, STREAM_MAX, CompoundFile, Small

EXCEL_PASSWORD_MAX: Final = 255
"""Characters that Excel's own dialog takes."""
SPIN_COUNT: Final = 100_000
SEGMENT: Final = 4096

_AT_ONCE: Final = 16 * SEGMENT
_BLOCK: Final = 16
_SCHEMAS: Final = "http://schemas.microsoft.com/office/2006"
_ALGORITHMS: Final = (
    'saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" '
    'cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512"'
)

# What each derived key is for (MS-OFFCRYPTO 2.3.4.11 to 2.3.4.14).
_VERIFIER_INPUT: Final = bytes.fromhex("fea7d2763b4b9e79")
_VERIFIER_VALUE: Final = bytes.fromhex("d7aa0f6d3061344e")
_WRAPPED_KEY: Final = bytes.fromhex("146e0be7abacd0d6")
_HMAC_KEY: Final = bytes.fromhex("5fb2ad010cb9e1f6")
_HMAC_VALUE: Final = bytes.fromhex("a0677f02b22c8433")


def require_password(password: str) -> list[str]:
    """The warnings about a password: `password_longer_than_255` or none. It is taken as typed, spaces and all.

    Raises:
        TeikiError: `password_empty`; such a file could be written but never opened.
    """
    if not password:
        raise TeikiError(
            ErrorCode.PASSWORD_EMPTY,
            "An empty password makes a file that nobody can open; leave it out instead.",
        )
    units = len(password.encode("utf-16-le", "surrogatepass")) // 2
    return ["password_longer_than_255"] if units > EXCEL_PASSWORD_MAX else []


class EncryptedSink:
    """Takes a package's bytes and writes the encrypted file; `close` finishes it and leaves `target` open.

    `target` is empty and opened for writing *and* reading ("w+b"): the size is patched in at the end, and the integrity
    value is computed from what was written, because it begins with that size.

    Raises:
        TeikiError: `password_empty`; `export_too_large` when the file would pass two gigabytes.
    """

    def __init__(self, target: BinaryIO, password: str) -> None:
        require_password(password)
        if not (target.readable() and target.seekable()):
            raise ValueError("the target must be opened for writing and reading")
        self._target = target
        self._key = secrets.token_bytes(32)
        self._salt = secrets.token_bytes(16)
        self._wrapped = _wrapped_key(self._key, password)
        self._compound = CompoundFile(target)
        self._waiting = bytearray()
        self._segments = 0
        self._size = 0

    def write(self, data: bytes) -> int:
        if self._size + len(data) > STREAM_MAX:
            raise TeikiError(ErrorCode.EXPORT_TOO_LARGE, "An encrypted workbook cannot be larger than 2 GB.")
        self._size += len(data)
        self._waiting += data
        if len(self._waiting) >= _AT_ONCE:
            whole = len(self._waiting) // SEGMENT * SEGMENT
            self._stream(bytes(self._waiting[:whole]))
            del self._waiting[:whole]
        return len(data)

    def close(self) -> None:
        """Finish the file; once. Without it the file cannot be opened, and so a half-written one never is."""
        size = pack("<Q", self._size)
        secret = secrets.token_bytes(64)
        mac = hmac.new(secret, digestmod=sha512)
        small: dict[str, bytes | Small] = {"\x06DataSpaces": _DATA_SPACES}
        if len(size) + self._size + -self._size % _BLOCK < MINI_STREAM_BELOW:
            package = small["EncryptedPackage"] = size + self._encrypted(bytes(self._waiting))
            mac.update(package)
        else:
            self._stream(bytes(self._waiting))
            self._compound.overwrite_start(size)
            for piece in self._compound.read_back():
                mac.update(piece)
        small["EncryptionInfo"] = self._description(secret, mac.digest())
        self._compound.finish("EncryptedPackage", small)

    def _stream(self, data: bytes) -> None:
        if self._segments == 0:
            self._compound.append(bytes(8))  # the size's place
        self._compound.append(self._encrypted(data))

    def _encrypted(self, data: bytes) -> bytes:
        """Whole segments, or the last one: each begins afresh from its number."""
        pieces = []
        for start in range(0, len(data), SEGMENT):
            vector = sha512(self._salt + pack("<I", self._segments)).digest()[:_BLOCK]
            pieces.append(_aes(self._key, vector, data[start : start + SEGMENT]))
            self._segments += 1
        return b"".join(pieces)

    def _description(self, mac_key: bytes, mac: bytes) -> bytes:
        """The stream "EncryptionInfo": version 4.4, then what a reader with the password needs, in XML."""

        def sealed(content: bytes, purpose: bytes) -> str:
            vector = sha512(self._salt + purpose).digest()[:_BLOCK]
            return _base64(_aes(self._key, vector, content))

        return pack("<HHI", 4, 4, 0x40) + (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'
            f'<encryption xmlns="{_SCHEMAS}/encryption" xmlns:p="{_SCHEMAS}/keyEncryptor/password" '
            f'xmlns:c="{_SCHEMAS}/keyEncryptor/certificate">'
            f'<keyData {_ALGORITHMS} saltValue="{_base64(self._salt)}"/>'
            f'<dataIntegrity encryptedHmacKey="{sealed(mac_key, _HMAC_KEY)}" '
            f'encryptedHmacValue="{sealed(mac, _HMAC_VALUE)}"/>'
            f'<keyEncryptors><keyEncryptor uri="{_SCHEMAS}/keyEncryptor/password">'
            f'<p:encryptedKey spinCount="{SPIN_COUNT}" {_ALGORITHMS} {self._wrapped}/>'
            "</keyEncryptor></keyEncryptors></encryption>"
        ).encode("ascii")


def _wrapped_key(key: bytes, password: str) -> str:
    """The attributes by which a reader tells the right password and unwraps the key."""
    salt, verifier = secrets.token_bytes(_BLOCK), secrets.token_bytes(_BLOCK)
    spun = sha512(salt + password.encode("utf-16-le", "surrogatepass")).digest()
    for turn in range(SPIN_COUNT):
        spun = sha512(pack("<I", turn) + spun).digest()

    def sealed(content: bytes, purpose: bytes) -> str:
        return _base64(_aes(sha512(spun + purpose).digest()[:32], salt, content))

    return (
        f'saltValue="{_base64(salt)}" encryptedVerifierHashInput="{sealed(verifier, _VERIFIER_INPUT)}" '
        f'encryptedVerifierHashValue="{sealed(sha512(verifier).digest(), _VERIFIER_VALUE)}" '
        f'encryptedKeyValue="{sealed(key, _WRAPPED_KEY)}"'
    )


def _aes(key: bytes, vector: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(data + bytes(-len(data) % _BLOCK)) + encryptor.finalize()


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _counted(text: str) -> bytes:
    """UNICODE-LP-P4: the length in bytes, UTF-16, filled up to four."""
    data = text.encode("utf-16-le")
    return pack("<I", len(data)) + data + bytes(-len(data) % 4)


_VERSIONS: Final = pack("<HHHHHH", 1, 0, 1, 0, 1, 0)
_TRANSFORM: Final = pack("<I", 1) + _counted("{FF9A3F03-56EF-4613-BDD5-5A41C1D07246}")
_MAPPED: Final = pack("<II", 1, 0) + _counted("EncryptedPackage") + _counted("StrongEncryptionDataSpace")
_DATA_SPACES: Final[
    Small
] = {  # says that the package is encrypted; the same in every file (MS-OFFCRYPTO 2.1)
    "Version": _counted("Microsoft.Container.DataSpaces") + _VERSIONS,
    "DataSpaceMap": pack("<III", 8, 1, len(_MAPPED) + 4) + _MAPPED,
    "DataSpaceInfo": {"StrongEncryptionDataSpace": pack("<II", 8, 1) + _counted("StrongEncryptionTransform")},
    "TransformInfo": {
        "StrongEncryptionTransform": {
            "\x06Primary": pack("<I", len(_TRANSFORM) + 4)
            + _TRANSFORM
            + _counted("Microsoft.Container.EncryptionTransform")
            + _VERSIONS
            + pack("<IIII", 0, 0, 0, 4),
        }
    },
}
