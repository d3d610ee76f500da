"""One command's visit to Teiki: connect, do one thing, leave."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from starter.cli.options import person_here

if TYPE_CHECKING:
    from starter.teiki import Teiki

T = TypeVar("T")


def with_teiki(work: Callable[[Teiki], Awaitable[T]]) -> T:
    """Run `work` with a client connected as whoever sits here (`TEIKI_ACTOR`, or the login), and hand back its result.

    Raises:
        TeikiError: what the work raises; `engine_unavailable` and `settings_invalid` from connecting.
    """
    # Temporal and SQLAlchemy come in here and not before: help and usage errors answer at once.
    from runtime.lifecycle import run_cli  # noqa: PLC0415
    from runtime.telemetry import configure_logging  # noqa: PLC0415
    from starter.teiki import Teiki  # noqa: PLC0415

    async def visit() -> T:
        async with await Teiki.connect(principal=person_here()) as teiki:
            return await work(teiki)

    handler = configure_logging("ERROR", "text")
    try:
        return run_cli(visit())
    finally:
        logging.getLogger().removeHandler(handler)
