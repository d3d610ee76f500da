"""A subscription lived through in simulated time, told as dated lines.

`Story` does what the workflow does with the domain's decisions, and nothing else: it waits for the next step, asks the
`Gateway` and hands the answer back. `Gateway` is a small payment company with strict idempotency and a script of
answers, one per request that reaches it:

    ok  <decline code>  unsent  lost  pending  pending>ok@3600  pending>lost_card@60  late>ok@60  late>do_not_honor@60

`lost` never arrives; `late` arrives, is answered by silence and can be looked up so many seconds later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain import blocking, operations
from domain.declines import DeclineCode, category_of
from domain.money import Money
from domain.resume import Plan, Resumed, preview, resume
from domain.subscription import (
    State,
    Status,
    Step,
    StepKind,
    Transition,
    attempted,
    declined,
    next_step,
    settled,
)
from domain.terms import ResumePolicy, SubscriptionSpec, Terms, agree
from domain.unresolved import Mode, question_mode, unresolved

HORIZON_S = 600
KEY_TTL_S = 82_800
STEPS_MAX = 5_000


@dataclass(frozen=True)
class Answer:
    kind: str
    decline: DeclineCode | None = None

    def __str__(self) -> str:
        return self.decline.value if self.decline else {"settled": "ok"}.get(self.kind, self.kind)


@dataclass
class Entry:
    """A charge in the gateway's own books; its fate can be seen from `from_at` on."""

    number: int
    amount_minor: int
    fate: Answer
    from_at: datetime
    meanwhile: str


def _fate(word: str) -> Answer:
    return Answer("settled") if word == "ok" else Answer("declined", DeclineCode(word))


@dataclass
class Gateway:
    script: deque[str] = field(default_factory=deque)
    otherwise: str = "ok"
    books: dict[str, Entry] = field(default_factory=dict)

    def send(self, key: str, number: int, amount_minor: int, now: datetime) -> Answer:
        if key in self.books:
            return self.ask(key, now)
        word = self.script.popleft() if self.script else self.otherwise
        if word == "unsent":
            return Answer("unsent")
        if word == "lost":
            return Answer("unknown")
        how, _, rest = word.partition(">")
        if not rest and how != "pending":
            fate, seconds, meanwhile = _fate(word), 0, ""
        elif how == "pending" and not rest:
            fate, seconds, meanwhile = Answer("pending"), 0, "pending"
        else:
            after, _, delay = rest.partition("@")
            fate, seconds = _fate(after), int(delay)
            meanwhile = {"pending": "pending", "late": "unknown"}[how]
        self.books[key] = Entry(number, amount_minor, fate, now + timedelta(seconds=seconds), meanwhile)
        return self.ask(key, now)

    def ask(self, key: str, now: datetime) -> Answer:
        entry = self.books.get(key)
        if entry is None:
            return Answer("unknown")
        return entry.fate if now >= entry.from_at else Answer(entry.meanwhile)

    def give_up(self, key: str, now: datetime) -> Answer:
        """Void what is pending; say no to what never came. What is done stays done."""
        entry = self.books.get(key)
        if entry is None:
            return Answer("declined", DeclineCode.NEVER_ARRIVED)
        answer = self.ask(key, now)
        if answer.kind == "pending":
            entry.fate, entry.from_at = Answer("declined", DeclineCode.PENDING_EXPIRED), now
            return entry.fate
        return answer

    def settled(self) -> list[Entry]:
        return [entry for entry in self.books.values() if entry.fate.kind == "settled"]


