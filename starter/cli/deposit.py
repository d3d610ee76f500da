"""`teiki deposit`: Konbini slips, and in the sandbox somebody who pays them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from starter.cli.options import Json, OrderName
from starter.cli.output import answer, busy, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from db.reads.deposits import DepositItem
    from starter.teiki import Teiki

app = typer.Typer(help="Konbini slips.", no_args_is_help=True)

NOTICES: Final = ("confirmed", "preliminary", "preliminary_canceled")
_WAIT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.15

Slip = Annotated[
    str, typer.Argument(metavar="SLIP", help="Its id, kon_…; or an order's number or id: its latest slip.")
]


@app.command("show")
def show(slip: Slip, as_json: Json = False) -> None:
    """A slip: the store, the numbers that the customer needs, the deadline, and what became of it."""
    found = with_teiki(lambda teiki: teiki.deposits.show(slip))
    _shown(found, as_json=as_json)


@app.command("list")
def list_slips(order: OrderName, as_json: Json = False) -> None:
    """The slips of an order, first to last."""
    found = with_teiki(lambda teiki: teiki.deposits.list(order))
    from starter.cli import order_page  # noqa: PLC0415 - Rich is loaded when something is printed

    if not found and not as_json:
        errors().print("This order has no slip.")
        return
    document = {"items": [slip.model_dump(mode="json") for slip in found]}
    answer(document, as_json=as_json, page=lambda console: console.print(order_page.slips(found)))


@app.command("pay")
def pay(
    slip: Slip,
    notice: Annotated[
        str, typer.Option(help="confirmed (the money is there), preliminary or preliminary_canceled.")
    ] = "confirmed",
    times: Annotated[int, typer.Option(min=1, max=9, help="How often the same slip is paid.")] = 1,
    as_json: Json = False,
) -> None:
    """In the sandbox only: play the customer at the till, or the store's other notices."""
    notice = notice.replace("-", "_")
    if notice not in NOTICES:
        raise typer.BadParameter(f"--notice is one of {', '.join(NOTICES)}; not {notice!r}.")

    async def run(teiki: Teiki) -> tuple[list[dict[str, Any]], DepositItem]:
        from domain.errors import ErrorCode, TeikiError  # noqa: PLC0415 - what only one command needs
        from gateways import sandbox_till  # noqa: PLC0415

        if str(teiki.settings.gateway) != "sandbox":
            raise TeikiError(ErrorCode.INVALID_INPUT, "Only the sandbox has a till.")
        before = await teiki.deposits.show(slip)
        if before.gateway_id is None:
            raise TeikiError(
                ErrorCode.INVALID_STATUS,
                "The payment company has not issued this slip yet.",
                status=before.status.value,
            )
        moved = [
            await sandbox_till.pay(teiki.settings.gateway_url, before.gateway_id, notice=notice)
            for _ in range(times)
        ]
        with busy("Waiting until Teiki has heard of it …"):
            return moved, await _heard(teiki, before)

    moved, after = with_teiki(run)
    document = {"charges": moved, "deposit": after.model_dump(mode="json")}

    def page(console: Any) -> None:
        from starter.cli import order_page  # noqa: PLC0415 - as above

        for charge in moved:
            console.print(f"At the till: {notice}, {charge['id']}", markup=False)
        order_page.slip(console, after)

    answer(document, as_json=as_json, page=page)


async def _heard(teiki: Teiki, before: DepositItem) -> DepositItem:
    """The slip once its status has changed; as it stands when that takes longer, or when it is money on its way back.

    The sandbox sends a webhook; the slip's workflow is told beside it, for stacks that no webhook reaches.
    """
    from starter.engine import NotRunning  # noqa: PLC0415 - Temporal only when needed

    try:
        await teiki.orders.get(before.order_id).notify_slip(before.number, before.gateway_id or "")
    except NotRunning:
        return before  # nobody watches it any more: the daily reconciliation finds such money
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    after = before
    while before.status.value in ("issued", "preliminary") and after.status is before.status:
        if asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
        after = await teiki.deposits.show(before.id)
    return after


def _shown(found: DepositItem, *, as_json: bool) -> None:
    from starter.cli import order_page  # noqa: PLC0415 - as above

    answer(found, as_json=as_json, page=lambda console: order_page.slip(console, found))
