"""The mutation proof: for each guard one run with it, which must be clean, and one without, which must not.

Prints the table guard → violations as Markdown on standard output, for docs/safety.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.chaos.crew import ROOT
from tests.chaos.guards import GUARDS, PROFILES


def mutants(*, seed: int, pairs: int, only: str | None = None) -> int:
    """0 when every guard's absence was noticed and its presence was enough."""
    rows, proved = [], True
    for guard in [only] if only else GUARDS:
        kept = _run("--faults-of", guard, seed=seed, pairs=pairs)
        lost = _run("--guard-off", guard, seed=seed, pairs=pairs)
        proved &= kept["exit"] == 0 and lost["exit"] == 1 and _broken(lost) != ""
        rows.append(f"| `{guard}` | {PROFILES[guard].says} | {_said(kept)} | {_said(lost)} |")
    print("| guard | faults turned up | with the guard | without it |")
    print("|---|---|---|---|")
    print("\n".join(rows))
    return 0 if proved else 1


def _run(option: str, guard: str, *, seed: int, pairs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.chaos", option, guard, "--seed", str(seed), "--pairs", str(pairs)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return {**json.loads(last), "exit": done.returncode}


def _broken(line: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in line.get("violations", {}).items() if count)


def _said(line: dict[str, Any]) -> str:
    if not line.get("violations"):
        return "the run failed"
    return f"{_broken(line) or '0 violations'} in {line['pairs']} pairs (exit {line['exit']})"