@dataclass
class Story:
    """One subscription, its clock and what happened. Instants in lines are local to its zone."""

    state: State
    now: datetime
    gateway: Gateway
    lines: list[str] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    attempts: list[tuple[int, datetime]] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    refunds: list[tuple[int, int]] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.state.terms.zone)

    @property
    def charges(self) -> list[str]:
        return [line for line in self.lines if " charge " in line]

    @property
    def statuses(self) -> list[str]:
        return [line for line in self.lines if " → " in line]

    def told(self) -> list[str]:
        """The lines since the last time, so that a test reads as a sequence of acts."""
        lines, self.lines = self.lines, []
        return lines

    # -- time passes

    def until(self, when: datetime | str) -> Story:
        """Let everything happen that happens by itself up to and including `when`."""
        end = self._instant(when)
        for _ in range(STEPS_MAX):
            step = next_step(self.state)
            if step is None or step.at > end:
                self.now = max(self.now, end)
                return self
            self.now = max(self.now, step.at)
            self._do(step)
        raise AssertionError(f"it never comes to rest: {self.lines[-5:]}")

    def _do(self, step: Step) -> None:
        if step.kind is StepKind.CANCEL:
            self._note(operations.cancel_now(self.state, self.now, reason="period_ended"))
        elif step.kind is StepKind.REFUND:
            self._refund()
        elif step.kind in (StepKind.ASK, StepKind.ATTENTION):
            self._ask()
        else:
            self._charge()

    def _charge(self) -> None:
        assert self.state.status not in (Status.SUSPENDED, Status.CANCELED, Status.COMPLETED)
        payment = attempted(self.state, self.now)
        self.attempts.append((payment.number, self.now))
        answer = self.gateway.send(self._key(), payment.number, payment.amount_minor, self.now)
        self._take("charge", answer)

    def _ask(self) -> None:
        payment = self.state.open
        assert payment is not None
        assert self.state.in_flight is not None
        mode = question_mode(
            self.state.in_flight, self.now, wanted=self.state.wants_charges, ended=self.state.is_final
        )
        answer = {
            Mode.ASK: lambda: self.gateway.ask(self._key(), self.now),
            Mode.GIVE_UP: lambda: self.gateway.give_up(self._key(), self.now),
            Mode.SEND: lambda: self.gateway.send(self._key(), payment.number, payment.amount_minor, self.now),
            Mode.RESEND: lambda: self.gateway.send(
                self._key(), payment.number, payment.amount_minor, self.now
            ),
        }[mode]()
        self._take(mode.value, answer, resent=mode is Mode.RESEND and answer.kind != "unsent")

    def _take(self, verb: str, answer: Answer, *, resent: bool = False) -> None:
        payment = self.state.open
        assert payment is not None
        self._line(f"{verb} {payment.number}.{payment.attempts + 1} {payment.amount_minor} {answer}")
        if answer.kind == "settled":
            self._note(settled(self.state, self.now))
        elif answer.kind == "declined":
            assert answer.decline is not None
            self._note(declined(self.state, category_of(answer.decline), self.now))
        else:
            kind: Any = answer.kind
            assert self.state.in_flight is not None
            unresolved(
                self.state.in_flight,
                kind,
                self.now,
                horizon_s=HORIZON_S,
                key_ttl_s=KEY_TTL_S,
                resent=resent,
            )

    def _refund(self) -> None:
        refund = self.state.next_refund
        assert refund is not None
        if self.gateway.script and self.gateway.script[0] == "unsent":
            self.gateway.script.popleft()
            self._line(f"refund {refund.number} unsent")
            unresolved(refund.flight, "unsent", self.now)
            return
        operations.refund_closed(self.state, refund, self.now)
        self.refunds.append((refund.number, refund.amount_minor))
        self._line(f"refund {refund.number} {refund.amount_minor}")

    # -- people do something

    def suspend(self, at: datetime | str | None = None) -> Story:
        return self._operate(at, lambda: operations.suspend(self.state))

    def resume(
        self,
        at: datetime | str | None = None,
        policy: str = "next_cycle",
        *,
        next_at: datetime | str | None = None,
    ) -> Story:
        def act() -> list[Transition]:
            named = self._instant(next_at) if next_at is not None else None
            return self._gone_on(resume(self.state, self.now, policy=ResumePolicy(policy), at=named))

        return self._operate(at, act)

    def block(self, at: datetime | str | None = None) -> Story:
        return self._operate(at, lambda: blocking.block(self.state, self.now))

    def unblock(self, at: datetime | str | None = None) -> Story:
        return self._operate(at, lambda: self._gone_on(blocking.unblock(self.state, self.now)))

    def _gone_on(self, result: Resumed) -> list[Transition]:
        for part in result.skipped:
            for number in range(part.first, part.last + 1):
                assert number not in self.skipped
                self.skipped.add(number)
                self._line(f"skip {number} ({part.reason})")
        return result.transitions

    def cancel(self, at: datetime | str | None = None, mode: str = "now") -> Story:
        if mode == "now":
            return self._operate(at, lambda: operations.cancel_now(self.state, self.now))
        return self._operate(at, lambda: operations.cancel_at_period_end(self.state, self.now))

    def recover(self, at: datetime | str | None = None) -> Story:
        return self._operate(at, lambda: operations.recover(self.state))

    def change_card(self, at: datetime | str | None = None) -> Story:
        return self._operate(at, lambda: operations.change_card(self.state, self.now))

    def change_amount(
        self, minor: int, at: datetime | str | None = None, *, next_only: bool = False
    ) -> Story:
        amount = Money(minor=minor, currency=self.state.terms.currency)
        return self._operate(at, lambda: operations.change_amount(self.state, amount, next_only=next_only))

    def plan(self) -> Plan:
        return preview(self.state, self.now)

    def planned(self) -> list[str]:
        """The plan in the words of the lines, to be held against what then happens."""
        return [
            f"{self._local(payment.at)} charge {payment.number}.1 {payment.amount.minor} ok"
            for payment in self.plan().payments
        ]

    def _operate(self, at: datetime | str | None, act: Any) -> Story:
        if at is not None:
            self.until(at)
        self._note(act())
        return self

    # -- the telling

    def _key(self) -> str:
        assert self.state.open is not None
        return f"{self.state.open.number}/{self.state.open.attempts + 1}"

    def _note(self, transitions: Iterable[Transition]) -> None:
        for move in transitions:
            self.transitions.append(move)
            self._line(f"{move.from_.value} → {move.to.value} ({move.reason})")

    def _line(self, text: str) -> None:
        self.lines.append(f"{self._local(self.now)} {text}")

    def _local(self, instant: datetime) -> str:
        local = instant.astimezone(self.zone)
        return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")

    def _instant(self, when: datetime | str) -> datetime:
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)


def spec(**changes: Any) -> SubscriptionSpec:
    """¥1,000 monthly in Tokyo, unless told otherwise."""
    fields: dict[str, Any] = {
        "customer_id": "cus_1",
        "product_id": "prd_1",
        "payment_method_id": "pm_1",
        "period": "monthly",
        "amount": {"minor": 1000, "currency": "JPY"},
        **changes,
    }
    return SubscriptionSpec.model_validate(fields)


def opened(terms: Terms) -> State:
    return State(
        id="sub_1", customer_id="cus_1", product_id="prd_1", terms=terms, amount_minor=terms.amount_minor
    )


def story(now: str, *answers: str, **changes: Any) -> Story:
    """A subscription agreed at `now` (local time of its zone); `answers` are the gateway's, then `ok`."""
    asked = spec(**changes)
    instant = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(asked.zone)).astimezone(UTC)
    terms = agree(asked, now=instant)
    return Story(state=opened(terms), now=instant, gateway=Gateway(deque(answers)))
