"""Reading the repository's own source: which modules there are and what their syntax trees say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "activities", "workflows", "gateways", "db", "exports", "starter", "runtime", "web")
_NOT_OURS = {".git", ".venv", ".teiki", "node_modules", "__pycache__", "dist"}


@cache
def modules(*rooms: str) -> tuple[Path, ...]:
    """Every Python file of these rooms; without a name, of the product: all rooms and the composition root."""
    files = [file for room in rooms or ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    return (*files, *(() if rooms else (ROOT / "worker.py",)))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name


def dotted(node: ast.AST) -> str:
    """`datetime.now` for the expression of that name; empty for anything that is not a plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called, in the order of the text."""
    found = [(dotted(node.func), node) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
    yield from sorted(found, key=lambda call: (call[1].lineno, call[1].col_offset))


def imported(file: Path) -> set[str]:
    """The dotted names of everything a file imports: `secrets`, `datetime.datetime`."""
    names: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def all_files() -> Iterator[Path]:
    """Every file a person wrote; what git and tools keep beside them is left out."""
    for top in sorted(ROOT.iterdir()):
        if top.name in _NOT_OURS or top.name.endswith(("_cache", ".egg-info")) or top.name == ".hypothesis":
            continue
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        yield from (file for file in files if file.is_file() and not _NOT_OURS & set(file.parts))
