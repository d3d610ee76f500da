"""Writing one workbook: a snapshot of the books on one side, a file in the storage on the other, a thread in between.

The rows are counted first, then streamed in batches, so memory stays flat. With a password only ciphertext reaches
the file. `stop` ends it at the next batch, or in the middle of a statement, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import BinaryIO, Final

import psycopg
from pydantic import BaseModel

from activities.contracts.exports import Progress
from db.reads.sheets import CURRENCY, Sheet
from db.snapshot import Snapshot, snapshot
from domain.billing_calendar import parse_zone
from domain.errors import ErrorCode, TeikiError
from exports.encryption import EncryptedSink
from exports.storage import Storage
from exports.workbook import About, Column, ColumnKind, WorkbookWriter

_WORDS: Final = {
    "ja": ("概要", "内容", "依頼者", "依頼日時", "データの時点", "条件", "件数", "すべて"),
    "en": ("About", "Content", "Requested by", "Requested at", "As of", "Filter", "Rows", "everything"),
}
_PATIENCE: Final = timedelta(minutes=10)


class StoppedError(Exception):
    """It was told to stop."""


@dataclass
class Writing:
    """One run. Belongs to one thread; `stop` and `progress` may be called from any.

    Attributes:
        database: the address.
        requested_at: bounds the rows: what was entered later is not in the file.
    """

    database: str
    sheet: Sheet
    wanted: BaseModel
    requester: str
    requested_at: datetime
    language: str
    zone: str
    password: str | None = field(repr=False)
    _rows: int = 0
    _total: int | None = None
    _stopped: Event = field(default_factory=Event)
    _snapshot: Snapshot | None = None

    def progress(self) -> Progress:
        return Progress(rows=self._rows, total=self._total)

    def stop(self) -> None:
        self._stopped.set()
        if self._snapshot is not None:
            self._snapshot.stop()

    def run(self, storage: Storage, name: str) -> tuple[int, int]:
        """Write the file `name`; answers its rows and its bytes.

        Raises:
            StoppedError: it was stopped. TeikiError: `database_unavailable`. In every case nothing is left behind.
        """
        self._go_on()
        try:
            with storage.writing(name) as file:
                self._write(file)
                self._go_on()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._go_on()
            raise TeikiError(
                ErrorCode.DATABASE_UNAVAILABLE, "The database cannot be reached just now; try again."
            ) from error
        return self._rows, storage.size(name)

    def _write(self, file: BinaryIO) -> None:
        query = self.sheet.query(self.wanted, self.requested_at)
        with snapshot(self.database, patience=_PATIENCE) as books, _sink(file, self.password) as sink:
            self._snapshot = books
            self._go_on()
            self._total = books.count(query)
            writer = WorkbookWriter(
                sink,
                columns=[
                    Column(c.key, c.title(self.language), ColumnKind(c.shows), c.width)
                    for c in self.sheet.columns
                ],
                about=self._about(books.taken_at),
                sheet_title=self.sheet.title(self.language),
                zone=parse_zone(self.zone),
                about_title=_WORDS[self.language][0],
                currency_column=CURRENCY if self.sheet.has_money else None,
            )
            for batch in books.batches(query):
                writer.write_rows(batch)
                self._rows += len(batch)
                self._go_on()
            writer.close()

    def _about(self, taken_at: datetime) -> About:
        _, content, requester, requested_at, as_of, filter_, rows, everything = _WORDS[self.language]
        given = self.wanted.model_dump_json(exclude_defaults=True)
        return About(
            [
                (content, self.sheet.title(self.language)),
                (requester, self.requester),
                (requested_at, self._shown(self.requested_at)),
                (as_of, self._shown(taken_at)),
                (filter_, everything if given == "{}" else given),
                (rows, str(self._total)),
            ]
        )

    def _shown(self, instant: datetime) -> str:
        return instant.astimezone(parse_zone(self.zone)).strftime("%Y-%m-%d %H:%M:%S ") + self.zone

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise StoppedError


@contextmanager
def _sink(file: BinaryIO, password: str | None) -> Iterator[BinaryIO]:
    """The file itself, or what encrypts everything before it reaches the file."""
    if password is None:
        yield file
        return
    sink = EncryptedSink(file, password)
    yield sink  # type: ignore[misc]  # a workbook needs `write` only
    sink.close()
