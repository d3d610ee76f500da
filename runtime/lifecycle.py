"""How Teiki's processes start and end.

Short-lived commands (`run_cli`) must outlive Temporal's Rust threads by a moment: a process that exits
while a call's answer is on its way aborts inside the interpreter's finalisation (exit status 134;
temporalio/sdk-python issue 300). Services (`run_service`) get an event that SIGTERM and SIGINT set, and
stop by themselves; a second signal ends them at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from domain.errors import TeikiError

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells expect."""

_EXIT_GRACE_SECONDS: Final = 0.1

_logger = logging.getLogger(__name__)

T = TypeVar("T")


def run_cli(coroutine: Coroutine[Any, Any, T], *, fast_loop: bool = False) -> T:
    """Runs a short-lived command to its end and hands back its result; exceptions pass through.

    `fast_loop`: on the event loop that workers use, which takes longer to load than most commands run.
    """

    async def with_grace() -> T:
        try:
            return await coroutine
        finally:
            await asyncio.sleep(_EXIT_GRACE_SECONDS)

    with asyncio.Runner(loop_factory=_loop_factory() if fast_loop else None) as runner:
        return runner.run(with_grace())


def run_service(
    main: Callable[[asyncio.Event], Awaitable[None]],
    *,
    name: str,
    ready_file: Path | None = None,
    fast_loop: bool = False,
) -> int:
    """Runs `main(stop)` until it returns, which it does soon after `stop` is set by SIGTERM or SIGINT.

    Answers the exit status: 0 stopped as asked or finished, 1 refused with an error code (one sentence on
    stderr). Any other exception is a programmer's and passes through with its traceback. `ready_file`,
    which `main` writes through `mark_ready`, is removed at the end. `fast_loop`: uvloop, for services that start
    no child processes.
    """

    async def guarded() -> int:
        stop = asyncio.Event()
        with_signals = _set_on_signals(stop, name)
        try:
            await main(stop)
        except TeikiError as error:
            _logger.error("%s stops: %s", name, error, extra={"code": error.code.value})
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - people read this, whatever the log format
            return EXIT_REFUSED
        finally:
            for number in with_signals:
                asyncio.get_running_loop().remove_signal_handler(number)
            if ready_file is not None:
                await asyncio.to_thread(ready_file.unlink, missing_ok=True)
            await asyncio.sleep(_EXIT_GRACE_SECONDS)
        return EXIT_OK

    with asyncio.Runner(loop_factory=_loop_factory() if fast_loop else None) as runner:
        return runner.run(guarded())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed: a worker spends a fifth of its time in the event loop."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def mark_ready(ready_file: Path | None) -> None:
    """Says "I serve" to whoever started this process."""
    if ready_file is not None:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.write_text("ready\n", encoding="utf-8")


def _set_on_signals(stop: asyncio.Event, name: str) -> tuple[signal.Signals, ...]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def on_signal(number: signal.Signals) -> None:
        _logger.info("%s received %s and stops", name, number.name)
        stop.set()
        loop.remove_signal_handler(number)  # the second one takes its usual way and ends the process

    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    return numbers
