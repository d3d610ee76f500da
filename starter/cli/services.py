"""The machine room: start everything, work, migrate, simulate, look whether all is well."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from domain.errors import ErrorCode, TeikiError
from starter.cli.options import Json
from starter.cli.output import answer, answers, busy, errors, print_json

if TYPE_CHECKING:
    from starter.simulate.report import Report
    from starter.simulate.scenario import Scenario

_migrate = typer.Typer(help="The database's migrations.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands to `teiki`."""
    for command in (up, worker, simulate, doctor):
        app.command()(command)
    app.add_typer(_migrate, name="migrate")


def up(
    state_dir: Annotated[
        Path | None, typer.Option(help="Where data, keys and logs are kept; default .teiki")
    ] = None,
) -> None:
    """Start everything in this terminal: Postgres, Temporal, sandbox gateway, worker. Ctrl-C stops it, data stays."""
    from runtime.embedded.stack import run_stack  # noqa: PLC0415 - heavy, and needed only here
    from runtime.lifecycle import run_service  # noqa: PLC0415
    from runtime.settings import Settings  # noqa: PLC0415

    # Whatever matters is printed by the stack itself, in sentences; log lines would say it twice.
    logging.getLogger().addHandler(logging.NullHandler())
    settings = Settings.load(**({"state_dir": state_dir} if state_dir else {}))
    raise typer.Exit(run_service(lambda stop: run_stack(settings, stop), name="teiki up"))


def worker(
    role: Annotated[
        Literal["all", "billing", "exports"] | None,
        typer.Option(help="Money, workbooks of exports, or both; default TEIKI_WORKER_ROLE, else all."),
    ] = None,
) -> None:
    """Work: run the workflows and activities of the configured Temporal and Postgres until stopped."""
    if role is not None:
        os.environ["TEIKI_WORKER_ROLE"] = role
    # The worker is the composition root and nothing may import it: this process becomes it.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 - no shell; our own interpreter


# ---------------------------------------------------------------------- migrate


@_migrate.callback()
def migrate(context: typer.Context, as_json: Json = False) -> None:
    """The database's migrations; `upgrade` when nothing is named."""
    if context.invoked_subcommand is None:
        _migrated("upgrade", "head", as_json=as_json)


@_migrate.command()
def upgrade(
    revision: Annotated[str, typer.Argument(metavar="REVISION")] = "head", as_json: Json = False
) -> None:
    """Run the migrations; harmless when there is nothing to do."""
    _migrated("upgrade", revision, as_json=as_json)


@_migrate.command()
def downgrade(
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="`base` removes everything.")],
    as_json: Json = False,
) -> None:
    """Undo migrations, and the data in what they made."""
    _migrated("downgrade", revision, as_json=as_json)


@_migrate.command()
def current(as_json: Json = False) -> None:
    """The revision the database is at."""
    _migrated(None, None, as_json=as_json)


@_migrate.command()
def check(as_json: Json = False) -> None:
    """Whether the database is what the code expects; exit status 1 when not."""
    from db import migrate as migrations  # noqa: PLC0415 - Alembic only when needed

    differences = _on_database(migrations.differences)
    answer(
        {"matches": differences is None, "differences": differences},
        as_json=as_json,
        page=lambda console: console.print(
            differences or "The database is what the code expects.", markup=False
        ),
    )
    if differences is not None:
        raise typer.Exit(1)


def _migrated(command: str | None, revision: str | None, *, as_json: bool) -> None:
    from db import migrate as migrations  # noqa: PLC0415 - Alembic only when needed

    if command is not None:
        run: Any = migrations.upgrade if command == "upgrade" else migrations.downgrade
        _on_database(lambda url: run(url, revision))
    at = _on_database(migrations.current)
    answer(
        {"revision": at, "head": migrations.head()},
        as_json=as_json,
        page=lambda console: console.print(at or "empty", markup=False),
    )


def _on_database(act: Any) -> Any:
    """Run it on the configured database, with the refusals named."""
    from alembic.util.exc import CommandError  # noqa: PLC0415 - as above
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    from runtime.settings import Settings  # noqa: PLC0415

    url = Settings.load().database
    try:
        return act(url)
    except OperationalError as error:
        raise TeikiError(
            ErrorCode.DATABASE_UNAVAILABLE, "The database of TEIKI_DATABASE_URL cannot be reached."
        ) from error
    except CommandError as error:
        raise TeikiError(ErrorCode.INVALID_INPUT, f"Alembic refuses: {error}") from error


# ---------------------------------------------------------------------- simulate


def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scenario, YAML or JSON (see examples/).")],
    as_json: Json = False,
) -> None:
    """Play a scenario through the real workflows, months or years in seconds, and print what happened."""
    from domain.terms import agree  # noqa: PLC0415 - heavy, and needed only here
    from runtime.lifecycle import run_cli  # noqa: PLC0415
    from starter.simulate.scenario import read_scenario  # noqa: PLC0415

    scenario = read_scenario(file)
    # Terms that no subscription could have are refused before anything is started for them.
    if scenario.subscription is not None:
        spec = scenario.spec(customer_id="cus_0", product_id="prd_0", payment_method_id="pm_0")
        agree(spec, now=scenario.start)
    logging.getLogger().addHandler(logging.NullHandler())
    report = run_cli(_play(scenario))
    if as_json:
        print_json(report)
        return
    from starter.simulate.report_for_people import summary, table  # noqa: PLC0415

    console = answers()
    console.print(table(report))
    console.print(summary(report))


async def _play(scenario: Scenario) -> Report:
    from starter.simulate.lab import laboratory  # noqa: PLC0415 - as above
    from starter.simulate.order_player import player_of  # noqa: PLC0415

    told = errors()
    told.print("Starting Postgres, Temporal, the sandbox gateway and a worker …", style="dim")
    async with laboratory() as lab:
        told.print(f"Playing {scenario.name} …", style="dim")
        with busy("Time flies …"):
            return await player_of(lab, scenario).play()


# ---------------------------------------------------------------------- doctor


def doctor(
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger", help="Also compare gateway, attempts and ledger, and who should be running."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every connection and say what to do; exit status 1 when something is wrong."""
    from runtime.lifecycle import run_cli  # noqa: PLC0415 - heavy, and needed only here
    from starter.cli import checks  # noqa: PLC0415

    logging.getLogger().addHandler(logging.NullHandler())
    with busy("Looking …"):
        found = run_cli(checks.examine(ledger=ledger))
    well = all(check.state != "failed" for check in found)
    document = {"ok": well, "checks": [check.as_json() for check in found]}
    answer(document, as_json=as_json, page=lambda console: console.print(checks.table(found)))
    if not well:
        raise typer.Exit(1)
