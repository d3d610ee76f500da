"""`python -m gateways.sandbox --database FILE`: run the stand-in payment company."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sqlite3
import sys

from gateways.sandbox.refusal import Refusal
from gateways.sandbox.server import Options, serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateways.sandbox", description=__doc__)
    parser.add_argument("--database", required=True, help="the sandbox's own SQLite file, or :memory:")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed as JSON")
    parser.add_argument("--idempotency", help="strict (default), best_effort:0.3 or off")
    parser.add_argument("--key-ttl-seconds", type=float, help="how long a key is remembered (default a day)")
    parser.add_argument("--seed", type=int, default=0, help="of every random decision")
    parser.add_argument("--webhook-url", help="where events go; kept until another is registered")
    parser.add_argument("--webhook-secrets-file", help="whose first word signs them")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(serve(Options(**vars(parser.parse_args()))))
    except (Refusal, OSError, sqlite3.OperationalError) as error:
        sys.stderr.write(f"The sandbox cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
