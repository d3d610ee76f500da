"""The zip around a workbook's parts, written straight through: no seeking, no temporary file, the same bytes each time.

Sizes follow each part as a data descriptor, and nothing needs ZIP64, which Excel reads in some shapes only: a part and
the whole stay below four gigabytes (APPNOTE.TXT 4.3).
"""

from __future__ import annotations

from struct import pack
from typing import Final, Protocol

from isal import isal_zlib

from domain.errors import ErrorCode, TeikiError

BYTES_MAX: Final = 2**32 - 2**20
_DEFLATED: Final = 8
_SIZES_FOLLOW: Final = 1 << 3
_NEW_YEAR_1980: Final = (1 << 5) | 1
_VERSION: Final = 20


class Sink(Protocol):
    """Where bytes go: an open file, a socket's file, an `EncryptedSink`."""

    def write(self, data: bytes, /) -> object: ...


class Package:
    """One part is open at a time; opening the next one ends it."""

    def __init__(self, sink: Sink, *, at_most: int = BYTES_MAX) -> None:
        self._sink = sink
        self._at_most = at_most
        self._offset = 0
        self._name = b""
        self._directory: list[bytes] = []
        self.part_size = 0
        """Bytes of the open part, before compression."""

    def open(self, name: str) -> None:
        self._end_part()
        self._name, self.part_size, self._crc, self._start = name.encode("ascii"), 0, 0, self._offset
        self._deflate = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
        header = pack(
            "<HHHHHIIIHH", _VERSION, _SIZES_FOLLOW, _DEFLATED, 0, _NEW_YEAR_1980, 0, 0, 0, len(self._name), 0
        )
        self._put(b"PK\x03\x04" + header + self._name)
        self._data_starts = self._offset

    def write(self, data: bytes) -> None:
        self._crc = isal_zlib.crc32(data, self._crc)
        self.part_size += len(data)
        self._put(self._deflate.compress(data))

    def part(self, name: str, text: str) -> None:
        """A small part at once."""
        self.open(name)
        self.write(text.encode())

    def close(self) -> None:
        self._end_part()
        start, parts = self._offset, len(self._directory)
        directory = b"".join(self._directory)
        self._put(directory)
        self._put(b"PK\x05\x06" + pack("<HHHHIIH", 0, 0, parts, parts, len(directory), start, 0))

    def _end_part(self) -> None:
        if not self._name:
            return
        self._put(self._deflate.flush())
        sums = pack("<III", self._crc, self._offset - self._data_starts, self.part_size)
        self._put(b"PK\x07\x08" + sums)
        about = pack("<HHHHHH", _VERSION, _VERSION, _SIZES_FOLLOW, _DEFLATED, 0, _NEW_YEAR_1980)
        place = pack("<HHHHHII", len(self._name), 0, 0, 0, 0, 0, self._start)
        self._directory.append(b"PK\x01\x02" + about + sums + place + self._name)
        self._name = b""

    def _put(self, data: bytes) -> None:
        self._offset += len(data)
        if self._offset > self._at_most:
            raise TeikiError(ErrorCode.EXPORT_TOO_LARGE, "The workbook would be larger than 4 GB.")
        if data:
            self._sink.write(data)
