"""An order lived through in simulated time, with a till and a card company that have books of their own.

`World` does what the workflows of an order and its slips do with the domain's decisions, and nothing else. The truth is
what customers did (`till`, `settled`, `returned`); the order learns of it by asking, and by news that may come twice or
too late. What must hold after every act is in `check`, what must hold at the end in `check_the_end`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import deposit as deposits
from domain import order as orders
from domain import order_operations as operations
from domain.deposit import DepositState, DepositStatus
from domain.errors import TeikiError
from domain.money import Money
from domain.order_projection import row_of
from domain.order_state import DepositFact, Event, OrderStatus, PaymentStatus, State, SubscriptionFact
from domain.order_steps import StepKind, next_step, slip_to_tend
from domain.order_terms import KonbiniSpec, OrderSpec, Pay, order_terms
from domain.permission import PermissionStatus
from domain.product import ProductTerms
from domain.subscription import Status
from domain.unresolved import InFlight, Mode, question_mode, unresolved

START = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
SOLD = {"card": "one_time", "konbini": "one_time", "recurring": "recurring", "none": "token_auth"}
STEPS_MAX = 20_000
# The spec's own table (orders.md §2), written down a second time on purpose. Back to in_process: a preliminary notice
# that was taken back (§4).
ALLOWED = {
    ("in_process", "complete"),
    ("in_process", "canceled"),
    ("complete", "purchase_confirmed"),
    ("complete", "expired"),
    ("complete", "canceled"),
    ("purchase_confirmed", "expired"),
    ("purchase_confirmed", "canceled"),
    ("complete", "in_process"),
    ("purchase_confirmed", "in_process"),
}
KONBINI = {"store": "lawson", "customer_name": "Test Customer", "phone": "090-0000-0000"}


def an_order(
    pay: str = "konbini", *, minor: int = 3500, currency: str = "JPY", refundable: bool = True, **more: Any
) -> State:
    """An order just placed; `more` goes to the product, or to the spec where it is a field of it."""
    of_spec = {name: more.pop(name) for name in ("preliminary_completes", "konbini", "zone") if name in more}
    given: dict[str, Any] = {"customer_id": "cus_1", "product_id": "prd_1", "pay": pay} | of_spec
    if pay == "konbini":
        given["konbini"] = KonbiniSpec.model_validate(KONBINI | given.get("konbini", {}))
    if pay in ("card", "recurring"):
        given["payment_method_id"] = "pm_1"
    if pay == "recurring":
        given["subscription"] = {"period": "monthly"}
    spec = OrderSpec.model_validate(given)
    price = None if pay == "none" else Money(minor=minor, currency=currency)
    said = {"sales_method": SOLD[pay], "price": price, "point_rate": "0.01"} | more
    terms = order_terms(
        "ord_1", spec, "One", ProductTerms.model_validate(said), konbini_refundable=refundable
    )
    return orders.placed("ord_1", spec, terms, number="20260401-0000001", custom_fields={})


@dataclass
class Slip:
    """A slip in the payment company's book: what customers did with it."""

    is_open: bool = True
    preliminary: bool = False
    payments: int = 0
    late_seen: int = 0


