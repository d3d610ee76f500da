"""Workbooks in a bucket (S3 or what speaks like it), through obstore.

A file grows in a spool directory of this machine, because encryption goes back to patch sizes, and is uploaded when it
is whole: what is listed in the bucket can be opened. Address and credentials come from the usual AWS_* variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self

import obstore
from obstore.store import ObjectStore, S3Store

from exports.storage import CHUNK_BYTES, DirectoryStorage, FileGoneError

_ENDING: Final = ".xlsx"
_PIECE_BYTES: Final = 8 * 2**20


@dataclass(frozen=True)
class ObjectStorage:
    """A prefix of a bucket. One prefix belongs to one database."""

    store: ObjectStore
    spool: DirectoryStorage

    @classmethod
    def at(cls, address: str, *, spool: DirectoryStorage, **config: Any) -> Self:
        """`s3://bucket/prefix`; `config` is obstore's (`endpoint`, `region`, …) and wins over AWS_* variables."""
        return cls(S3Store.from_url(address, **config), spool)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        try:
            with self.spool.writing(name) as file:
                yield file
            obstore.put(
                self.store, name + _ENDING, self.spool.read(name), use_multipart=True, chunk_size=_PIECE_BYTES
            )
        finally:
            self.spool.remove(name)

    def size(self, name: str) -> int:
        try:
            return int(obstore.head(self.store, name + _ENDING)["size"])
        except FileNotFoundError as error:
            raise FileGoneError(name) from error

    def read(self, name: str) -> Iterator[bytes]:
        try:
            found = obstore.get(self.store, name + _ENDING)
        except FileNotFoundError as error:
            raise FileGoneError(name) from error
        return (bytes(piece) for piece in found.stream(min_chunk_size=CHUNK_BYTES))

    def remove(self, name: str) -> None:
        self.spool.remove(name)
        try:
            obstore.delete(self.store, name + _ENDING)
        except FileNotFoundError:
            return

    def names(self) -> Iterator[str]:
        yield from self.spool.names()
        for page in obstore.list(self.store):
            for item in page:
                name = item["path"].rpartition("/")[2]
                if name.endswith(_ENDING):
                    yield name.removesuffix(_ENDING)
