"""Who may import whom: the contracts of pyproject.toml hold, and each of them bites (architecture.md)."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.architecture.reading import ROOMS, ROOT

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(at):
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=at,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The product's source alone, to be spoiled."""
    at = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        if (ROOT / room).is_dir():
            shutil.copytree(ROOT / room, at / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "worker.py"):
        shutil.copy(ROOT / file, at / file)
    return at


def test_every_contract_is_kept(copy):
    verdict = lint(copy)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "0 broken" in verdict.stdout


FORBIDDEN = {
    "domain/money.py": ("import sqlalchemy", "domain is pure"),
    "activities/contracts/billing.py": ("import db.engine", "contracts know the domain"),
    "workflows/options.py": ("import activities.billing", "workflows import domain and contracts"),
    "gateways/port.py": ("import db.engine", "gateways import the domain only"),
    "db/effects.py": ("import gateways.port", "db imports the domain only"),
    "exports/workbook.py": ("import db.engine", "exports make bytes"),
    "activities/records.py": ("import gateways.sandbox_client", "activities know the contracts"),
    "runtime/lifecycle.py": ("import workflows.options", "runtime knows no workflow"),
    "starter/catalogue.py": ("import db.attempts", "the SDK and the command line"),
    "db/engine.py": ("import worker", "nothing imports the composition root"),
}


def test_a_forbidden_import_in_any_room_breaks_its_contract(copy):
    originals = {file: (copy / file).read_text(encoding="utf-8") for file in FORBIDDEN}
    for file, (line, _) in FORBIDDEN.items():
        (copy / file).write_text(originals[file] + f"\n{line}\n", encoding="utf-8")
    verdict = lint(copy)
    for file, text in originals.items():
        (copy / file).write_text(text, encoding="utf-8")
    assert verdict.returncode != 0
    flat = " ".join(verdict.stdout.split())
    for line, contract in FORBIDDEN.values():
        summary = flat[flat.index(contract) :][: len(contract) + 120]
        assert "BROKEN" in summary.split("KEPT")[0], f"{line} was not noticed by “{contract}…”"
