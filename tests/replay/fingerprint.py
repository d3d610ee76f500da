"""Which commands each workflow module can issue, read from its text: `python -m tests.replay.fingerprint` writes it.

Replaying recorded histories proves much, but only along the paths somebody recorded. This list is the other half: it
changes as soon as a call that makes a command is added, removed or moved, so that nobody does it without deciding what
becomes of the runs that are going on.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Final

from tests.architecture.reading import dotted, modules, name_of, tree

COMMITTED: Final = Path(__file__).parent / "fingerprint.json"

COMMANDS: Final = {
    *("execute_activity", "execute_activity_method", "execute_activity_class", "start_activity"),
    *(
        "start_activity_method",
        "start_activity_class",
        "execute_local_activity",
        "execute_local_activity_method",
    ),
    *(
        "start_local_activity",
        "start_local_activity_method",
        "execute_child_workflow",
        "start_child_workflow",
    ),
    *(
        "continue_as_new",
        "sleep",
        "wait_for",
        "timeout",
        "timeout_at",
        "upsert_search_attributes",
        "upsert_memo",
    ),
    *(
        "get_external_workflow_handle",
        "get_external_workflow_handle_for",
        "create_nexus_client",
        "cancel",
        "signal",
    ),
    *("patched", "deprecate_patch", "uuid4", "random"),
}
_MODULES: Final = {"workflow", "asyncio"}


def fingerprint() -> dict[str, list[str]]:
    """Module → its commands in the order of the text, as `Class.method: call(what)`."""
    found = {name_of(file): commands(tree(file)) for file in modules("workflows")}
    return {name: listed for name, listed in found.items() if listed}


def commands(module: ast.Module) -> list[str]:
    listed: list[str] = []

    def walk(node: ast.AST, place: str) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            place = f"{place}.{node.name}".lstrip(".")
        if isinstance(node, ast.Call) and (said := command(node)):
            listed.append(f"{place}: {said}")
        for child in ast.iter_child_nodes(node):
            walk(child, place)

    walk(module, "")
    return listed


def command(call: ast.Call) -> str:
    """`sleep()`, `execute_activity_method(BillingContract.charge)`; empty for a call that makes no command."""
    module, _, name = dotted(call.func).rpartition(".")
    if module not in _MODULES:
        return ""
    if name == "wait_condition":
        # Only one with a timeout starts a timer.
        return "wait_condition(timeout)" if any(k.arg == "timeout" for k in call.keywords) else ""
    return f"{name}({dotted(call.args[0]) if call.args else ''})" if name in COMMANDS else ""


if __name__ == "__main__":
    COMMITTED.write_text(json.dumps(fingerprint(), indent=2) + "\n", encoding="utf-8")
