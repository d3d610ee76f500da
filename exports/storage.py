"""Where finished workbooks lie until their time is over: a directory, or a bucket (`object_storage.py`).

A file is written under a temporary name and gets its own when it is whole, so that what has a name can be opened.
Names are random, made here, and say nothing. Whoever writes a name into the books before he writes the file can find
and remove whatever a crash left of it (reference: gateways_safety_ux.md C5).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

CHUNK_BYTES: Final = 1 << 18
_PART, _WHOLE = ".part", ".xlsx"
_NAME: Final = re.compile(r"[0-9a-f]{64}")


class FileGoneError(Exception):
    """There is no whole file of this name (any more)."""


class Storage(Protocol):
    """A place for files. Blocking: call it from a thread."""

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A new file, for writing and reading ("w+b"); whole at the block's end, nothing at all when it fails."""
        ...

    def size(self, name: str) -> int:
        """Bytes of a whole file; `FileGoneError` when there is none."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """A whole file in pieces; `FileGoneError` when there is none, at the latest instead of the first piece."""
        ...

    def remove(self, name: str) -> None:
        """Leave nothing of this name behind, neither whole nor begun; harmless when there is nothing."""
        ...

    def names(self) -> Iterator[str]:
        """Of everything that lies there, also of what was only begun."""
        ...


def new_name() -> str:
    """256 random bits."""
    return secrets.token_hex(32)


class DirectoryStorage:
    """A directory of our own (0700) with files of our own (0600). One directory belongs to one database."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path(name, _PART)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w+b", buffering=CHUNK_BYTES) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._path(name, _WHOLE))
            self._sync()
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def size(self, name: str) -> int:
        try:
            return self._path(name, _WHOLE).stat().st_size
        except FileNotFoundError as error:
            raise FileGoneError(name) from error

    def read(self, name: str) -> Iterator[bytes]:
        self.size(name)  # gone already: said now, not at the first piece
        return self._pieces(name)

    def remove(self, name: str) -> None:
        for ending in (_PART, _WHOLE):
            self._path(name, ending).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        if not self._directory.is_dir():
            return
        found = {path.stem for path in self._directory.iterdir() if path.suffix in (_PART, _WHOLE)}
        yield from (name for name in found if _NAME.fullmatch(name))

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            file = self._path(name, _WHOLE).open("rb")
        except FileNotFoundError as error:
            raise FileGoneError(name) from error
        with file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def _path(self, name: str, ending: str) -> Path:
        assert _NAME.fullmatch(name), "a name made here"
        return self._directory / f"{name}{ending}"

    def _sync(self) -> None:
        """Make the new name survive a power cut."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
