"""What `teiki doctor` looks at. Each check is one question, with an answer and, when it fails, what to do.

A check that cannot be asked because an earlier one failed is skipped, not failed: one cause, one complaint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import aiohttp
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import OperationalError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.reconciliation import Report, Totals
from db import migrate
from db.engine import Database
from db.reads.audit import list_grants
from db.reads.circuits import gateway_circuit
from db.reads.endpoints import list_endpoints, unheard_for_s
from db.reads.incidents import count_open
from db.reads.webhooks import count_webhooks
from domain.errors import TeikiError
from domain.money import Money
from domain.roles import Role
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.temporal import connect
from starter.cli import books
from starter.teiki import Teiki
from starter.wording import circuit_advice, circuit_sentence

_PATIENCE_SECONDS: Final = 8.0
_PATIENCE_FOR: Final = {"ledger": 120.0}
"""Comparing reads what happened since the last run; a first run over a big book is better followed elsewhere."""
_INBOX_PATIENCE_SECONDS: Final = 900.0
"""One that waits longer was not handed over by four tries, or by nobody."""
_UNHEARD_PATIENCE_SECONDS: Final = 120.0
"""Events are passed on to the endpoints within a second; who waits longer is waited for by nobody."""
State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One question's answer; `advice` says what to do when it failed."""

    name: str
    state: State
    found: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Failed(Exception):  # noqa: N818 - an answer, caught where the question was asked
    """A check's bad news."""

    def __init__(self, found: str, advice: str, **facts: Any) -> None:
        super().__init__(found)
        self.found, self.advice, self.facts = found, advice, facts


class Skipped(Exception):  # noqa: N818 - as above
    """The question cannot be asked here."""


Answer = str | tuple[str, dict[str, Any]]


async def examine(*, ledger: bool) -> list[Check]:
    """Every check, in the order in which one needs the other."""
    visit = _Visit()
    questions: list[tuple[str, Callable[[], Awaitable[Answer]]]] = [
        ("settings", visit.settings_are_valid),
        ("codec keys", visit.has_codec_keys),
        ("Postgres", visit.postgres_answers),
        ("migrations", visit.migrations_are_at_head),
        ("roles", visit.roles_are_asked_for),
        ("gateway", visit.gateway_answers),
        ("gateway circuit", visit.gateway_is_called),
        ("webhooks", visit.webhooks_are_heard),
        ("Temporal", visit.temporal_answers),
        ("search attributes", visit.search_attributes_exist),
        ("worker", visit.worker_polls),
        ("exports' worker", visit.exports_worker_polls),
        ("exports' keys", visit.has_export_keys),
        ("endpoints", visit.endpoints_are_told),
    ]
    if ledger:
        questions += [("ledger", visit.books_agree), ("workflows", visit.everyone_is_running)]
    try:
        return [await _ask(name, question) for name, question in questions]
    finally:
        await visit.leave()


async def _ask(name: str, question: Callable[[], Awaitable[Answer]]) -> Check:
    try:
        answer = await asyncio.wait_for(question(), _PATIENCE_FOR.get(name, _PATIENCE_SECONDS))
    except Failed as bad:
        return Check(name, "failed", bad.found, bad.advice, bad.facts)
    except Skipped as skipped:
        return Check(name, "skipped", str(skipped))
    except TeikiError as error:
        return Check(name, "failed", error.message, _ADVICE.get(name, ""), {"code": error.code.value})
    except TimeoutError:
        waited = _PATIENCE_FOR.get(name, _PATIENCE_SECONDS)
        return Check(name, "failed", f"no answer within {waited:.0f} s", _ADVICE.get(name, ""))
    found, facts = answer if isinstance(answer, tuple) else (answer, {})
    return Check(name, "ok", found, facts=facts)


_ADVICE: Final = {
    "settings": "Correct the variables named here, or start everything with `teiki up`.",
    "codec keys": "Set TEIKI_CODEC_KEYS (or TEIKI_CODEC_KEYS_FILE) to id:base64 of 32 bytes.",
    "Temporal": "Start it (`teiki up`), or name it with TEMPORAL_ADDRESS.",
    "Postgres": "Start it (`teiki up`), or name it with TEIKI_DATABASE_URL.",
    "migrations": "Run `teiki migrate upgrade`.",
    "gateway": "Start it (`teiki up`), or name it with TEIKI_GATEWAY_URL.",
    "worker": "Start one: `teiki worker`.",
    "exports' worker": "Start one: `teiki worker --role exports`.",
    "exports' keys": "Set TEIKI_EXPORT_SECRET_KEYS to id:base64 of 32 bytes; until then no password is taken.",
    "endpoints": "Set TEIKI_ENDPOINT_SECRET_KEYS to id:base64 of 32 bytes; until then nothing is sent.",
    "ledger": "It goes on by itself; `teiki reconcile` shows how far it is.",
}


