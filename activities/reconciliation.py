"""Do the books agree? The gateway's list against attempts and ledger, and back (spec: charging.md §§2.6, 3).

A chargeback that nobody has told of is no difference but news: nothing may depend on a webhook's arrival.

The gateway's list is read page by page; beside each batch go the ledger entries of the same time, so that memory holds
two batches however long the window is. A booking whose movement was not in sight is asked for by its id before it is
called missing: lists lag, and a movement may be older than its booking. What is younger than the gateway's in-flight
horizon and a grace counts as in flight. Differences become incidents; nothing is mended here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from temporalio import activity

from activities.contracts.reconciliation import (
    COMPARE,
    MISSING_WORKFLOWS,
    SHOWN_MAX,
    STORE,
    WINDOW,
    FoundDifference,
    Progress,
    ReconciliationContract,
    ReconciliationInput,
    Report,
    Totals,
    Window,
)
from activities.engine_census import EngineCensus
from db import incidents, reconciliations, webhook_inbox
from db.engine import Database
from domain.reconciliation import (
    DECISION_PATIENCE,
    IN_FLIGHT_GRACE,
    MOVEMENT_BOOKINGS,
    Attempt,
    Difference,
    Movement,
    booked_unsettled,
    is_news,
    judge,
    missing,
    stuck,
    workflow_missing,
)
from gateways.port import GatewayCharge, PaymentGateway

OVERLAP: Final = timedelta(days=1)
"""Each run looks again at the last day of the one before: what was in flight then is judged now."""
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_PAGES_OF_A_BATCH: Final = 10
_OBJECTS_OF_A_BATCH: Final = 200


@dataclass(frozen=True)
class ReconciliationActivities(ReconciliationContract):
    """Reads the gateway, the books and the engine; writes incidents, reports, and news of chargebacks."""

    db: Database
    gateway: PaymentGateway
    census: EngineCensus

    @activity.defn(name=WINDOW)
    async def window(self, order: ReconciliationInput) -> Window:
        promises = self.gateway.capabilities
        clock = await reconciliations.read_clock(self.db, promises.name)
        since = clock.last_until - OVERLAP if clock.last_until else BEGINNING
        return Window(
            gateway=promises.name,
            since=min(order.since or since, clock.now),
            until=clock.now,
            judged_until=clock.now - promises.inflight_horizon - IN_FLIGHT_GRACE,
            decided_by=clock.now - promises.inflight_horizon - DECISION_PATIENCE,
        )

    @activity.defn(name=COMPARE)
    async def compare(self, window: Window) -> Report:
        return await _Comparison.resumed(self, window).run()

    @activity.defn(name=MISSING_WORKFLOWS)
    async def missing_workflows(self, report: Report) -> Report:
        after, asked = "", 0
        while True:
            running = await reconciliations.running_after(self.db, after, limit=_OBJECTS_OF_A_BATCH)
            if not running:
                return report.model_copy(update={"workflows": asked})
            missed = await self.census.not_running([object_id for object_id, _ in running])
            if missed is None:
                return report
            for object_id in missed:
                # It may have ended between the two questions.
                status = await reconciliations.status_if_running(self.db, object_id)
                if status is None:
                    continue
                if await raised(self.db, workflow_missing(object_id, status=status)) != "explained":
                    report.workflows_missing += 1
                    if len(report.missing_workflows) < SHOWN_MAX:
                        report.missing_workflows.append(object_id)
            after, asked = running[-1][0], asked + len(running)
            activity.heartbeat(asked)

    @activity.defn(name=STORE)
    async def store(self, report: Report) -> None:
        await reconciliations.store_report(
            self.db,
            gateway=report.gateway,
            since=report.since,
            until=report.until,
            report=report.model_dump(mode="json"),
        )


@dataclass
class _Comparison:
    """One run of `compare`."""

    desk: ReconciliationActivities
    window: Window
    progress: Progress | None
    _seen: set[str] = field(default_factory=set)
    """Settled movements of this batch and the one before."""

    @classmethod
    def resumed(cls, desk: ReconciliationActivities, window: Window) -> _Comparison:
        details = activity.info().heartbeat_details
        return cls(desk, window, Progress.model_validate(details[0]) if details else None)

    async def run(self) -> Report:
        window = self.window
        if self.progress is None:
            start = await reconciliations.last_entry_before(self.desk.db, window.since)
            self.progress = Progress(entry_id=start, report=Report.begun(window))
        at = self.progress
        more = True
        while more:
            before = self._seen
            self._seen = set()
            reached = window.since
            for _ in range(_PAGES_OF_A_BATCH):
                page = await self.desk.gateway.list(since=window.since, cursor=at.cursor)
                items = [item for item in page.items if item.created_at <= window.until]
                await self._match(items)
                more = page.next_cursor is not None and len(items) == len(page.items)
                if not more:
                    break
                # The port lists oldest first: everything up to here has been seen.
                at.cursor, reached = page.next_cursor, items[-1].created_at if items else reached
            here = self._seen
            self._seen = here | before
            await self._match_bookings(until=reached if more else window.until)
            self._seen = here
            activity.heartbeat(at)
        await self._look_for_silence()
        return at.report

    # ------------------------------------------------------------------ gateway → our books

    async def _match(self, items: Sequence[GatewayCharge]) -> None:
        assert self.progress is not None
        ours = await reconciliations.attempts_of(
            self.desk.db,
            payments=[payment for item in items if (payment := _payment(item.reference))],
            gateway_ids=[item.gateway_id for item in items],
            judged_until=self.window.judged_until,
        )
        by_payment: dict[tuple[str, int] | None, list[Attempt]] = {}
        by_gateway_id = {attempt.gateway_id: attempt for attempt in ours if attempt.gateway_id}
        for attempt in ours:
            by_payment.setdefault((attempt.object_id, attempt.number), []).append(attempt)
        report = self.progress.report
        for item in items:
            known = [*by_payment.get(_payment(item.reference), ())]
            if item.gateway_id in by_gateway_id:
                known.append(by_gateway_id[item.gateway_id])
            movement = _movement(item)
            if is_news(movement, known):
                await self._hear_of(movement)
                continue
            verdict = judge(movement, known)
            totals = report.totals.setdefault(item.amount.currency, Totals())
            totals.gateway += movement.signed
            totals.attempts += verdict.attempts
            totals.ledger += verdict.ledger
            if movement.signed:
                self._seen.add(item.gateway_id)
            if verdict.difference is not None:
                is_young = verdict.is_young or item.created_at > self.window.judged_until
                await self._difference(verdict.difference, is_young=is_young)
        report.movements += len(items)

    async def _hear_of(self, movement: Movement) -> None:
        """A chargeback that no webhook told of is put where a webhook would have put it; each run tells it once."""
        assert self.progress is not None
        self.progress.report.in_flight += 1
        self.progress.report.chargebacks += 1
        await webhook_inbox.store(
            self.desk.db,
            gateway=self.window.gateway,
            event_id=f"reconciled:{movement.gateway_id}:{self.window.until:%Y%m%dT%H%M%S%f}",
            kind="chargeback.reconciled",
            reference=movement.reference,
            gateway_id=movement.gateway_id,
            body=b"",
        )

    # ------------------------------------------------------------------ our books → gateway

    async def _match_bookings(self, *, until: datetime) -> None:
        assert self.progress is not None
        at = self.progress
        while True:
            entries = await reconciliations.booked_after(
                self.desk.db, at.entry_id, until=until, judged_until=self.window.judged_until
            )
            for entry in entries:
                await self._match_booking(entry)
            at.report.bookings += len(entries)
            if entries:
                at.entry_id = entries[-1].entry_id
            if len(entries) < reconciliations.BATCH:
                return

    async def _match_booking(self, entry: reconciliations.Booked) -> None:
        attempt = entry.attempt
        net = sum(booking.net for booking in attempt.booked(entry.kind))
        is_young = entry.booked_at > self.window.judged_until
        if entry.kind == "correction" and attempt.returns is not None:
            gateway_id = attempt.returns
        elif entry.kind in MOVEMENT_BOOKINGS and attempt.purpose != "receipt":
            if attempt.state != "settled" or attempt.gateway_id is None:
                await self._difference(booked_unsettled(attempt, ledger=net), is_young=is_young)
                return
            gateway_id = attempt.gateway_id
        else:
            return  # fees and the like are not movements of the gateway's list
        if gateway_id in self._seen:
            return
        found = await self.desk.gateway.get(gateway_id)
        if found is not None and found.state == "settled":
            return
        assert self.progress is not None
        totals = self.progress.report.totals.setdefault(attempt.currency, Totals())
        totals.attempts += attempt.minor if net > 0 else -attempt.minor
        totals.ledger += net
        gone = _movement(found) if found else None
        await self._difference(
            missing(attempt, gateway_id=gateway_id, found=gone, ledger=net), is_young=is_young
        )

    async def _look_for_silence(self) -> None:
        """What neither the gateway's list nor the ledger tells of."""
        window = self.window
        unbooked = await reconciliations.settled_unbooked(
            self.desk.db, since=window.since, judged_until=window.judged_until
        )
        for attempt in unbooked:
            await self._difference(booked_unsettled(attempt, ledger=0), is_young=False)
        forgotten = await reconciliations.stuck_attempts(
            self.desk.db, judged_until=window.judged_until, decided_by=window.decided_by
        )
        for attempt, recorded_at in forgotten:
            await self._difference(stuck(attempt, since=recorded_at.isoformat()), is_young=False)

    async def _difference(self, difference: Difference, *, is_young: bool) -> None:
        assert self.progress is not None
        if is_young:
            self.progress.report.in_flight += 1
        else:
            await note(self.desk.db, self.progress.report, difference)


