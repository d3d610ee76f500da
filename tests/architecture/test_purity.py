"""Time is an argument and chance is the caller's: nothing a workflow runs may look at the clock or throw dice."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.reading import ROOT, calls, dotted, imported, modules, name_of, tree

IMPURE_CALLS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"),
    *("time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep", "asyncio.sleep"),
    *(
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid6",
        "uuid.uuid7",
        "os.urandom",
        "os.getpid",
        "os.environ.get",
        "os.getenv",
    ),
    *("open", "input", "print"),
}
IMPURE_IMPORTS = {
    "random",
    "secrets",
    "time",
    "uuid.uuid1",
    "uuid.uuid4",
    "time.time",
    "socket",
    "subprocess",
    "os",
}


def impurities(file) -> list[str]:
    found = [f"{name_of(file)}:{call.lineno} {name}()" for name, call in calls(file) if _is_impure(name)]
    return found + [f"{name_of(file)} imports {name}" for name in sorted(imported(file) & IMPURE_IMPORTS)]


def _is_impure(name: str) -> bool:
    # `datetime.datetime.now` is the same as `datetime.now`.
    return name in IMPURE_CALLS or any(
        name.endswith("." + impure) for impure in IMPURE_CALLS if "." in impure
    )


@pytest.mark.parametrize("room", ["domain", "workflows", "activities"])
def test_a_room_that_must_be_repeatable_reads_no_clock_and_throws_no_dice(room):
    assert [found for file in modules(room) for found in impurities(file)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
        "from datetime import date\nx = date.today()",
        "import time",
        "import random",
        "from uuid import uuid4\nx = uuid4()",
        "import uuid\nx = uuid.uuid4()",
        "import secrets as s",
    ],
)
def test_an_impurity_is_noticed(tmp_path, text):
    file = tmp_path / "impure.py"
    file.write_text(text, encoding="utf-8")
    assert impurities(file)


def test_workflows_ask_the_time_of_the_workflow_only():
    for file in modules("workflows"):
        for name, call in calls(file):
            allowed = name in ("workflow.now", "self._clock.now")
            assert allowed or not name.endswith(".now"), f"{name_of(file)}:{call.lineno}"


def test_money_knows_no_fractions():
    """No `/`, no float literal, no `float(…)` and no `round(…)`: minor units are integers all the way."""
    for node in ast.walk(tree(ROOT / "domain" / "money.py")):
        line = getattr(node, "lineno", 0)
        assert not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)), line
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), line
        assert not (isinstance(node, ast.Call) and dotted(node.func) in {"float", "round"}), line