class _Visit:
    """What the checks find out and later ones need."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._client: Client | None = None
        self._database: Database | None = None
        self._gateway_answers = self._migrated = False
        self._worker_polls = True
        self._report: Report | None = None

    async def leave(self) -> None:
        if self._database is not None:
            await self._database.close()

    async def settings_are_valid(self) -> Answer:
        self._settings = Settings.load()
        return f"gateway {self._settings.gateway}, task queue {self._settings.task_queue}"

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            raise Skipped("the settings come first")
        return self._settings

    async def has_codec_keys(self) -> Answer:
        ids = self.settings.keyring().ids
        return f"{len(ids)} ({', '.join(ids)}); {ids[0]} encrypts"

    # ------------------------------------------------------------------ Temporal

    async def temporal_answers(self) -> Answer:
        client = await connect(self.settings)
        info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
        self._client = client
        version = f", server {info.server_version}" if info.server_version else ""
        return f"{client.service_client.config.target_host}, namespace {client.namespace}{version}"

    @property
    def client(self) -> Client:
        if self._client is None:
            raise Skipped("Temporal comes first")
        return self._client

    async def search_attributes_exist(self) -> Answer:
        request = ListSearchAttributesRequest(namespace=self.client.namespace)
        try:
            answer = await self.client.operator_service.list_search_attributes(request)
        except RPCError as error:
            if error.status == RPCStatusCode.UNIMPLEMENTED:
                raise Skipped("this server cannot list them") from error
            raise Failed(error.message, "Is this a Temporal server of ours?") from error
        missing = sorted(SEARCH_ATTRIBUTES.keys() - answer.custom_attributes.keys())
        if missing:
            raise Failed(
                "missing: " + ", ".join(missing),
                "Start a worker, which registers them, or register them with Temporal's own command line.",
                missing=missing,
            )
        return ", ".join(sorted(SEARCH_ATTRIBUTES))

    async def worker_polls(self) -> Answer:
        """Somebody asks for workflow tasks and for activity tasks on our queue."""
        try:
            return await self._polled(self.settings.task_queue, _ADVICE["worker"])
        except Failed:
            self._worker_polls = False
            raise

    async def exports_worker_polls(self) -> Answer:
        return await self._polled(self.settings.exports_task_queue, _ADVICE["exports' worker"])

    async def has_export_keys(self) -> Answer:
        ids = self.settings.export_keyring().ids
        return f"{len(ids)} ({', '.join(ids)}); {ids[0]} seals"

    async def _polled(self, queue: str, advice: str) -> Answer:
        pollers = {}
        for kind in ("WORKFLOW", "ACTIVITY"):
            request = DescribeTaskQueueRequest(
                namespace=self.client.namespace,
                task_queue=TaskQueue(name=queue),
                task_queue_type=TaskQueueType.Value(f"TASK_QUEUE_TYPE_{kind}"),
            )
            try:
                answer = await self.client.workflow_service.describe_task_queue(request)
            except RPCError as error:
                if error.status == RPCStatusCode.UNIMPLEMENTED:
                    raise Skipped("this server cannot tell") from error
                raise Failed(error.message, advice) from error
            pollers[kind] = len(answer.pollers)
        if not all(pollers.values()):
            raise Failed(f"nobody works on the task queue {queue}", advice, task_queue=queue)
        return f"{pollers['WORKFLOW']} polling on {queue}"

    # ------------------------------------------------------------------ Postgres and the gateway

    async def postgres_answers(self) -> Answer:
        database = Database.connect(self.settings.database, pool_size=1)
        try:
            row = await database.fetch_one("SELECT current_setting('server_version') AS version", {})
        except TeikiError:
            await database.close()
            raise
        self._database = database
        assert row is not None
        return f"version {row['version']}"

    @property
    def database(self) -> Database:
        if self._database is None:
            raise Skipped("Postgres comes first")
        return self._database

    async def migrations_are_at_head(self) -> Answer:
        assert self.database is not None
        try:
            current = await asyncio.to_thread(migrate.current, self.settings.database)
        except OperationalError as error:
            raise Failed("the database went away", _ADVICE["Postgres"]) from error
        head = migrate.head()
        if current != head:
            raise Failed(
                f"at {current or 'nothing'}, head is {head}",
                _ADVICE["migrations"],
                current=current,
                head=head,
            )
        self._migrated = True
        return f"at head ({head})"

    async def roles_are_asked_for(self) -> Answer:
        """Without an admin all is well, but it is said plainly."""
        if not self._migrated:
            raise Skipped("the migrations come first")
        found = await list_grants(self.database)
        admins = sum(grant.role is Role.ADMIN for grant in found.grants)
        facts = {"enforced": found.enforced, "admins": admins}
        if not found.enforced:
            return "NOT asked for: every operator may do everything until `teiki role grant … admin`", facts
        return f"asked for; admins: {admins}", facts

    async def gateway_answers(self) -> Answer:
        await self._get("/health")
        self._gateway_answers = True
        return self.settings.gateway_url

    async def gateway_is_called(self) -> Answer:
        """The workers' own experience with it, which tells more than one `/health`."""
        if not self._migrated:
            raise Skipped("the migrations come first")
        circuit = await gateway_circuit(self.database, self.settings.gateway)
        if circuit.state != "closed":
            raise Failed(
                circuit_sentence(circuit), circuit_advice(circuit), **circuit.model_dump(mode="json")
            )
        return circuit_sentence(circuit), circuit.model_dump(mode="json")

    async def webhooks_are_heard(self) -> Answer:
        """The inbox is worked off. Without a secret nothing is taken in, and everything works, only later."""
        secrets = len(self.settings.webhook_secret_list)
        if not secrets:
            raise Skipped("no TEIKI_WEBHOOK_SECRETS: no webhook is taken in, outcomes are asked for on time")
        if not self._migrated:
            raise Skipped("the migrations come first")
        inbox = await count_webhooks(self.database)
        found = f"secrets: {secrets}; waiting: {inbox.waiting}, parked: {inbox.parked}"
        facts = inbox.model_dump(mode="json") | {"secrets": secrets}
        if inbox.parked:
            raise Failed(found, "See `teiki webhook list`; then `teiki webhook retry`.", **facts)
        if (inbox.waiting_for_s or 0) > _INBOX_PATIENCE_SECONDS:
            raise Failed(found, "Is a worker running, and the schedule webhook-inbox not paused?", **facts)
        return found, facts

    async def endpoints_are_told(self) -> Answer:
        """What happens arrives where merchants want to hear of it."""
        if not self._migrated:
            raise Skipped("the migrations come first")
        found = await list_endpoints(self.database)
        if not found:
            raise Skipped("no endpoint: nobody wants to hear of what happens")
        self.settings.endpoint_keyring()
        failing = [item for item in found if item.state == "enabled" and item.failing_since]
        waiting, given_up = sum(item.waiting + item.held for item in found), sum(i.given_up for i in found)
        told = f"{len(found)}; failing: {len(failing)}, waiting: {waiting}, given up: {given_up}"
        facts = {"failing": [item.id for item in failing], "waiting": waiting, "given_up": given_up}
        if failing:
            raise Failed(told, f"See `teiki endpoint show {failing[0].id}`.", **facts)
        if await unheard_for_s(self.database) > _UNHEARD_PATIENCE_SECONDS:
            raise Failed(told, "Is a worker running, and the schedule notifications not paused?", **facts)
        return told, facts

    async def _get(self, path: str) -> Any:
        url = self.settings.gateway_url.rstrip("/") + path
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS / 2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
                if answer.status != 200:
                    raise Failed(f"{url} answers {answer.status}", _ADVICE["gateway"])
                return await answer.json()
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            raise Failed(f"{url}: {type(error).__name__}", _ADVICE["gateway"]) from error

    # ------------------------------------------------------------------ the books

    async def books_agree(self) -> Answer:
        """The gateway's list, attempts and ledger, three ways."""
        assert self.database is not None
        if not self._gateway_answers:
            raise Skipped("the gateway comes first")
        if not self._worker_polls:
            raise Skipped("the worker comes first")
        teiki = Teiki(self.client, self.settings)
        self._report = report = await teiki.reconciliation.run(patience_s=_PATIENCE_FOR["ledger"])
        facts = report.model_dump(mode="json")
        sums = "; ".join(_sums(currency, of) for currency, of in sorted(report.totals.items()))
        # Also those of days that this run did not look at.
        waiting = await count_open(self.database)
        found = (
            books.summary(report)
            + (f" ({sums})" if sums else "")
            + (f"; open incidents: {waiting}" if waiting else "")
        )
        if not report.agrees:
            raise Failed(found, "`teiki attention list` names them; look into each.", **facts)
        return found, facts

    async def everyone_is_running(self) -> Answer:
        """The engine runs every subscription, order and slip that the books show as running."""
        if self._report is None or self._report.workflows is None:
            raise Skipped("the ledger comes first" if self._report is None else "this server cannot tell")
        gone = self._report.missing_workflows
        if gone:
            raise Failed(
                f"in the books but not in the engine: {', '.join(gone)}",
                "Somebody terminated their workflows: see docs/operations.md.",
                missing=gone,
            )
        return f"all {self._report.workflows} run"


def _sums(currency: str, of: Totals) -> str:
    """`1,000 JPY` when the three agree, else each book's."""
    shown = [str(Money(minor=minor, currency=currency)) for minor in (of.gateway, of.attempts, of.ledger)]
    if len(set(shown)) == 1:
        return shown[0]
    return f"gateway {shown[0]}, attempts {shown[1]}, ledger {shown[2]}"


def table(found: list[Check]) -> Table:
    """The checks as people read them."""
    shown = Table("check", "", "found", "what to do", header_style="bold", box=None, pad_edge=False)
    colours = {"ok": "green", "failed": "bold red", "skipped": "dim"}
    for check in found:
        shown.add_row(
            Text(check.name),
            Text(check.state, style=colours[check.state]),
            Text(check.found),
            Text(check.advice),
        )
    return shown
