"""The circuit: opens after failures in a row, lets probes through, is shared, and never costs a charge."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from gateways.circuit import Circuit, CircuitPolicy, CircuitState
from gateways.guarded import GuardedGateway
from gateways.port import Declined, GatewayUnavailable, Settled, Unavailable, Unknown
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import issue

YEN_1000 = Money(minor=1000, currency="JPY")


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Row:
    state: str
    failures: int
    retry_at: float
    retry_in_s: float
    updated_at: datetime
    hint: str


@dataclass
class Book:
    """The shared row in memory, with its own count of what it was asked."""

    clock: Clock
    row: Row | None = None
    reads: int = 0
    writes: list[str] = field(default_factory=list)
    down: bool = False

    async def load(self) -> Row | None:
        self._available()
        self.reads += 1
        return None if self.row is None else replace(self.row, retry_in_s=self.row.retry_at - self.clock())

    async def store(self, *, state, failures, open_for_s, hint, seen) -> datetime | None:
        self._available()
        if seen is not None and self.row is not None and self.row.updated_at != seen:
            return None
        self.writes.append(state)
        updated = datetime.fromtimestamp(len(self.writes), UTC)
        self.row = Row(state, failures, self.clock() + open_for_s, 0.0, updated, hint)
        return updated

    def _available(self) -> None:
        if self.down:
            raise TeikiError(ErrorCode.DATABASE_UNAVAILABLE, "gone")


@dataclass
class Company:
    """A gateway that answers as told and counts its calls."""

    answer: object = field(default_factory=lambda: Settled(gateway_id="ch_1", amount=YEN_1000))
    calls: int = 0
    told: dict = field(default_factory=dict)

    async def charge(self, **told):
        self.told = told
        self.calls += 1
        await asyncio.sleep(0)
        return self.answer

    create_konbini = void_konbini = refund = charge

    async def konbini_slip(self, _):
        await self.lookup(_)

    async def lookup(self, _):
        self.calls += 1
        if isinstance(self.answer, Unavailable):
            raise GatewayUnavailable("The gateway answered 503.")
        return []


DOWN = Unavailable(hint="no connection")
FINE = Settled(gateway_id="ch_1", amount=YEN_1000)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def book(clock):
    return Book(clock)


@pytest.fixture
def company():
    return Company()


@pytest.fixture
def worker(book, company, clock):
    """`worker()` is one more worker: its own memory, the same book."""
    return lambda: GuardedGateway(company, Circuit(book, clock=clock))


async def charge(gateway):
    return await gateway.charge(token="t", amount=YEN_1000, reference="r", idempotency_key="k")


async def fail(gateway, company, times, answer=DOWN):
    company.answer = answer
    for _ in range(times):
        assert await charge(gateway) == answer


def refused(seconds):
    return Unavailable(hint="circuit open", retry_after=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "failure",
    [DOWN, Unavailable(hint="rate limited"), Unknown(hint="timeout", outage=True)],
    ids=lambda failure: failure.hint,
)
async def test_ten_failures_in_a_row_open_it_and_nothing_is_called_any_more(worker, book, company, failure):
    gateway = worker()
    await fail(gateway, company, 9, failure)
    assert book.writes == []
    await fail(gateway, company, 1, failure)
    assert (book.row.state, book.row.failures, book.row.hint) == ("open", 10, failure.hint)
    assert await charge(gateway) == refused(15)
    assert company.calls == 10


@pytest.mark.parametrize(
    "definite", [FINE, Declined(code="card_declined", gateway_code="no")], ids=lambda outcome: outcome.kind
)
async def test_a_definite_answer_begins_the_count_anew(worker, book, company, definite):
    gateway = worker()
    await fail(gateway, company, 9)
    await fail(gateway, company, 1, definite)
    await fail(gateway, company, 9)
    assert book.writes == []


async def test_a_single_429_and_an_unclear_answer_that_is_no_outage_open_nothing(worker, book, company):
    gateway = worker()
    await fail(gateway, company, 1, Unavailable(hint="rate limited", retry_after=timedelta(seconds=7)))
    await fail(gateway, company, 30, Unknown(hint="http 409 request_in_flight"))
    assert book.writes == []


async def test_reads_count_and_are_refused_like_writes(worker, company):
    gateway = worker()
    company.answer = DOWN
    for _ in range(10):
        with pytest.raises(GatewayUnavailable, match="503"):
            await gateway.lookup("r")
    with pytest.raises(GatewayUnavailable, match="circuit open"):
        await gateway.lookup("r")
    assert company.calls == 10


async def test_the_tills_operations_are_refused_like_the_others(worker, company):
    gateway = worker()
    naming = {"charge_id": "kb_1", "reference": "r", "idempotency_key": "k"}
    writes = (
        lambda: issue(gateway),
        lambda: gateway.void_konbini(**naming),
        lambda: gateway.refund(**naming, amount=YEN_1000, bank_account="tok_bank"),
    )
    for write in writes:
        assert await write() == FINE
    assert company.told == {**naming, "amount": YEN_1000, "bank_account": "tok_bank"}
    assert await gateway.konbini_slip("kb_1") is None
    company.answer = DOWN
    for _ in range(10):
        assert await issue(gateway) == DOWN
    for write in writes:
        assert await write() == refused(15)
    with pytest.raises(GatewayUnavailable, match="circuit open"):
        await gateway.konbini_slip("kb_1")
    assert company.calls == 14


async def test_a_probe_that_succeeds_closes_it_and_one_that_fails_doubles_the_pause_up_to_a_minute(
    worker, book, company, clock
):
    gateway = worker()
    await fail(gateway, company, 10)
    for pause in (15, 30, 60, 60):
        assert await charge(gateway) == refused(pause)
        clock.now += pause
        assert await charge(gateway) == DOWN
    assert book.row.failures == 14
    clock.now += 60
    company.answer = FINE
    assert await charge(gateway) == FINE
    assert (book.row.state, book.row.failures) == ("closed", 0)
    assert book.writes == ["open", *["half_open", "open"] * 4, "half_open", "closed"]


async def test_one_probe_per_worker_at_a_time(worker, company, clock):
    gateway, other = worker(), worker()
    await fail(gateway, company, 10)
    clock.now += 15
    company.answer, before = FINE, company.calls
    answers = await asyncio.gather(*(charge(gateway) for _ in range(5)), *(charge(other) for _ in range(5)))
    assert sorted(answer.kind for answer in answers) == ["settled"] * 2 + ["unavailable"] * 8
    assert company.calls == before + 2


async def test_a_probe_that_is_cancelled_makes_room_for_the_next(worker, company, clock):
    gateway = worker()
    await fail(gateway, company, 10)
    clock.now += 15
    probe = asyncio.create_task(charge(gateway))
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    company.answer = FINE
    assert await charge(gateway) == FINE


async def test_another_worker_learns_within_a_second_that_it_is_open_and_that_it_is_closed(
    worker, company, clock
):
    one, two = worker(), worker()
    company.answer = FINE
    assert await charge(two) == FINE
    await fail(one, company, 10)
    clock.now += 1
    assert await charge(two) == refused(14)
    clock.now += 14
    company.answer = FINE
    assert await charge(one) == FINE
    clock.now += 1
    assert await charge(two) == FINE


async def test_two_workers_whose_probes_fail_together_count_as_one_failure(worker, book, company, clock):
    one, two = worker(), worker()
    await fail(one, company, 10)
    assert await charge(two) == refused(15)
    clock.now += 15
    assert await asyncio.gather(charge(one), charge(two)) == [DOWN, DOWN]
    assert (book.row.failures, book.row.retry_at) == (11, clock.now + 30)
    clock.now += 29
    assert await charge(one) == await charge(two) == refused(1)


async def test_the_happy_path_reads_once_a_second_and_writes_nothing(worker, book, company, clock):
    gateway = worker()
    for _ in range(200):
        await asyncio.gather(*(charge(gateway) for _ in range(5)))
        clock.now += 0.01
    assert company.calls == 1000
    assert book.reads <= 3
    assert book.writes == []


async def test_a_book_that_cannot_be_reached_never_stands_in_the_way(worker, book, company, clock):
    gateway = worker()
    book.down = True
    await fail(gateway, company, 1, FINE)
    await fail(gateway, company, 10)
    assert await charge(gateway) == refused(15)
    clock.now += 15
    company.answer = FINE
    assert await charge(gateway) == FINE


async def test_what_changes_is_told_once(book, company, clock):
    told = []
    gateway = GuardedGateway(company, Circuit(book, clock=clock, on_change=told.append))
    await fail(gateway, company, 10)
    clock.now += 15
    company.answer = FINE
    await charge(gateway)
    assert told == [CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]


async def test_a_real_sandbox_that_goes_away_and_comes_back(tmp_path, book, clock):
    database = str(tmp_path / "sandbox.sqlite3")
    running = await start_sandbox(database)
    adapter = SandboxGateway(running.base_url)
    gateway = GuardedGateway(adapter, Circuit(book, clock=clock, policy=CircuitPolicy(failures=3)))

    async def charge_once():
        return await gateway.charge(
            token="tok_ok", amount=YEN_1000, reference=f"sub_{uuid4().hex}/1/1", idempotency_key=uuid4().hex
        )

    assert isinstance(await charge_once(), Settled)
    await running.kill()
    kinds = [(await charge_once()) for _ in range(6)]
    assert all(isinstance(kind, Unavailable | Unknown) for kind in kinds)
    assert kinds[-1].hint == "circuit open"
    assert running.base_url.removeprefix("http://") not in book.row.hint
    again = await start_sandbox(database, port=running.port)
    clock.now += 15
    assert isinstance(await charge_once(), Settled)
    assert book.row.state == "closed"
    await adapter.close()
    assert await again.stop() == 0
