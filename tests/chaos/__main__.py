"""`python -m tests.chaos`: a run; `python -m tests.chaos mutants`: one run with and one without each guard.

The last line on standard output is one JSON document; progress and tables are on standard error. Exit status 0: no
violation, every wanted fault fired, everything came to rest.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from runtime.lifecycle import run_cli
from tests.chaos.guards import GUARDS
from tests.chaos.mutants import mutants
from tests.chaos.plan import Plan, bounded, focused
from tests.chaos.report import show, speaker
from tests.chaos.run import run


def main() -> int:
    given = _arguments()
    if given.what == "mutants":
        return mutants(seed=given.seed, pairs=given.pairs or 40, only=given.guard_off)
    # `timeout`, a CI runner: they ask with SIGTERM, and nothing may stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    verdict = run_cli(run(_plan(given), speaker(), keep=given.keep))
    show(verdict)
    print(json.dumps(verdict.line))
    return 0 if verdict.passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "mutants"], default="run")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--small", action="store_true", help="the bounded run of the test suite")
    parser.add_argument("--strike-seconds", type=float, help="how long faults strike at least")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--no-beyond-horizon", action="store_true", help="the gateway keeps its promise")
    parser.add_argument(
        "--guard-off", choices=["", *GUARDS], help="take this guard away; exit status 1 expected"
    )
    parser.add_argument(
        "--faults-of", choices=GUARDS, help="only the faults of this guard, turned up, guard on"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy logs and both books there")
    return parser.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    if guard := (given.guard_off or given.faults_of):
        return focused(guard, seed=given.seed, pairs=given.pairs or 40, guard_off=bool(given.guard_off))
    plan = bounded(given.seed) if given.small else Plan(seed=given.seed)
    chosen = {"pairs": given.pairs, "strike_s": given.strike_seconds, "kills": given.kills}
    changes = {name: value for name, value in chosen.items() if value is not None}
    return replace(plan, **changes, beyond_horizon=not given.no_beyond_horizon)


if __name__ == "__main__":
    sys.exit(main())
