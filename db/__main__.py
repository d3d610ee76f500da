"""`python -m db upgrade [REV] | downgrade REV | current | check`, on the database of `TEIKI_DATABASE_URL`.

Exit status: 0 done, 1 models and migrations disagree, 2 usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from db import migrate

_URL = "TEIKI_DATABASE_URL"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m db", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="run the migrations").add_argument(
        "revision", nargs="?", default="head"
    )
    commands.add_parser("downgrade", help="undo migrations").add_argument("revision")
    commands.add_parser("current", help="say which revision the database is at")
    commands.add_parser("check", help="compare the models with the database")
    chosen = parser.parse_args(argv)
    url = os.environ.get(_URL)
    if not url:
        parser.error(f"{_URL} is not set (postgresql+psycopg://…)")
    return _run(chosen.command, getattr(chosen, "revision", None), url)


def _run(command: str, revision: str | None, url: str) -> int:
    if command == "upgrade":
        migrate.upgrade(url, revision or "head")
    elif command == "downgrade":
        assert revision is not None
        migrate.downgrade(url, revision)
    elif command == "check":
        differences = migrate.differences(url)
        if differences:
            sys.stderr.write(differences + "\n")
            return 1
    sys.stdout.write(f"{migrate.current(url) or 'empty'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
