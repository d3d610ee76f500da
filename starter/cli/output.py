"""Where answers go: data on stdout, everything said about it on stderr.

Colour and spinners appear on terminals only, and never with `NO_COLOR` (Rich knows the convention).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

JSON_FLAG: Final = "--json"
_PIPE_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe, where nobody has a window to fit."""


def answers() -> Console:
    """The console of data (stdout)."""
    from rich.console import Console  # noqa: PLC0415 - Rich is loaded when something is printed

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def errors() -> Console:
    """The console of everything that is not data (stderr)."""
    from rich.console import Console  # noqa: PLC0415 - as above

    return Console(stderr=True, highlight=False)


def print_json(document: BaseModel | dict[str, Any]) -> None:
    """The one document of `--json`; instants as ISO 8601."""
    if not isinstance(document, dict):
        document = document.model_dump(mode="json", by_alias=True)
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def answer(document: BaseModel | dict[str, Any], *, as_json: bool, page: Callable[[Console], None]) -> None:
    """The document for machines, or its page for people."""
    if as_json:
        print_json(document)
    else:
        page(answers())


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner on stderr while something takes its time; nothing at all when stderr is no terminal."""
    console = errors()
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield
