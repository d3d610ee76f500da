"""What the command line promises before it reaches anything: help, usage, one JSON document, quick to answer."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from activities.contracts.reconciliation import Report
from starter.cli import books
from starter.cli.app import app
from starter.cli.options import actor_or_default

ROOT = Path(__file__).resolve().parents[2]


def commands(group=None, path=()):
    """Every command and group, as the words that reach it."""
    group = group or typer.main.get_command(app)
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]


ALL = list(commands())
LEAVES = [
    path for path in ALL if path and path[-1] not in {"subscription", "customer", "product", "payment-method"}
]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(teiki, path):
    helped = teiki(*path, "--help")
    assert helped.status == 0
    assert "Usage: teiki" in helped.out
    assert " ".join(path) in helped.out
    assert helped.err == ""


def test_the_commands_of_the_specification_are_all_there():
    wanted = {
        *(
            "up",
            "worker",
            "simulate",
            "doctor",
            "reconcile",
            "migrate upgrade",
            "migrate downgrade",
            "migrate current",
        ),
        *("migrate check", "customer put", "customer list", "customer show", "product put", "product list"),
        "product show",
        *("payment-method add", "payment-method list", "gateway status", "webhook list", "webhook retry"),
        *(
            f"subscription {name}"
            for name in (
                *(
                    "create",
                    "show",
                    "list",
                    "explain",
                    "suspend",
                    "resume",
                    "cancel",
                    "recover",
                    "change-card",
                ),
                *("change-amount", "card-link", "what-if suspend", "what-if resume", "what-if cancel"),
            )
        ),
    }
    assert wanted <= {" ".join(path) for path in ALL}


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("subscription", "show"),
        ("subscription", "show", "sub_1", "--nonsense"),
        ("subscription", "resume", "sub_1", "--policy", "sometimes"),
        ("subscription", "resume", "sub_1", "--policy", "catch_up", "--at", "2026-12-01T09:00:00+09:00"),
        ("subscription", "cancel", "sub_1", "--mode", "later"),
        ("subscription", "change-amount", "sub_1"),
        ("subscription", "change-amount", "sub_1", "--amount", "1"),
        (
            "subscription",
            "change-amount",
            "sub_1",
            "--amount",
            "1",
            "--amount-minor",
            "1",
            "--currency",
            "JPY",
        ),
        ("subscription", "create", "--customer", "cus_1", "--product", "prd_1", "--period", "monthly"),
        ("subscription", "list", "--metadata", "nothing"),
        ("subscription", "list", "--limit", "0"),
        ("payment-method", "add", "--customer", "cus_1"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_two_and_says_what_is_wrong(teiki, arguments):
    for_people = teiki(*arguments)
    assert (for_people.status, for_people.out) == (2, "")
    assert "✗ usage: " in for_people.err
    for_machines = teiki(*arguments, "--json")
    assert for_machines.status == 2
    assert for_machines.document["code"] == "usage"
    assert for_machines.document["message"]
    assert for_machines.err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("subscription", "show", "sub_1"), "settings_invalid"),
        (("migrate", "current"), "settings_invalid"),
        (("subscription", "list", "--created-from", "yesterday"), "invalid_instant"),
        (("subscription", "list", "--created-from", "2026-12-01T09:00:00"), "invalid_instant"),
        (("subscription", "change-amount", "sub_1", "--amount", "1.5", "--currency", "JPY"), "invalid_money"),
        (
            ("subscription", "change-amount", "sub_1", "--amount", "1", "--currency", "Yen"),
            "invalid_currency",
        ),
        (("simulate", "missing.yaml"), "scenario_invalid"),
    ],
)
def test_a_refusal_exits_with_one_and_its_code(teiki, arguments, code):
    for_people = teiki(*arguments)
    assert (for_people.status, for_people.out) == (1, "")
    assert for_people.err.startswith(f"✗ {code}: ")
    for_machines = teiki(*arguments, "--json")
    assert for_machines.status == 1
    assert for_machines.document["code"] == code
    assert for_machines.err == ""


def test_the_doctor_says_what_to_do_when_nothing_is_there(teiki):
    looked = teiki("doctor", "--ledger", "--json")
    assert looked.status == 1
    checks = {check["name"]: check for check in looked.document["checks"]}
    assert checks["settings"]["state"] == "ok"
    assert checks["codec keys"]["state"] == "failed"
    assert "TEIKI_CODEC_KEYS" in checks["codec keys"]["found"]
    assert "teiki up" in checks["Postgres"]["advice"]
    assert checks["migrations"]["state"] == "skipped"
    assert checks["ledger"]["state"] == "skipped"
    assert "what to do" in teiki("doctor").out


def report(**more):
    given = {"gateway": "sandbox", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    return Report.model_validate(given | more)


def page_of(found):
    console = Console(width=160, file=io.StringIO())
    books.show(console, found)
    return console.file.getvalue()


def test_books_that_differ_are_shown_side_by_side_with_what_is_wrong():
    totals = {
        "JPY": {"gateway": 3000, "attempts": 2000, "ledger": 2000},
        "USD": {"gateway": 1050, "attempts": 1050, "ledger": 1050},
    }
    shown = {
        "kind": "double_charge",
        "subject_id": "sub_1",
        "number": 2,
        "facts": {"reference": "sub_1/2/1", "gateway": "charge settled"},
    }
    page = page_of(report(totals=totals, incidents_new=1, in_flight=2, shown=[shown]))
    assert "1 difference waits for a person (1 new); 2 in flight." in page
    rows = [line.split() for line in page.splitlines()]
    assert ["JPY", "3,000", "JPY", "2,000", "JPY", "2,000", "JPY", "differ"] in rows
    assert ["USD", "10.50", "USD", "10.50", "USD", "10.50", "USD"] in rows
    assert "! double_charge of sub_1, payment 2: reference sub_1/2/1, gateway charge settled" in page


def test_books_that_agree_say_so_and_what_was_explained():
    assert books.summary(report()) == "the books agree"
    explained = report(incidents_explained=1, workflows=7)
    assert books.summary(explained) == "the books agree, but for 1 that was explained"
    assert "7 running workflows" in page_of(explained)


def test_the_actor_is_the_person_at_the_terminal_unless_named(monkeypatch):
    monkeypatch.setenv("LOGNAME", "a b")
    assert actor_or_default(None) == "operator:a-b"
    assert actor_or_default("service:desk") == "service:desk"


def started(*arguments, **environment):
    """The command as its own process, from the sources."""
    code = "import sys; from starter.cli import main; sys.exit(main())"
    return python(code, *arguments, **environment)


def python(code, *arguments, **environment):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=variables, timeout=60)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from starter.cli import main; main(['--help']); "
        "heavy = {'temporalio', 'sqlalchemy', 'alembic', 'psycopg', 'aiohttp', 'domain.money'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    ran = python(code)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_without_a_terminal_there_is_no_colour_and_the_version_is_one_line(tmp_path):
    refused = started("subscription", "show", TEIKI_STATE_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "\x1b" not in refused.stderr
    version = started("--version")
    assert version.returncode == 0
    assert version.stdout.startswith("teiki ")
    assert version.stdout.count("\n") == 1


def test_the_worker_command_becomes_the_worker_process(tmp_path):
    ended = started("worker", TEIKI_STATE_DIR=str(tmp_path), TEIKI_CODEC_KEYS="")
    assert ended.returncode == 1
    assert "worker: settings_invalid: TEIKI_CODEC_KEYS" in ended.stderr


def test_a_scenario_is_played_and_answered_as_one_document(teiki):
    played = teiki("simulate", str(ROOT / "examples" / "resume_next_cycle_fixed.yaml"), "--json")
    assert played.status == 0, played.out + played.err
    assert played.document["final"]["status"] == "completed"
    assert played.document["ledger"]["gateway_settled"] == played.document["ledger"]["database_settled"]
    assert "Starting" in played.err


def test_a_scenario_whose_subscription_is_refused_names_the_code(teiki, tmp_path):
    scenario = {
        "start": "2026-01-01T07:00:00+09:00",
        "subscription": {"amount": {"minor": -1, "currency": "JPY"}, "period": "monthly"},
        "until": "2026-02-01T00:00:00+09:00",
    }
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps(scenario))
    refused = teiki("simulate", str(file), "--json")
    assert refused.status == 1
    assert refused.document["code"] == "invalid_money"
