"""The command `teiki` (spec: interfaces.md §2).

Tables for people, `--json` for machines: exactly one JSON document on stdout, everything else on stderr. Exit status:
0 done, 1 refused (with the error code), 2 usage, 130 interrupted. Nothing heavy is imported before a command needs it.
"""

from starter.cli.entry import main

__all__ = ["main"]
