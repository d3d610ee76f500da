"""The desk: takes a request that wants to change something and gives one answer, or none.

The order is a real gateway's: faults before the work, the idempotency check, the work in one transaction
(effect, ledger, key, log and webhooks together), then whatever breaks the answer on its way out.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from domain.money import Money
from gateways.sandbox.answers import Answer, before_work, broken
from gateways.sandbox.book import Book, Change
from gateways.sandbox.cards import Cards
from gateways.sandbox.faults import (
    BEFORE_WORK,
    KEY_CHECK_FAILED,
    OF_WEBHOOKS,
    Fault,
    FaultPlan,
    Strike,
    sensible,
)
from gateways.sandbox.keys import Check, CheckResult, KeyBook, fingerprint
from gateways.sandbox.outcomes import Plan
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.remittance import Remittances
from gateways.sandbox.schema import now_us, transaction
from gateways.sandbox.webhooks import Outbox


@dataclass(frozen=True, slots=True)
class Write:
    """A request that wants to change something, already read and valid."""

    route: str
    path: str
    body: dict[str, Any]
    reference: str
    key: str | None
    token: str | None = None
    asked_faults: tuple[Fault, ...] = ()

    @property
    def attempt_key(self) -> str:
        """What tells one attempt from the next: its key, or itself when the caller gave none."""
        return self.key or f"keyless_{secrets.token_hex(8)}"


@dataclass(slots=True)
class Work:
    """What doing the request gave: the answer to remember, and faults only the work could know of.

    `taken` is False when a script broke this sending before the work: then nothing is remembered.
    """

    answer: Answer
    strikes: list[Strike] = field(default_factory=list)
    taken: bool = True


class Desk:
    def __init__(
        self,
        db: sqlite3.Connection,
        book: Book,
        cards: Cards,
        keys: KeyBook,
        plan: FaultPlan,
        outbox: Outbox,
        remittances: Remittances,
    ) -> None:
        self._db = db
        self._book = book
        self._cards = cards
        self.keys = keys
        self.plan = plan
        self.outbox = outbox
        self.remittances = remittances

    async def charge(self, write: Write, amount: Money, *, installments: int | None = None) -> Answer:
        """POST /charges. An unknown token is declined as an invalid card, as real gateways do."""
        token = write.token or ""
        # One name for the whole attempt: a keyless request must not become two attempts on the way.
        attempt_key = write.attempt_key

        def work(strikes: Sequence[Strike]) -> Work:
            plan = self._cards.plan_of(token, reference=write.reference, attempt_key=attempt_key)
            by_script = _scripted_strikes(plan)
            if by_script and by_script[0].fault.name in BEFORE_WORK:
                return Work(before_work(by_script[0].fault), by_script, taken=False)
            for strike in strikes:
                if strike.fault.name == "decline":
                    plan = Plan(decline=strike.fault.code)
            record = self._book.charge(
                token=token,
                amount=amount,
                reference=write.reference,
                attempt_key=attempt_key,
                plan=plan,
                installments=installments,
                lag_seconds=lag_of(strikes),
            )
            return Work(Answer(200, record), by_script)

        return await self.take(write, work)

    async def refund(
        self, write: Write, charge_id: str, amount: Money, bank_account: str | None = None
    ) -> Answer:
        """POST /charges/{id}/refunds. To a card at once; what was paid at a till goes back as a bank remittance."""

        def work(strikes: Sequence[Strike]) -> Work:
            charge = self._book.charge_row(charge_id)
            plan, fee_minor = self.remittances.terms_of(charge, amount, bank_account)
            record = self._book.refund(
                charge_id=charge_id,
                amount=amount,
                reference=write.reference,
                attempt_key=write.attempt_key,
                plan=plan,
                fee_minor=fee_minor,
                lag_seconds=lag_of(strikes),
            )
            return Work(Answer(200, record))

        return await self.take(write, work, about=charge_id)

    async def void(self, write: Write, charge_id: str) -> Answer:
        """POST /charges/{id}/void."""
        return await self.take(
            write, lambda _: Work(Answer(200, self._book.void(charge_id))), about=charge_id
        )

    async def read(
        self, route: str, reference: str, asked: tuple[Fault, ...], answer: Callable[[], dict[str, Any]]
    ) -> Answer:
        """A look into the book, under the faults that strike reads; `reference` may be a record's id."""
        token = self._token_behind(reference)
        strikes = self.plan.choose(route, token=token, reference=reference, asked=_by_header(asked))
        if strikes:
            with transaction(self._db):
                self._log_faults(strikes, route, reference)
        for strike in strikes:
            if strike.fault.name in BEFORE_WORK:
                return before_work(strike.fault)
            await asyncio.sleep(strike.fault.seconds)
        with self.together(asked):
            given = Answer(200, answer())
        given.torn = any(strike.fault.name == "malformed" for strike in strikes)
        return given

    async def take(
        self, write: Write, work: Callable[[Sequence[Strike]], Work], *, about: str = ""
    ) -> Answer:
        """One request that wants to change something, under its faults and its key.

        Args:
            write: the request.
            work: what it does, in the transaction; it gets the faults that strike and refuses before it writes.
            about: the record it is about, when it names no token.
        """
        asked = _by_header(write.asked_faults)
        token = write.token
        if token is None:
            token = self._token_behind(about)
        elif (fault := self._cards.fault_of(token)) is not None:
            asked.append(Strike(fault, "token"))
        strikes = self.plan.choose(write.route, token=token, reference=write.reference, asked=asked)
        if strikes and strikes[0].fault.name in BEFORE_WORK:
            with transaction(self._db):
                self._log(write, strikes, strikes[0].fault.name)
            return before_work(strikes[0].fault)
        mark = fingerprint(write.path, write.body)
        check, strikes = self._checked(write, mark, strikes)
        with self.keys.at_work(write.key, check):
            for strike in strikes:
                if strike.fault.name == "slow":
                    await asyncio.sleep(strike.fault.seconds)
            answer, strikes = self._do(write, check, mark, strikes, work)
        return broken(answer, strikes)

    def _checked(self, write: Write, mark: str, strikes: list[Strike]) -> tuple[Check, list[Strike]]:
        """The idempotency check, and the faults with those that had no key to fail on left out."""
        fails = any(strike.fault.name == KEY_CHECK_FAILED for strike in strikes)
        try:
            check = self.keys.check(write.key, mark, fails=fails)
        except Refusal as refusal:
            with transaction(self._db):
                self._log(write, [], refusal.code)
            raise
        if check.result is CheckResult.ERROR and not fails:
            return check, [*strikes, Strike(Fault(KEY_CHECK_FAILED), "mode")]
        if check.result is not CheckResult.ERROR and fails:
            return check, [strike for strike in strikes if strike.fault.name != KEY_CHECK_FAILED]
        return check, strikes

    def _do(
        self,
        write: Write,
        check: Check,
        mark: str,
        strikes: list[Strike],
        work: Callable[[Sequence[Strike]], Work],
    ) -> tuple[Answer, list[Strike]]:
        """The work, once, or the remembered answer; with everything that must be true together."""
        with self.together(write.asked_faults):
            if check.answer is not None:
                done = Work(Answer(check.status, check.answer))
                # What was decided stays decided: these two only strike the work itself.
                strikes = [s for s in strikes if s.fault.name not in {"decline", "lookup_lag"}]
            else:
                done = _refusals_count(work, strikes)
            if done.taken:
                self.keys.remember(write.key, check, mark, done.answer.status, done.answer.body)
                strikes = sensible([*strikes, *done.strikes])
            else:
                struck = [s for s in strikes if s.fault.name in {"slow", KEY_CHECK_FAILED}]
                strikes = struck + done.strikes
            self._log(write, strikes, done.answer.body.get("state", f"http_{done.answer.status}"))
        if check.result is not CheckResult.NONE:
            done.answer.headers["Idempotency-Status"] = check.result.value
        return done.answer, strikes

    def _token_behind(self, name: str) -> str | None:
        """Whose charge a request is about, when a rule of the plan asks for that."""
        return self._book.token_of(name) if name and self.plan.minds_tokens else None

    @contextmanager
    def together(self, asked: Sequence[Fault] = ()) -> Iterator[None]:
        """A transaction in which a change and the events that tell of it are written."""
        with transaction(self._db):
            self._book.take_changes()  # what a transaction that failed may have left
            yield
            self._tell(asked)

    def _tell(self, asked: Sequence[Fault]) -> None:
        """Webhooks of everything that just changed, under the faults this request, the card and the plan want."""

        def choose(change: Change) -> list[Strike]:
            wanted = _by_header(asked)
            fault = self._cards.fault_of(change.token)
            if fault is not None and fault.name in OF_WEBHOOKS:
                wanted.append(Strike(fault, "token"))
            return self.plan.choose(
                "webhook", token=change.token, reference=change.record["reference"], asked=wanted
            )

        self.outbox.write(self._book.take_changes(), choose, self._log_faults)

    def _log(self, write: Write, strikes: Sequence[Strike], outcome: str) -> None:
        self._db.execute(
            "INSERT INTO request_log (at_us, route, reference, idempotency_key, outcome)"
            " VALUES (?, ?, ?, ?, ?)",
            (now_us(), write.route, write.reference, write.key, outcome),
        )
        self._log_faults(strikes, write.route, write.reference)

    def _log_faults(self, strikes: Sequence[Strike], route: str, reference: str) -> None:
        for strike in strikes:
            plan = strike.plan or self.plan
            plan.count(strike)
            self._db.execute(
                "INSERT INTO fired_faults (at_us, seed, serial, rule, source, fault, route, reference)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    now_us(),
                    plan.seed,
                    plan.serial,
                    strike.rule,
                    strike.source,
                    strike.fault.name,
                    route,
                    reference,
                ),
            )


def _refusals_count(work: Callable[[Sequence[Strike]], Work], strikes: Sequence[Strike]) -> Work:
    """The work, where a refusal is an answer too and is remembered like any other.

    The book refuses before it writes, so there is nothing to take back.
    """
    try:
        return work(strikes)
    except Refusal as refusal:
        return Work(Answer(refusal.status, refusal.body()))


def lag_of(strikes: Sequence[Strike]) -> float:
    """How many seconds look-ups are to be blind to what the work enters."""
    return max((strike.fault.seconds for strike in strikes if strike.fault.name == "lookup_lag"), default=0.0)


def _by_header(faults: Sequence[Fault]) -> list[Strike]:
    return [Strike(fault, "header") for fault in faults]


def _scripted_strikes(plan: Plan) -> list[Strike]:
    return [Strike(Fault(plan.fault), "script")] if plan.fault else []
