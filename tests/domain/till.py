"""A Konbini order lived through in simulated time, on the pure rules and a till of a few lines.

`Deposit` does what the workflows do with the domain's decisions, and nothing else: it waits for the earliest step of
order and slips, asks the till's book and hands the answer back. A notice only makes a slip ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import deposit as deposits
from domain import order as orders
from domain import order_operations as operations
from domain import order_steps
from domain.deposit import DepositState
from domain.errors import TeikiError
from domain.money import Money
from domain.order_state import DepositFact, OrderStatus
from domain.order_terms import KonbiniSpec, OrderSpec, OrderTerms, Pay
from domain.permission import PermissionStatus
from domain.product import ProductType

PRICE = 3500
KONBINI = KonbiniSpec(store="lawson", customer_name="Scenario Customer", phone="09012345678")


@dataclass
class Slip:
    """A slip in the till's book: what a question about it is answered with."""

    state: str = "pending"
    is_preliminary: bool = False
    paid_at: datetime | None = None
    late: int = 0
    returned: int = 0


class Deposit:
    """One order, its slips, its till. `kept`: what was paid and not given back."""

    def __init__(self, start: datetime) -> None:
        self.now = start
        spec = OrderSpec(customer_id="cus_0", product_id="prd_0", pay=Pay.KONBINI, konbini=KONBINI)
        terms = OrderTerms(
            pay=Pay.KONBINI,
            product_type=ProductType.DIGITAL,
            product_name="Live replay",
            price=Money(minor=PRICE, currency="JPY"),
            usage_period="P30D",
            point_rate="0.01",
            konbini=KONBINI,
        )
        self.order = orders.placed("ord_0", spec, terms, number="1", custom_fields={})
        self.book: dict[int, Slip] = {}
        self.slips: dict[int, DepositState] = {}
        self.given_back = 0
        self._settle()

    # ------------------------------------------------------------------ what happens from outside

    def happen(self, at: datetime, do: str, slip: int | None = None, *, heard: bool = True) -> None:
        """Let time pass, then let it happen; what is refused changes nothing."""
        self.pass_time(at)
        number = slip or max(self.book)
        if do == "notice":
            self._hear(number)
        elif do.startswith("deposit_"):
            if self._at_the_till(self.book.get(number), do) and heard:
                self._hear(number)
        else:
            try:
                self._operate(do)
            except TeikiError:
                return
        self._settle()

    def pass_time(self, to: datetime) -> None:
        """Every step until then, each at its instant."""
        while (at := self._next_at()) is not None and at <= to:
            self.now = max(self.now, at)
            self._settle()
        self.now = max(self.now, to)

    # ------------------------------------------------------------------ the till

    def _at_the_till(self, slip: Slip | None, do: str) -> bool:
        if slip is None:
            return False
        if do == "deposit_paid":
            if slip.state != "pending":
                slip.late += 1
            else:
                slip.state, slip.is_preliminary, slip.paid_at = "settled", False, self.now
            return True
        wanted = do == "deposit_preliminary"
        if slip.state != "pending" or slip.is_preliminary is wanted:
            return False
        slip.is_preliminary = wanted
        return True

    def _operate(self, do: str) -> None:
        if do == "cancel":
            operations.cancel(self.order, self.now, "customer:cus_0")
        elif do == "use":
            operations.use(self.order, self.now, "customer:cus_0")
        else:
            operations.issue_slip(self.order)

    def _hear(self, number: int) -> None:
        if number in self.slips:
            deposits.noticed(self.slips[number], self.now)

    # ------------------------------------------------------------------ what the workflows do

    def _next_at(self) -> datetime | None:
        steps = [step.at for slip in self.slips.values() if (step := deposits.next_step(slip))]
        if (step := order_steps.next_step(self.order, self.now)) is not None:
            steps.append(step.at)
        return min(steps, default=None)

    def _settle(self) -> None:
        """Do all that is due now."""
        while (at := self._next_at()) is not None and at <= self.now:
            for number, slip in list(self.slips.items()):
                step = deposits.next_step(slip)
                if step is not None and step.at <= self.now:
                    self._bring_forward(number, slip, step.name)
            due = order_steps.next_step(self.order, self.now)
            if due is not None and due.at <= self.now:
                self._order_step(due.kind)

    def _bring_forward(self, number: int, slip: DepositState, step: str) -> None:
        entry = self.book.setdefault(number, Slip())
        if step == "watch":
            for late in range(entry.returned, entry.late):
                deposits.late_money(slip, f"ch_{number}_{late}", PRICE, self.now)
            deposits.watched(slip, self.now, clear=True)
            return
        if step == "refund":
            entry.returned += 1
            slip.refunds = slip.refunds[1:]
            return
        if entry.state == "settled":
            self._tell(slip, deposits.paid(slip, self.now, paid_at=entry.paid_at))
        elif step == "void" or entry.state == "voided":
            entry.state, entry.is_preliminary = "voided", False
            self._tell(slip, deposits.closed(slip, self.now))
        else:
            shown = deposits.shown_pending(slip, f"kb_{number}", self.now, preliminary=entry.is_preliminary)
            self._tell(slip, shown)

    def _tell(self, slip: DepositState, moves: list[deposits.DepositMove]) -> None:
        if not moves:
            return
        fact = DepositFact(
            deposit_id=slip.id,
            number=slip.number,
            status=slip.status,
            reason=slip.reason,
            at=self.now,
            paid_at=slip.paid_at,
        )
        orders.deposit_changed(self.order, fact, self.now)

    def _order_step(self, kind: order_steps.StepKind) -> None:
        state = self.order
        if kind is order_steps.StepKind.CONFIRM:
            orders.confirm(state, self.now)
        elif kind is order_steps.StepKind.EXPIRE:
            orders.expire(state, self.now)
        elif kind is order_steps.StepKind.REFUND:
            assert state.next_refund is not None
            self.given_back += 1
            orders.refunded(state, state.next_refund, self.now)
        else:
            assert kind is order_steps.StepKind.SLIP
            self._tend_slip()

    def _tend_slip(self) -> None:
        slip = order_steps.slip_to_tend(self.order)
        assert slip is not None
        if slip.is_started:
            assert slip.cancel is not None
            deposits.cancel(self.slips[slip.number], slip.cancel, self.now)
            tended = slip.model_copy(update={"is_told": True})
        else:
            assert self.order.terms.price is not None
            self.slips[slip.number] = deposits.opened(
                slip.deposit_id, self.order.id, slip.number, KONBINI, self.order.terms.price, self.now
            )
            tended = slip.model_copy(update={"is_started": True})
        earlier = self.order.earlier_slip
        if earlier is not None and earlier.number == slip.number:
            self.order.earlier_slip = tended
        else:
            self.order.slip = tended

    # ------------------------------------------------------------------ what is to be seen

    @property
    def kept(self) -> int:
        """Payments that were made and not given back."""
        paid = sum((slip.state == "settled") + slip.late - slip.returned for slip in self.book.values())
        return paid - self.given_back

    @property
    def has_access(self) -> bool:
        permission = self.order.permission
        return permission is not None and permission.status is PermissionStatus.ACTIVE

    @property
    def is_announced(self) -> bool:
        """A preliminary notice stands in the till's book, or was taken back unheard since."""
        return self.order.is_preliminary

    def ending(self) -> tuple[object, ...]:
        """What must be the same whatever was heard. A revoked permission is none."""
        order, permission = self.order, self.order.permission
        is_gone = permission is None or permission.status is PermissionStatus.REVOKED
        return (
            order.status,
            order.payment_status,
            order.points_earned,
            None if is_gone or permission is None else permission.status,
            self.kept,
        )


def start_of(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


LONG_AFTER = timedelta(days=70)
ENDED = (OrderStatus.EXPIRED, OrderStatus.CANCELED)
