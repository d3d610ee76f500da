"""A circuit per payment company, shared by all workers: who calls a company that is down only makes it worse.

Ten failures in a row open it; after a while each worker lets one call through; an answer closes it, another failure
opens it again for twice as long. What is known stands in a book that people see (`CircuitBook`; in production a row in
Postgres). Workers read it at most once a second and write only when something changes: a call that succeeds costs no
query. Durations come from the book's clock and run on this machine's monotonic one, so a worker whose clock is wrong
does no harm; and a book that cannot be reached never stands in the way of a charge.

Why not a library: see docs/decisions.md, "Charging".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from domain.errors import TeikiError

_log = logging.getLogger(__name__)

_ASK_AGAIN_S: Final = 1.0
"""What callers are told while somebody else's probe is under way."""
_HINT_MAX: Final = 200


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Entry(Protocol):
    """What the book holds about one gateway."""

    @property
    def state(self) -> str: ...
    @property
    def failures(self) -> int:
        """In a row; 0 when closed."""
        ...

    @property
    def retry_in_s(self) -> float:
        """Seconds until the next probe, by the book's clock; negative when it is due."""
        ...

    @property
    def updated_at(self) -> datetime: ...


class CircuitBook(Protocol):
    """Where all workers, and people, see one gateway's circuit.

    Both raise `TeikiError` (`database_unavailable`) when the book cannot be reached.
    """

    async def load(self) -> Entry | None:
        """The entry; None when there never was trouble."""
        ...

    async def store(
        self, *, state: str, failures: int, open_for_s: float, hint: str, seen: datetime | None
    ) -> datetime | None:
        """Write it, unless it is no longer as `seen` (its `updated_at`; None: whatever it is).

        Returns:
            its new `updated_at`; None when somebody else was faster.
        """
        ...


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    failures: int = 10
    """In a row, seen by one worker; then it opens."""
    open_for: timedelta = timedelta(seconds=15)
    open_for_most: timedelta = timedelta(seconds=60)
    read_every: timedelta = timedelta(seconds=1)

    def pause_s(self, failures: int) -> float:
        """How long it stays open after so many failures in a row: twice as long with each failed probe."""
        doublings = min(max(0, failures - self.failures), 30)
        return min(self.open_for.total_seconds() * 2.0**doublings, self.open_for_most.total_seconds())


class CircuitOpenError(Exception):
    """Nothing was called. `retry_after`: when asking again makes sense."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("circuit open")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Known:
    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    probe_at: float = 0.0
    """On this machine's monotonic clock."""
    seen: datetime | None = None


@dataclass(slots=True)
class Call:
    """One call under way; say how it went with exactly one of the two. Neither: it tells nothing of the gateway."""

    answered: bool = False
    failure: str | None = None


class Circuit:
    """One gateway's circuit in this process.

    Args:
        book: shared by all processes.
        policy: when it opens and for how long.
        on_change: told the state whenever it changes here, and once at the start (a gauge, for example).
        clock: monotonic seconds.
    """

    def __init__(
        self,
        book: CircuitBook,
        *,
        policy: CircuitPolicy | None = None,
        on_change: Callable[[CircuitState], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._policy = policy or CircuitPolicy()
        self._on_change = on_change or (lambda _: None)
        self._clock = clock
        self._known = _Known()
        self._failures = 0
        self._probing = False
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._on_change(self._known.state)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Call]:
        """Wraps one call to the gateway.

        Raises:
            CircuitOpenError: it must not be called now.
        """
        await self._read()
        probe = self._known.state is not CircuitState.CLOSED
        if probe:
            await self._begin_probe()
        call = Call()
        try:
            yield call
        finally:
            if probe:
                self._probing = False
            if call.answered:
                await self._answered()
            elif call.failure is not None:
                await self._failed(call.failure, probe=probe)

    async def _begin_probe(self) -> None:
        left = self._known.probe_at - self._clock()
        if left > 0 or self._probing:
            raise CircuitOpenError(timedelta(seconds=max(left, _ASK_AGAIN_S)))
        self._probing = True
        if self._known.state is CircuitState.OPEN:
            await self._store(replace(self._known, state=CircuitState.HALF_OPEN), "", pause_s=0.0)

    async def _answered(self) -> None:
        self._failures = 0
        if self._known.state is not CircuitState.CLOSED:
            # Whatever the others have seen meanwhile: it answers.
            await self._store(_Known(), "", pause_s=0.0)

    async def _failed(self, hint: str, *, probe: bool) -> None:
        known = self._known
        if known.state is CircuitState.CLOSED:
            self._failures += 1
            if self._failures < self._policy.failures:
                return
            failures = self._failures
        elif probe:
            failures = known.failures + 1
        else:
            return  # sent before it opened; it says nothing new
        pause_s = self._policy.pause_s(failures)
        opened = _Known(CircuitState.OPEN, failures, self._clock() + pause_s, known.seen)
        await self._store(opened, hint, pause_s=pause_s)

    async def _store(self, known: _Known, hint: str, *, pause_s: float) -> None:
        """Take it as known here at once, then tell the others."""
        self._know(known)
        try:
            seen = await self._book.store(
                state=known.state.value,
                failures=known.failures,
                open_for_s=pause_s,
                hint=hint[:_HINT_MAX],
                seen=known.seen,
            )
        except TeikiError as error:
            _log.warning("the circuit's book cannot be written", extra={"code": error.code.value})
            return
        if seen is None:
            self._read_at = None  # somebody was faster: what they wrote counts
        elif self._known is known:
            self._known = replace(known, seen=seen)

    async def _read(self) -> None:
        """What the book says, not older than `read_every`; one reader at a time, the others do not wait for it."""
        if self._is_fresh() or (self._reading.locked() and self._read_at is not None):
            return
        async with self._reading:
            if self._is_fresh():
                return
            before = self._known
            try:
                entry = await self._book.load()
            except TeikiError as error:
                _log.warning("the circuit's book cannot be read", extra={"code": error.code.value})
            else:
                if self._known is before:  # else it has just changed here, and what was read is older
                    self._know(self._taken(entry))
            self._read_at = self._clock()

    def _is_fresh(self) -> bool:
        return (
            self._read_at is not None
            and self._clock() - self._read_at < self._policy.read_every.total_seconds()
        )

    def _taken(self, entry: Entry | None) -> _Known:
        if entry is None:
            return _Known()
        probe_at = self._clock() + entry.retry_in_s
        return _Known(CircuitState(entry.state), entry.failures, probe_at, entry.updated_at)

    def _know(self, known: _Known) -> None:
        before, self._known = self._known.state, known
        if known.state is before:
            return
        if known.state is CircuitState.CLOSED:
            self._failures = 0
        self._on_change(known.state)
