"""`python -m web`: the customers' pages, until SIGTERM.

It reads the `TEIKI_*` settings and Temporal's own environment; `TEIKI_PUBLIC_URL` is what customers' browsers call it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from runtime.lifecycle import run_service
from runtime.settings import Settings
from runtime.telemetry import start_telemetry
from web.server import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m web", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8791, help="0 takes a free one; it is printed as JSON")
    given = parser.parse_args()

    async def service(stop: asyncio.Event) -> None:
        settings = Settings.load()
        start_telemetry(settings)
        await serve(settings, stop, host=given.host, port=given.port)

    return run_service(service, name="web")


if __name__ == "__main__":
    sys.exit(main())