@dataclass
class World:
    """One order and everybody who has a say in it. `card`: what becomes of each card payment, in turn."""

    state: State
    card: list[str] = field(default_factory=list)
    now: datetime = START
    is_down: bool = False
    refuses_refunds: bool = False
    remittance_requests: int = 0
    settled: int = 0
    returned: int = 0
    till: dict[int, Slip] = field(default_factory=dict)
    slips: dict[int, DepositState] = field(default_factory=dict)
    told: list[DepositFact | SubscriptionFact] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ended_as: OrderStatus | None = None
    subscription: SubscriptionFact | None = None
    lost: str | None = None
    stays: int | None = None

    @classmethod
    def begun(cls, state: State, **more: Any) -> World:
        """Placed, and what happens at once has happened: a token is accepted, a card is charged, a slip is issued."""
        world = cls(state, **more)
        if state.terms.pay is Pay.NONE:
            world._did(orders.acquired(state, world.now))
        world.pass_time(timedelta())
        return world

    # ------------------------------------------------------------------ time

    def pass_time(self, duration: timedelta) -> None:
        target = self.now + duration
        for _ in range(STEPS_MAX):
            instants = [step.at for step in self._steps()]
            due = min(instants, default=None)
            if due is None or due > target:
                self.now = target
                return
            self.now = max(self.now, due)
            self._take_what_is_due()
        raise AssertionError("this order does something without end")

    def _steps(self) -> list[Any]:
        steps = [next_step(self.state, self.now), *(deposits.next_step(slip) for slip in self.slips.values())]
        return [step for step in steps if step is not None]

    def _take_what_is_due(self) -> None:
        step = next_step(self.state, self.now)
        if step is not None and step.at <= self.now:
            self._step_of_order(step.kind)
        for number in list(self.slips):
            due = deposits.next_step(self.slips[number])
            if due is not None and due.at <= self.now:
                self._step_of_slip(number, due.name)
        self.check()

    # ------------------------------------------------------------------ the order

    def _step_of_order(self, kind: StepKind) -> None:
        state, now = self.state, self.now
        if kind is StepKind.CONFIRM:
            self._did(orders.confirm(state, now))
        elif kind is StepKind.EXPIRE:
            self._did(orders.expire(state, now))
        elif kind is StepKind.LAPSE:
            self._did(orders.lapse(state))
        elif kind is StepKind.SLIP:
            self._tend_slip()
        elif kind is StepKind.SUBSCRIPTION:
            self._tend_subscription()
        elif kind is StepKind.REFUND:
            self._refund()
        else:
            self._card()

    def _did(self, events: list[Event]) -> None:
        self.events += events

    def _card(self) -> None:
        """`ok`, `no`; or `lost>ok`, `lost>no`: no answer to the request, the truth when asked after the horizon."""
        state, now = self.state, self.now
        if state.in_flight is None:
            state.in_flight = InFlight(state="unknown", sent_at=now, resent_at=now, next_at=now)
            answer = self.card.pop(0) if self.card else "ok"
            self.lost = answer.partition(">")[2] or None
        else:
            wanted = state.status is OrderStatus.IN_PROCESS
            mode = question_mode(state.in_flight, now, wanted=wanted, ended=state.is_final)
            answer = "lost" if self.is_down or mode is Mode.ASK else str(self.lost)
        if answer == "ok":
            assert state.terms.price is not None
            self.settled += state.terms.price.minor
            self._did(orders.paid(state, 1, state.terms.price.minor, now))
        elif answer == "no":
            self._did(orders.declined(state, "insufficient_funds"))
        else:
            unresolved(state.in_flight, "unknown", now, horizon_s=600, key_ttl_s=10**9)

    def _refund(self) -> None:
        state, now = self.state, self.now
        refund = state.next_refund
        assert refund is not None
        self.remittance_requests += 0 if refund.again else 1
        if refund.again:
            orders.refund_refused_before(state, refund, now)
        elif self.is_down:
            unresolved(refund.flight, "unknown", now, horizon_s=600, key_ttl_s=10**9, resent=True)
        elif self.refuses_refunds or refund.flight.state == "attention":
            unresolved(refund.flight, "attention", now)
        else:
            self.returned += refund.amount_minor
            self._did(orders.refunded(state, refund, now))

    # ------------------------------------------------------------------ slips

    def _tend_slip(self) -> None:
        slip = slip_to_tend(self.state)
        assert slip is not None
        terms = self.state.terms
        if slip.is_started:
            assert slip.cancel is not None
            deposits.cancel(self.slips[slip.number], slip.cancel, self.now)
            changed = slip.model_copy(update={"is_told": True})
        else:
            assert terms.konbini is not None
            assert terms.price is not None
            self.slips[slip.number] = deposits.opened(
                slip.deposit_id, "ord_1", slip.number, terms.konbini, terms.price, self.now
            )
            changed = slip.model_copy(update={"is_started": True})
        if self.state.earlier_slip is not None and self.state.earlier_slip.number == slip.number:
            self.state.earlier_slip = changed
        else:
            self.state.slip = changed

    def _step_of_slip(self, number: int, name: str) -> None:
        slip, now = self.slips[number], self.now
        if name == "refund":
            refund = slip.next_refund
            assert refund is not None
            if self.is_down:
                unresolved(refund.flight, "unknown", now, horizon_s=600, key_ttl_s=10**9, resent=True)
            else:
                self.returned += refund.amount_minor
                slip.refunds = tuple(other for other in slip.refunds if other is not refund)
        elif name == "watch":
            self._watch(slip)
        else:
            self._question(slip, name)

    def _watch(self, slip: DepositState) -> None:
        book = self.till.get(slip.number)
        if book is not None and not self.is_down:
            expected = 1 if slip.status is DepositStatus.PAID else 0
            while book.late_seen < book.payments - expected:
                book.late_seen += 1
                assert deposits.late_money(
                    slip, f"ch_{slip.number}_{book.late_seen}", slip.amount.minor, self.now
                )
        deposits.watched(slip, self.now, clear=not self.is_down)

    def _question(self, slip: DepositState, name: str) -> None:
        assert slip.flight is not None
        if self.is_down:
            unresolved(slip.flight, "unknown", self.now, horizon_s=600, key_ttl_s=10**9)
            if slip.status is not DepositStatus.REQUESTED:
                deposits.asked_in_vain(slip, self.now)
            return
        if name == "issue":
            self.till.setdefault(slip.number, Slip())
        book = self.till.get(slip.number)
        if book is None:
            self._tell(slip, deposits.closed(slip, self.now))
        elif book.payments:
            self._tell(slip, deposits.paid(slip, self.now))
        elif name == "void" and not book.preliminary:
            book.is_open = False
            self._tell(slip, deposits.closed(slip, self.now))
        else:
            moves = deposits.shown_pending(slip, f"kon_{slip.number}", self.now, preliminary=book.preliminary)
            if name == "void":
                deposits.asked_in_vain(slip, self.now)
            self._tell(slip, moves)

    def _tell(self, slip: DepositState, moves: list[Any]) -> None:
        for move in moves:
            # Two answers of the payment company never come at the same instant.
            at = self.now + timedelta(microseconds=len(self.told))
            self.hear(
                DepositFact(deposit_id=slip.id, number=slip.number, status=move.to, reason=move.reason, at=at)
            )

    def hear(self, fact: DepositFact) -> None:
        self.told.append(fact)
        self._did(orders.deposit_changed(self.state, fact, self.now))

    # ------------------------------------------------------------------ the subscription

    def _tend_subscription(self) -> None:
        if self.state.subscription_cancel is None:
            self.state.subscription_started = True
            self.subscription = SubscriptionFact(status=Status.UNVERIFIED, charges=0)
            return
        self.state.subscription_cancel = None
        self.subscription_goes("ends")

    def subscription_goes(self, how: str) -> None:
        """`pays`, `fails` or `ends`."""
        fact = self.subscription
        if fact is None or fact.status is Status.CANCELED:
            return
        assert self.state.terms.price is not None
        minor = self.state.terms.price.minor
        if how == "pays":
            self.settled += minor
            fact = SubscriptionFact(
                status=Status.CURRENT,
                charges=fact.charges + 1,
                charged_minor=fact.charged_minor + minor,
                paid_until=self.now + timedelta(days=30),
                last_number=fact.charges + 1,
                last_amount_minor=minor,
            )
        else:
            failing = Status.UNPAID if fact.charges else Status.UNCONFIRMED
            status = failing if how == "fails" else Status.CANCELED
            fact = fact.model_copy(update={"status": status})
        self.subscription = fact
        self.told.append(fact)
        self._did(orders.subscription_changed(self.state, fact, self.now))

    # ------------------------------------------------------------------ people

    def do(self, name: str, actor: str = "operator:desk", **given: Any) -> str:
        """`done`, or the code with which it is refused; a refusal changes nothing."""
        tried = self.state.model_copy(deep=True)
        calls: dict[str, Any] = {
            "use": lambda s: operations.use(s, self.now, actor),
            "process_access": lambda s: operations.process_access(s, self.now, actor),
            "cancel": lambda s: operations.cancel(s, self.now, actor, **given),
            "cancel_subscription": lambda s: operations.cancel_subscription(s, actor),
            "issue_slip": operations.issue_slip,
            "change_custom_fields": lambda s: operations.change_custom_fields(s, given),
        }
        try:
            events = calls[name](tried)
        except TeikiError as error:
            return error.code.value
        if name == "cancel" and tried.terms.pay is Pay.RECURRING:
            # The last payment goes back, and whatever is charged before the subscription hears of it.
            last = (self.subscription.last_amount_minor or 0) if self.subscription else 0
            self.stays = self.settled - last
        self.state = tried
        self._did(events)
        return "done"

    def at_the_till(self, number: int, what: str) -> bool:
        """`pays`, `announces` (a preliminary notice), `takes_back`; whether the till let it happen."""
        book, slip = self.till.get(number), self.slips.get(number)
        if book is None or slip is None:
            return False
        if what == "pays":
            # A kiosk's slip can be paid after the end and a second time: nobody can keep customers from it.
            book.payments += 1
            book.preliminary = False
            self.settled += slip.amount.minor
            return True
        if book.payments or not book.is_open or book.preliminary is (what == "announces"):
            return False
        book.preliminary = what == "announces"
        return True

    def notify(self) -> None:
        for slip in self.slips.values():
            deposits.noticed(slip, self.now)
        self.pass_time(timedelta())

    # ------------------------------------------------------------------ what must hold

    def check(self) -> None:
        state = self.state
        changes = [
            event.data for event in self.events if event.kind == "status" and event.data["object"] == "order"
        ]
        assert {(change["from"], change["to"]) for change in changes} <= ALLOWED
        if self.ended_as is not None:
            assert state.status is self.ended_as, "a final order changed its status"
        self.ended_as = state.status if state.is_final else None
        granted = state.permission is not None and state.permission.status in (
            PermissionStatus.ACTIVE,
            PermissionStatus.USED,
        )
        assert not granted or self._is_entitled(), (
            f"access without money: {state.status}, {state.payment_status}"
        )
        assert 0 <= self.returned <= self.settled
        assert 0 <= state.refunded_minor <= state.paid_minor
        points = Counter(event.data["what"] for event in self.events if event.kind == "points")
        assert points["earned"] - points["taken_back"] == (1 if state.points_earned else 0)
        assert row_of(state, self.now).status is state.status

    def _is_entitled(self) -> bool:
        """Money is settled and not on its way back, or a notice stands that the merchant accepts as money."""
        state = self.state
        if state.terms.pay is Pay.NONE or state.terms.pay is Pay.RECURRING:
            return state.terms.pay is Pay.NONE or (
                self.subscription is not None and self.subscription.charges > 0
            )
        if state.terms.pay is Pay.KONBINI and state.is_preliminary:
            assert state.slip is not None
            stands = self.slips[state.slip.number].status in (DepositStatus.PRELIMINARY, DepositStatus.PAID)
            return state.terms.preliminary_completes and stands
        price = state.terms.price.minor if state.terms.price else 0
        return state.paid_number is not None and self.settled - self.returned >= price

    def check_the_end(self) -> None:
        """Everything is told, nothing is under way: the customer is charged for what they got, and for nothing else."""
        state, price = self.state, self.state.terms.price.minor if self.state.terms.price else 0
        assert all(not slip.refunds for slip in self.slips.values())
        if state.refunds:
            assert self.refuses_refunds
            return
        kept = self.settled - self.returned
        if state.terms.pay is Pay.RECURRING:
            assert kept == (self.settled if self.stays is None else self.stays)
            return
        stands = state.paid_number is not None and state.status is not OrderStatus.CANCELED
        assert kept == (price if stands else 0), f"{kept} kept of {self.settled}, {state.status}"
        if state.payment_status is PaymentStatus.REFUNDED:
            assert state.refunded_minor == state.paid_minor