async def note(db: Database, report: Report, difference: Difference) -> None:
    """Show a difference between the books to people, and count it."""
    known = await raised(db, difference)
    if known == "explained":
        report.incidents_explained += 1
        return
    report.incidents_new += known == "new"
    report.incidents_known += known == "waiting"
    if len(report.shown) < SHOWN_MAX:
        names = FoundDifference.model_fields.keys() - {"amount_minor"}
        facts = {name: getattr(difference, name) for name in names}
        report.shown.append(FoundDifference(amount_minor=difference.minor, **facts))


async def raised(db: Database, difference: Difference) -> Literal["new", "waiting", "explained"]:
    """Open its incident, unless it is known: it waits for a person, or a person has closed it."""
    is_new = await incidents.open_incident(
        db,
        kind=difference.kind,
        dedupe_key=difference.dedupe_key,
        subject_id=difference.subject_id,
        number=difference.number,
        attempt_key=difference.attempt_key,
        gateway_id=difference.gateway_id,
        amount_minor=difference.minor,
        currency=difference.currency,
        facts=difference.facts,
    )
    if is_new:
        return "new"
    return "explained" if await incidents.is_closed(db, difference.dedupe_key) else "waiting"


def _payment(reference: str) -> tuple[str, int] | None:
    """The payment a reference of ours begins with; None for one that is not ours."""
    subject, _, rest = reference.partition("/")
    number = rest.partition("/")[0]
    return (subject, int(number)) if number.isdecimal() and len(number) < 10 else None


def _movement(item: GatewayCharge) -> Movement:
    return Movement(
        gateway_id=item.gateway_id,
        kind=item.kind,
        reference=item.reference,
        minor=item.amount.minor,
        currency=item.amount.currency,
        state=item.state,
        charge_id=item.charge_id,
    )
