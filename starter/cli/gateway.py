"""`teiki gateway`: how it stands with the payment company."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import typer

from starter.cli.options import Json, person_here
from starter.cli.output import answer

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.circuits import CircuitItem

app = typer.Typer(help="The payment company.", no_args_is_help=True)


@app.callback()
def _gateway() -> None:
    """The payment company."""


@app.command()
def status(as_json: Json = False) -> None:
    """Is it being called, or left alone because it fails? Needs only Postgres; exit status 0 either way."""
    from runtime.lifecycle import run_cli  # noqa: PLC0415 - heavy, and needed only here
    from starter.wording import circuit_advice  # noqa: PLC0415

    logging.getLogger().addHandler(logging.NullHandler())
    found = run_cli(_circuit())
    document = found.model_dump(mode="json") | {"advice": circuit_advice(found)}
    answer(document, as_json=as_json, page=lambda console: _page(console, found))


async def _circuit() -> CircuitItem:
    from db.engine import Database  # noqa: PLC0415 - as above
    from db.reads.circuits import gateway_circuit  # noqa: PLC0415
    from runtime.settings import Settings  # noqa: PLC0415
    from starter.gate import Gate  # noqa: PLC0415

    settings = Settings.load()
    database = Database.connect(settings.database, pool_size=1)

    async def opened() -> Database:
        return database

    try:
        await Gate(opened, person_here()).admit_read()
        return await gateway_circuit(database, settings.gateway)
    finally:
        await database.close()


def _page(console: Console, found: CircuitItem) -> None:
    from rich.text import Text  # noqa: PLC0415 - Rich is loaded when something is printed

    from starter.wording import circuit_advice, circuit_sentence  # noqa: PLC0415

    colour = "green" if found.state == "closed" else "bold red"
    console.print(Text.assemble((found.gateway, "bold"), "  ", (found.state.replace("_", " "), colour)))
    console.print(Text(circuit_sentence(found)))
    console.print(Text(circuit_advice(found)))
