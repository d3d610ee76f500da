"""The chain of the audit: each row's SHA-256 covers its own content and the hash of the row before.

Pure. The database computes the same hash when it appends (migration 0012); here it is computed anew from what stands
there, so that a change of any row, a row taken out, two that changed places and, with a head kept elsewhere, a tail cut
off are noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from domain.errors import ErrorCode, TeikiError

GENESIS: Final = "0" * 64
"""What stands before the first row."""

OUTCOMES: Final = ("done", "denied")
_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)


class Head(NamedTuple):
    """The last row: kept outside, it proves later that nothing before it is missing."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


class Told(NamedTuple):
    """A row of `history` as the database says it now, field by field as text."""

    fields: tuple[str | None, ...]


class Entry(NamedTuple):
    """A row as it stands.

    Attributes:
        history_seq: the row of `history` that it tells of.
        history_digest: the digest of that row that was written down with it.
        told: that row as it stands now; None: there is none, or the entry tells of something else.
    """

    seq: int
    recorded_at: datetime
    actor: str
    action: str
    subject_id: str
    outcome: str
    history_seq: int | None
    content: str
    prev_hash: str
    hash: str
    history_digest: str | None = None
    told: Told | None = None


class Break(NamedTuple):
    """The first row at which the chain does not hold."""

    seq: int
    why: str


class Verdict(NamedTuple):
    """What the whole chain came to: how many rows hold, the last of them, and where it breaks first."""

    rows: int
    head: Head
    broken: Break | None


def framed(parts: Iterable[str | None]) -> str:
    """Fields as one text that no other fields give: each is preceded by its length in bytes."""
    return "".join("-" if part is None else f"{len(part.encode())}:{part}" for part in parts)


def digest(parts: Iterable[str | None]) -> str:
    return hashlib.sha256(framed(parts).encode()).hexdigest()


def instant_text(at: datetime) -> str:
    """`2026-11-22T07:00:00.000000Z`, as the database writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entry_hash(entry: Entry) -> str:
    """What the row's hash must be."""
    return digest(
        (
            entry.prev_hash,
            str(entry.seq),
            instant_text(entry.recorded_at),
            entry.actor,
            entry.action,
            entry.subject_id,
            entry.outcome,
            None if entry.history_seq is None else str(entry.history_seq),
            entry.content,
        )
    )


def read_head(text: str) -> Head:
    """`<seq>:<hash>`, as `teiki audit head` prints it.

    Raises:
        TeikiError: `invalid_input`.
    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise TeikiError(ErrorCode.INVALID_INPUT, "A head is <number>:<64 hexadecimal digits>.", field="head")
    return Head(int(found[1]), found[2])


def verify(entries: Iterable[Entry], *, kept: Head | None = None) -> Verdict:
    """Read the chain from its first row to its last.

    Args:
        entries: in order of `seq`.
        kept: a head from outside; the chain must reach it and hold its hash there.
    """
    last = Head(0, GENESIS)
    for entry in entries:
        why = _unlinked(entry, last, kept) or _untrue(entry)
        if why is not None:
            return Verdict(last.seq, last, Break(last.seq + 1, why))
        last = Head(entry.seq, entry.hash)
    broken = None
    if kept is not None and last.seq < kept.seq:
        broken = Break(last.seq + 1, f"the rows up to {kept.seq}, which there were, are gone")
    return Verdict(last.seq, last, broken)


def _unlinked(entry: Entry, last: Head, kept: Head | None) -> str | None:
    if entry.seq != last.seq + 1:
        return "it is missing or out of its place"
    if entry.prev_hash != last.hash:
        return "it does not follow from the row before"
    if entry_hash(entry) != entry.hash:
        return "its content is not what was hashed"
    if kept is not None and entry.seq == kept.seq and entry.hash != kept.hash:
        return "its hash is not the one that was kept outside"
    return None


def _untrue(entry: Entry) -> str | None:
    """Whether history does not say any more what it said when it was told of."""
    if entry.history_digest is None:
        return None
    if entry.told is None:
        return f"the row {entry.history_seq} of history that it tells of is gone"
    if digest(entry.told.fields) != entry.history_digest:
        return f"the row {entry.history_seq} of history that it tells of was changed"
    return None


def counted(entries: Iterable[Entry], every: int, told: object) -> Iterator[Entry]:
    """The entries, calling `told(rows so far)` after every so many."""
    assert callable(told)
    for number, entry in enumerate(entries, start=1):
        yield entry
        if number % every == 0:
            told(number)
