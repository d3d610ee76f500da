"""The compound file around an encrypted package: a file system in a file, as Office expects it (MS-CFB 3).

The one large stream is written first, as it comes, from the file's 513th byte on; what describes it (allocation table,
directory, header) follows when its size is known. Streams below 4,096 bytes live in the "mini stream", which readers
insist on; a package that small is therefore given to `finish` instead of being streamed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import pack
from typing import BinaryIO, Final

SECTOR: Final = 512
MINI_SECTOR: Final = 64
MINI_STREAM_BELOW: Final = 4096
STREAM_MAX: Final = 2**31 - 2**26
"""Version 3 ends at two gigabytes, tables included."""

_FREE, _END, _FAT, _DIFAT, _NOBODY = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFF
_READ_BACK: Final = 2**20
_NUMBERS: Final = SECTOR // 4
_IN_HEADER: Final = 109
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_RED, _BLACK = 0, 1

Small = Mapping[str, "bytes | Small"]
"""Names → content of small streams, or storages of such."""


@dataclass
class _Entry:
    """A line of the directory."""

    name: str
    kind: int
    start: int = 0
    size: int = 0
    colour: int = _BLACK
    left: int = _NOBODY
    right: int = _NOBODY
    child: int = _NOBODY

    def packed(self) -> bytes:
        name = self.name.encode("utf-16-le")
        head = name.ljust(64, b"\0") + pack("<HBB", len(name) + 2, self.kind, self.colour)
        return head + pack("<III36xIQ", self.left, self.right, self.child, self.start, self.size)


@dataclass
class _Directory:
    """Entries in the order of their numbers, and the mini stream that the small ones share."""

    entries: list[_Entry] = field(default_factory=lambda: [_Entry("Root Entry", _ROOT)])
    mini: bytearray = field(default_factory=bytearray)
    mini_table: array[int] = field(default_factory=lambda: array("I"))

    def fill(self, small: Small, *others: _Entry) -> int:
        """Add a storage's content; the number of the entry at the top of its tree."""
        found = list(others)
        for name, content in small.items():
            if isinstance(content, bytes):
                found.append(_Entry(name, _STREAM, self._keep(content), len(content)))
            else:
                found.append(_Entry(name, _STORAGE, child=self.fill(content)))
        found.sort(key=lambda entry: (len(entry.name), entry.name.upper()))
        first = len(self.entries)
        self.entries += found
        return self._tree(first, first + len(found), depth=0, deepest=len(found).bit_length() - 1)

    def _tree(self, low: int, high: int, *, depth: int, deepest: int) -> int:
        """Make a balanced red-black tree of the sorted entries from low to high."""
        if low == high:
            return _NOBODY
        middle = (low + high) // 2
        entry = self.entries[middle]
        entry.colour = _RED if depth == deepest and depth > 0 else _BLACK
        entry.left = self._tree(low, middle, depth=depth + 1, deepest=deepest)
        entry.right = self._tree(middle + 1, high, depth=depth + 1, deepest=deepest)
        return middle

    def _keep(self, content: bytes) -> int:
        start = len(self.mini_table)
        sectors = -(-len(content) // MINI_SECTOR)
        self.mini += content.ljust(sectors * MINI_SECTOR, b"\0")
        self.mini_table.extend(_chain(start, sectors))
        return start


class CompoundFile:
    """Writes at the start of an empty `target` that can seek."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._size = 0
        target.write(bytes(SECTOR))  # the header's place

    def append(self, data: bytes) -> None:
        """More of the large stream."""
        self._size += len(data)
        self._target.write(data)

    def overwrite_start(self, data: bytes) -> None:
        """Replace the large stream's first bytes; `read_back` comes next."""
        self._target.seek(SECTOR)
        self._target.write(data)

    def read_back(self) -> Iterator[bytes]:
        """The large stream as it was written, to its end."""
        self._target.seek(SECTOR)
        left = self._size
        while left:
            piece = self._target.read(min(left, _READ_BACK))
            if not piece:
                raise OSError("what was written cannot be read back")
            left -= len(piece)
            yield piece

    def finish(self, large: str, small: Small) -> None:
        """Describe the large stream by this name, unless nothing was appended, and add the small ones."""
        directory = _Directory()
        package = [_Entry(large, _STREAM, 0, self._size)] if self._size else []
        directory.entries[0].child = directory.fill(small, *package)
        self._target.write(bytes(-self._size % SECTOR))

        table = array("I")
        table.extend(_chain(0, -(-self._size // SECTOR)))
        root = directory.entries[0]
        root.start, root.size = self._add(table, bytes(directory.mini)), len(directory.mini)
        mini_table_at = self._add(table, _sectors_of(directory.mini_table))
        mini_table_sectors = len(table) - mini_table_at
        unused = _Entry("", 0).packed()[:64] + pack("<HBBIII52x", 0, 0, 0, _NOBODY, _NOBODY, _NOBODY)
        lines = [entry.packed() for entry in directory.entries]
        lines += [unused] * (-len(lines) % (SECTOR // 128))
        directory_at = self._add(table, b"".join(lines))
        tables, chapters = self._add_table(table)
        numbers = tables[:_IN_HEADER]
        self._target.seek(0)
        self._target.write(
            bytes.fromhex("d0cf11e0a1b11ae1")
            + bytes(16)
            + pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
            + pack("<IIIII", 0, len(tables), directory_at, 0, MINI_STREAM_BELOW)
            + pack(
                "<IIII", mini_table_at, mini_table_sectors, chapters[0] if chapters else _END, len(chapters)
            )
            + array("I", [*numbers, *[_FREE] * (_IN_HEADER - len(numbers))]).tobytes()
        )

    def _add(self, table: array[int], content: bytes) -> int:
        """Write a stream into the next sectors; the number of the first."""
        at = len(table)
        sectors = -(-len(content) // SECTOR)
        self._target.write(content.ljust(sectors * SECTOR, b"\0"))
        table.extend(_chain(at, sectors))
        return at

    def _add_table(self, table: array[int]) -> tuple[range, range]:
        """Write the allocation table, and the list of its sectors as far as the header has no room for it."""
        sectors, chapters = 0, 0
        while sectors * _NUMBERS < len(table) + sectors + chapters:
            sectors = -(-(len(table) + sectors + chapters) // _NUMBERS)
            chapters = -(-max(0, sectors - _IN_HEADER) // (_NUMBERS - 1))
        tables = range(len(table), len(table) + sectors)
        listed = range(tables.stop, tables.stop + chapters)
        table.extend([_FAT] * sectors + [_DIFAT] * chapters)
        self._target.write(_sectors_of(table))
        rest = list(tables[_IN_HEADER:])
        for chapter in listed:
            part, rest = rest[: _NUMBERS - 1], rest[_NUMBERS - 1 :]
            part += [_FREE] * (_NUMBERS - 1 - len(part)) + [chapter + 1 if rest else _END]
            self._target.write(array("I", part).tobytes())
        return tables, listed


def _chain(start: int, sectors: int) -> Iterable[int]:
    """Each sector's successor: they follow one another."""
    if sectors:
        yield from range(start + 1, start + sectors)
        yield _END


def _sectors_of(numbers: array[int]) -> bytes:
    free = [_FREE] * (-len(numbers) % _NUMBERS)
    return (numbers + array("I", free)).tobytes()
