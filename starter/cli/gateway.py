"""`teiki gateway`: how it stands with the payment company."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import typer

from starter.cli.chargeback import PaymentName
from starter.cli.options import Json, person_here
from starter.cli.output import answer, busy
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.circuits import CircuitItem
    from db.reads.payments import PaymentItem
    from starter.teiki import Teiki

app = typer.Typer(help="The payment company.", no_args_is_help=True)

_WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.15


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


@app.command()
def chargeback(payment: PaymentName, as_json: Json = False) -> None:
    """In the sandbox only: the customer's bank takes back what is left of a payment, and the payment company tells."""

    async def run(teiki: Teiki) -> tuple[dict[str, Any], PaymentItem]:
        from domain.errors import ErrorCode, TeikiError  # noqa: PLC0415 - what only one command needs
        from gateways import sandbox_bank  # noqa: PLC0415 - as above

        if str(teiki.settings.gateway) != "sandbox":
            raise TeikiError(ErrorCode.INVALID_INPUT, "Only the sandbox plays the customer's bank.")
        before = await teiki.payments.find(payment)
        if before.gateway_id is None:
            raise TeikiError(ErrorCode.INVALID_STATUS, "Nothing was charged.", status=before.state)
        made = await sandbox_bank.charge_back(teiki.settings.gateway_url, before.gateway_id)
        with busy("Waiting until Teiki has heard of it …"):
            return made, await _heard(teiki, payment)

    made, after = with_teiki(run)
    document = {"chargeback": made, "payment": after.model_dump(mode="json")}

    def page(console: Console) -> None:
        console.print(
            f"At the bank: {made['id']} takes back {made['amount']['minor']} minor units", markup=False
        )
        console.print(f"{payment}: {after.state}, {after.amount}", markup=False)

    answer(document, as_json=as_json, page=page)


async def _heard(teiki: Teiki, payment: str) -> PaymentItem:
    """The payment once Teiki knows; as it stands when that takes longer: a webhook may be lost."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        found = await teiki.payments.find(payment)
        if found.state in ("chargeback", "partially_repaid", "repaid") or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)


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
