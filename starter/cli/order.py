"""`teiki order`: what was bought."""

from __future__ import annotations

import typer

from starter.cli import order_list

app = typer.Typer(help="What was bought.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """What was bought."""


order_list.register(app)
