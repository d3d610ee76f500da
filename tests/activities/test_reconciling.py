"""Three books side by side: real Postgres, real sandbox, each kind of difference made once and found once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import reconciliation as module
from activities.contracts.credits import OpenCredit
from activities.contracts.reconciliation import ReconciliationInput, Report, Totals, Window
from activities.credits import CreditsActivities
from activities.reconciliation import BEGINNING, ReconciliationActivities
from db import incidents
from db.engine import Database
from db.reads.incidents import list_incidents
from domain.errors import TeikiError
from domain.identifiers import deposit_id
from domain.money import Money
from gateways.port import GatewayUnavailable
from gateways.sandbox.launch import RunningSandbox, start_sandbox
from runtime.embedded.postgres import EmbeddedPostgres
from tests.activities.conftest import _driver
from tests.db.house import NOW, unique
from tests.db.order_made import Made

_databases = itertools.count(1)


@pytest.fixture
async def db(server: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database per test: the books are compared whole."""
    name = f"reconciled_{next(_databases)}"
    database = Database.connect(_driver(await server.create_database(name, template="template_migrated")))
    yield database
    await database.close()
    await server.drop_database(name)


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    running = await start_sandbox(":memory:")
    yield running
    assert await running.stop() == 0


@dataclass
class Census:
    """An engine that runs everything but what it is told not to."""

    gone: list[str] = field(default_factory=list)
    answers: bool = True

    async def not_running(self, subscription_ids: list[str]) -> list[str] | None:
        return [name for name in subscription_ids if name in self.gone] if self.answers else None


@dataclass
class Auditing:
    """A desk whose books are compared, everything old enough to be judged unless said otherwise."""

    desk: Any
    census: Census = field(default_factory=Census)

    @property
    def activities(self) -> ReconciliationActivities:
        return ReconciliationActivities(self.desk.db, self.desk.gateway, self.census)  # type: ignore[arg-type]

    async def window(self, **more: Any) -> Window:
        window = await ActivityEnvironment().run(self.activities.window, ReconciliationInput())
        return window.model_copy(
            update={"judged_until": window.until, "decided_by": window.until - timedelta(days=1)} | more
        )

    async def compare(self, **more: Any) -> Report:
        return await ActivityEnvironment().run(self.activities.compare, await self.window(**more))

    async def incidents(self) -> list[tuple[str, str | None]]:
        page = await list_incidents(self.desk.db)
        return sorted((item.kind, item.subject_id) for item in page.items)

    async def spoil(self, *statements: str) -> None:
        async with self.desk.db.connection() as driver:
            await driver.execute("SET session_replication_role = replica")
            for statement in statements:
                await driver.execute(statement)  # type: ignore[arg-type]  # a test's own text
            await driver.execute("SET session_replication_role = DEFAULT")


@pytest.fixture
def books(desk) -> Auditing:
    return Auditing(desk)


async def test_books_that_agree_are_reported_with_their_totals_and_leave_no_incident(books, desk):
    paid, returned = await desk.subscription(), await desk.subscription()
    tried = await desk.subscription({"decline": "insufficient_funds"})
    for order in (paid, returned, tried):
        await desk.charge(order)
    await desk.charge(tried, attempt=2)
    await desk.refund(returned)
    report = await books.compare()
    assert report.agrees
    assert report.totals == {"JPY": Totals(gateway=2000, attempts=2000, ledger=2000)}
    # Three charges, one decline and one refund at the gateway; three charges and one refund in the ledger.
    assert (report.movements, report.bookings, report.in_flight) == (5, 4, 0)
    assert await books.incidents() == []


async def test_credits_are_three_times_the_same_and_an_open_one_needs_its_workflow(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    names = {minor: unique("crd") for minor in (300, 200)}
    for minor, name in names.items():
        given = {"object_id": order.subscription_id, "number": 1, "actor": "operator:desk", "at": NOW}
        amount = Money(minor=minor, currency="JPY")
        credit = OpenCredit(credit_id=name, amount=amount, request_id=name, **given)
        assert (await desk.run(CreditsActivities(desk.db, desk.gateway).open, credit)).outcome == "opened"
    await desk.refund(order, credit_id=names[300])
    report = await books.compare()
    assert report.agrees
    assert report.totals == {"JPY": Totals(gateway=700, attempts=700, ledger=700)}
    books.census.gone = list(names.values())
    await ActivityEnvironment().run(books.activities.missing_workflows, report)
    assert await books.incidents() == [("workflow_missing", names[200])]


async def test_a_charge_that_nobody_asked_for_is_an_incident_known_the_second_time(books, desk):
    await _by_hand(desk, "sub_stranger/1/1")
    first, second = await books.compare(), await books.compare()
    assert (first.incidents_new, first.incidents_known) == (1, 0)
    assert (second.incidents_new, second.incidents_known) == (0, 1)
    assert not second.agrees
    assert first.totals == {"JPY": Totals(gateway=500)}
    assert await books.incidents() == [("charge_without_attempt", None)]
    assert first.shown[0].facts == {
        "reference": "sub_stranger/1/1",
        "gateway": "charge settled",
        "attempt": "nothing",
    }


async def test_a_second_charge_under_one_reference_is_a_double_charge(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    await _by_hand(desk, f"{order.subscription_id}/1/1")
    report = await books.compare()
    assert await books.incidents() == [("double_charge", order.subscription_id)]
    assert report.totals["JPY"] == Totals(gateway=1500, attempts=1000, ledger=1000)


async def test_money_that_moved_while_we_believe_that_it_did_not_is_an_incident(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    await books.spoil(
        "UPDATE attempts SET state = 'declined', decline = 'never_arrived', gateway_id = NULL",
        "DELETE FROM ledger",
    )
    await books.compare()
    assert await books.incidents() == [("state_differs", order.subscription_id)]


async def test_a_charge_of_ours_that_the_gateway_does_not_know_is_an_incident(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    await books.spoil("UPDATE attempts SET gateway_id = 'ch_nobody', reference = 'sub_x/1/1'")
    report = await books.compare()
    assert [kind for kind, _ in await books.incidents()] == [
        "charge_missing_at_gateway",
        "charge_without_attempt",
    ]
    assert report.totals["JPY"] == Totals(gateway=1000, attempts=1000, ledger=1000)


async def test_a_refund_of_ours_that_the_gateway_does_not_know_is_an_incident(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    await desk.refund(order)
    await books.spoil(
        "UPDATE attempts SET gateway_id = 'rf_nobody', reference = 'sub_x/1/refund' WHERE purpose = 'refund'"
    )
    await books.compare()
    # At the gateway the refund is one that our ledger does not know.
    assert [kind for kind, _ in await books.incidents()] == ["ledger_differs", "refund_missing_at_gateway"]


@pytest.mark.parametrize(
    ("break_by", "kind"),
    [
        ("UPDATE attempts SET amount_minor = 999", "amount_differs"),
        ("UPDATE ledger SET amount_minor = 999", "ledger_differs"),
        ("UPDATE ledger SET debit_account = 'fees'", "ledger_differs"),
        ("DELETE FROM ledger", "ledger_differs"),
    ],
)
async def test_amounts_and_bookings_are_compared_to_the_last_unit(books, desk, break_by, kind):
    order = await desk.subscription()
    await desk.charge(order)
    await books.spoil(break_by)
    report = await books.compare()
    assert {found for found, _ in await books.incidents()} == {kind}
    assert not report.agrees


async def test_a_booking_of_an_attempt_that_did_not_settle_is_an_incident(books, desk):
    order = await desk.subscription({"decline": "lost_card"})
    await desk.charge(order)
    await books.spoil(
        "INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)"
        " SELECT key, 'charge', 'gateway_receivable', 'revenue', 1000, 'JPY', now() FROM attempts"
    )
    await books.compare()
    assert await books.incidents() == [("ledger_differs", order.subscription_id)]


async def test_an_attempt_that_has_been_unknown_for_too_long_is_an_incident(books, desk):
    order = await desk.subscription("approve")
    await desk.remote.faults({"fault": "drop_before", "probability": 1.0, "route": "charge"})
    assert (await desk.charge(order)).outcome == "unknown"
    await desk.remote.faults()
    report = await books.compare()
    assert await books.incidents() == [("attempt_stuck", order.subscription_id)]
    assert report.shown[0].facts["attempt"] == "unknown"


async def test_what_is_young_is_in_flight_and_proves_nothing(books, desk):
    order = await desk.subscription("approve")
    await desk.charge(order)
    await _by_hand(desk, f"{order.subscription_id}/1/1")
    await books.spoil("DELETE FROM ledger")
    report = await books.compare(judged_until=BEGINNING)
    assert (report.in_flight, report.agrees) == (2, True)
    assert await books.incidents() == []


async def test_a_twin_that_was_booked_agrees_before_and_after_it_went_back(books, desk):
    order = await desk.subscription()
    await desk.charge(order)
    twin = await _by_hand(desk, f"{order.subscription_id}/1/1")
    attempt = await desk.attempt(order)
    from db import twins  # noqa: PLC0415 - for this test only

    reference = f"{order.subscription_id}/1/twin/{twin}"
    names = {"key": "k-twin", "reference": reference, "gateway_id": twin}
    booked = await twins.book_twin(
        desk.db, charge_key=attempt["key"], amount=Money(minor=500, currency="JPY"), at=later(), **names
    )
    assert booked
    report = await books.compare()
    assert report.agrees
    assert report.totals["JPY"] == Totals(gateway=1500, attempts=1500, ledger=1500)
    begun = await twins.begin_return(desk.db, attempt=1, at=later(), resend_unsent=True, **names)
    assert begun.outcome == "new"
    back = await desk.gateway.refund(
        charge_id=twin,
        amount=Money(minor=500, currency="JPY"),
        reference=reference,
        idempotency_key="k-twin",
    )
    await twins.settle_return(desk.db, key="k-twin", gateway_id=back.gateway_id, at=later())
    report = await books.compare()
    assert report.agrees
    assert report.totals["JPY"] == Totals(gateway=1000, attempts=1000, ledger=1000)


async def test_what_a_person_has_closed_is_explained_and_no_longer_held_against_the_books(books, desk):
    await _by_hand(desk, "sub_stranger/1/1")
    await books.compare()
    (incident,) = (await list_incidents(desk.db)).items
    assert await incidents.close_incident(
        desk.db, incident.id, actor="operator:desk", comment="our own test of the terminal"
    )
    report = await books.compare()
    assert (report.incidents_explained, report.incidents_known, report.agrees) == (1, 0, True)


# ---------------------------------------------------------------------- windows, batches, second runs


async def test_a_run_begins_a_day_before_the_end_of_the_last_one(books, desk):
    window = await ActivityEnvironment().run(books.activities.window, ReconciliationInput())
    assert window.since == BEGINNING
    assert window.judged_until == window.until - timedelta(minutes=15)
    report = await books.compare()
    for _ in range(2):
        await ActivityEnvironment().run(books.activities.store, report)
    assert await desk.house.row("SELECT count(*)::int AS n FROM reconciliations") == {"n": 1}
    following = await ActivityEnvironment().run(books.activities.window, ReconciliationInput())
    assert following.since == report.until - timedelta(days=1)
    asked = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    chosen = await ActivityEnvironment().run(books.activities.window, ReconciliationInput(since=asked))
    assert chosen.since == asked


async def test_small_batches_find_the_same_as_one_big_one(books, desk, monkeypatch):
    orders = [await desk.subscription() for _ in range(6)]
    for order in orders:
        await desk.charge(order)
    await desk.refund(orders[0])
    await _by_hand(desk, "sub_stranger/1/1")
    whole = await books.compare()
    monkeypatch.setattr(module, "_PAGES_OF_A_BATCH", 1)
    small = await ActivityEnvironment().run(
        ReconciliationActivities(desk.db, _SmallPages(desk.gateway), Census()).compare,  # type: ignore[arg-type]
        await books.window(),
    )
    assert small.totals == whole.totals
    assert (small.movements, small.bookings) == (whole.movements, whole.bookings) == (8, 7)
    assert (small.incidents_new, small.incidents_known) == (0, 1)


async def test_another_worker_goes_on_where_the_first_one_died(books, desk, monkeypatch):
    for _ in range(5):
        await desk.charge(await desk.subscription())
    whole = await books.compare()
    monkeypatch.setattr(module, "_PAGES_OF_A_BATCH", 1)
    gateway = _SmallPages(desk.gateway, dies_after=2)
    activities = ReconciliationActivities(desk.db, gateway, Census())  # type: ignore[arg-type]
    beats: list[Any] = []
    first = ActivityEnvironment()
    first.on_heartbeat = lambda *details: beats.append(details[0].model_copy(deep=True))
    window = await books.window()
    with pytest.raises(GatewayUnavailable):
        await first.run(activities.compare, window)
    assert beats, "it died without having said where it was"
    second = ActivityEnvironment()
    second.info = _with_details(second.info, beats[-1].model_dump(mode="json"))
    gateway.dies_after = None
    gateway.asked = []
    resumed = await second.run(activities.compare, window)
    assert gateway.asked[0] is not None, "it began anew"
    assert (resumed.totals, resumed.movements, resumed.bookings) == (whole.totals, 5, 5)
    assert resumed.agrees


async def test_a_gateway_that_cannot_be_read_is_no_difference(books, desk):
    await desk.charge(await desk.subscription())
    await desk.remote.faults({"fault": "error_before", "probability": 1.0, "route": "list"})
    with pytest.raises(GatewayUnavailable):
        await books.compare()
    assert await books.incidents() == []


# ---------------------------------------------------------------------- the engine's side


async def test_a_subscription_without_a_workflow_is_an_incident(books, desk):
    lost, running = await desk.subscription(), await desk.subscription()
    books.census.gone = [lost.subscription_id]
    report = await ActivityEnvironment().run(books.activities.missing_workflows, await books.compare())
    assert (report.workflows, report.missing_workflows) == (2, [lost.subscription_id])
    assert await books.incidents() == [("workflow_missing", lost.subscription_id)]
    assert running.subscription_id not in report.missing_workflows


async def test_an_order_and_a_slip_without_a_workflow_are_incidents_and_ended_ones_are_not_asked_for(
    books, desk
):
    made = Made(desk.db)
    waiting = await made.order(
        pay="konbini", status="in_process", payment_status="payment_pending", payments=0
    )
    ended = await made.order(status="canceled", payment_status="refunded")
    slip = deposit_id(waiting, 2)
    await made.slip(waiting, 1, "canceled", "another_slip", id=deposit_id(waiting, 1))
    await made.slip(waiting, 2, "issued", "issued", id=slip)
    books.census.gone = [waiting, ended, slip]
    report = await ActivityEnvironment().run(books.activities.missing_workflows, await books.compare())
    assert (report.workflows, report.missing_workflows) == (2, [slip, waiting])
    assert await books.incidents() == [("workflow_missing", slip), ("workflow_missing", waiting)]
    async with desk.db.transaction() as cursor:
        await cursor.execute("SELECT payload FROM outbox WHERE topic = 'incident.opened' ORDER BY id")
        told = [row["payload"] for row in await cursor.fetchall()]
    assert [notice.get("deposit_id") or notice.get("order_id") for notice in told] == [slip, waiting]
    assert not any("subscription_id" in notice for notice in told)


async def test_one_that_ended_meanwhile_is_not_missing(books, desk):
    ended = await desk.subscription()
    books.census.gone = [ended.subscription_id]

    class Ends(Census):
        async def not_running(self, subscription_ids):
            await books.spoil(
                "UPDATE subscriptions SET status = 'canceled', next_kind = NULL, next_at = NULL"
            )
            return subscription_ids

    books.census = Ends()
    report = await ActivityEnvironment().run(books.activities.missing_workflows, await books.compare())
    assert (report.workflows, report.missing_workflows, await books.incidents()) == (1, [], [])


async def test_an_engine_that_cannot_be_asked_is_said_so(books, desk):
    await desk.subscription()
    books.census.answers = False
    report = await ActivityEnvironment().run(books.activities.missing_workflows, await books.compare())
    assert (report.workflows, report.missing_workflows) == (None, [])


# ---------------------------------------------------------------------- incidents


async def test_an_incident_tells_history_and_the_outbox_once(desk):
    order = await desk.subscription()
    about = {"kind": "attempt_stuck", "dedupe_key": "attempt_stuck:k", "subject_id": order.subscription_id}
    opened = [
        await incidents.open_incident(desk.db, **about, number=3, facts={"since": "now"}) for _ in range(2)
    ]
    assert opened == [True, False]
    (incident,) = (await list_incidents(desk.db, subject_id=order.subscription_id)).items
    closed = [
        await incidents.close_incident(desk.db, incident.id, actor="operator:desk", comment="looked into")
        for _ in range(2)
    ]
    assert closed == [True, False]
    told = await desk.house.rows(
        "SELECT actor, comment, number, data FROM history WHERE kind = 'incident' ORDER BY seq"
    )
    assert [(row["actor"], row["number"], row["data"]["outcome"]) for row in told] == [
        ("system", 3, "opened"),
        ("operator:desk", 3, "closed"),
    ]
    topics = await desk.house.rows("SELECT topic FROM outbox WHERE topic LIKE 'incident.%%' ORDER BY id")
    assert [row["topic"] for row in topics] == ["incident.opened", "incident.closed"]
    assert (await list_incidents(desk.db)).items == []
    assert [item.closed_by for item in (await list_incidents(desk.db, with_closed=True)).items] == [
        "operator:desk"
    ]


async def test_an_incident_that_does_not_exist_cannot_be_closed(desk):
    with pytest.raises(TeikiError) as refused:
        await incidents.close_incident(desk.db, "inc_0", actor="operator:desk", comment="")
    assert refused.value.code.value == "incident_not_found"


async def test_incidents_are_listed_newest_first_page_by_page(desk):
    for number in range(5):
        await incidents.open_incident(desk.db, kind="attempt_stuck", dedupe_key=f"attempt_stuck:{number}")
    first = await list_incidents(desk.db, limit=3)
    second = await list_incidents(desk.db, limit=3, cursor=first.next_cursor)
    seen = [*first.items, *second.items]
    assert [item.opened_at for item in seen] == sorted((item.opened_at for item in seen), reverse=True)
    assert (len({item.id for item in seen}), second.next_cursor) == (5, None)


async def _by_hand(desk: Any, reference: str) -> str:
    """A charge that somebody else made on our account."""
    outcome = await desk.gateway.charge(
        token="tok_ok",
        amount=Money(minor=500, currency="JPY"),
        reference=reference,
        idempotency_key=f"by-hand-{reference}",
    )
    return str(outcome.gateway_id)


def later() -> datetime:
    return datetime.fromisoformat("2026-02-01T00:00:00+00:00")


def _with_details(info: Any, details: Any) -> Any:
    from dataclasses import replace  # noqa: PLC0415 - for this helper only

    return replace(info, heartbeat_details=[details])


@dataclass
class _SmallPages:
    """The real gateway, its list given in pages of two; it may stop answering."""

    gateway: Any
    dies_after: int | None = None
    asked: list[str | None] = field(default_factory=list)

    @property
    def capabilities(self) -> Any:
        return self.gateway.capabilities

    async def get(self, gateway_id: str) -> Any:
        return await self.gateway.get(gateway_id)

    async def list(self, *, since: datetime, cursor: str | None = None) -> Any:
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise GatewayUnavailable("It stopped answering.")
        self.asked.append(cursor)
        page = await self.gateway.list(since=since)
        start = int(cursor or 0)
        following = str(start + 2) if start + 2 < len(page.items) else None
        return page.model_copy(update={"items": page.items[start : start + 2], "next_cursor": following})
