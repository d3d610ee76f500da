"""Small rules that keep the house readable and safe; each names the file that breaks it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from domain.errors import ErrorCode
from tests.architecture.reading import ROOT, all_files, dotted, modules, name_of, tree

LINES_MAX = 400
LINES_OF_TESTS_MAX = 500  # tables of cases are read line by line, not held in mind
LONG_FOR_A_REASON = {
    "db/migrations/versions/0001_first_tables.py": "a migration is written once and never edited",
}


def errors_named() -> dict[str, list[str]]:
    """Code → where `ErrorCode.<code>` stands, in the product."""
    named: dict[str, list[str]] = {}
    for file in modules():
        for node in ast.walk(tree(file)):
            name = dotted(node)
            if name.startswith("ErrorCode.") and name.count(".") == 1:
                named.setdefault(name.removeprefix("ErrorCode."), []).append(f"{name_of(file)}:{node.lineno}")
    return named


def test_every_error_code_that_is_raised_exists():
    unknown = {name: where for name, where in errors_named().items() if name not in ErrorCode.__members__}
    assert unknown == {}


def test_every_error_code_that_exists_is_raised_somewhere():
    assert sorted(set(ErrorCode.__members__) - set(errors_named())) == []


def test_an_error_code_is_its_own_name_in_small_letters():
    assert {code.name.lower() for code in ErrorCode} == {code.value for code in ErrorCode}


def test_the_package_of_activities_is_empty():
    # A workflow imports activities.contracts: whatever stood here would be imported with it.
    assert (ROOT / "activities" / "__init__.py").read_text(encoding="utf-8") == ""


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_one_idea():
    limits = dict.fromkeys((*modules(), *modules("bench")), LINES_MAX)
    limits |= dict.fromkeys(modules("tests"), LINES_OF_TESTS_MAX)
    long = {name_of(file): lines_of(file) for file, most in limits.items() if lines_of(file) >= most}
    assert long.keys() - LONG_FOR_A_REASON.keys() == set(), long


def test_every_exception_to_that_is_still_needed():
    assert [name for name in LONG_FOR_A_REASON if lines_of(ROOT / name) < LINES_MAX] == []


def test_every_module_tells_its_story_first():
    silent = [name_of(file) for file in modules() if tree(file).body and not ast.get_docstring(tree(file))]
    assert silent == []


def test_every_test_module_tells_its_story_first():
    silent = [name_of(file) for file in modules("tests") if not ast.get_docstring(tree(file))]
    assert silent == []


def test_tests_are_no_package_and_have_names_of_their_own():
    assert [name_of(file) for file in modules("tests") if file.name == "__init__.py"] == []
    names = [file.name for file in modules("tests") if file.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_the_lock_names_versions_and_hashes_but_no_address():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index-url" not in lock
    requirements = re.findall(
        r"^[a-z0-9][^\s=]*==\S+.*(?:\n {4}--hash=sha256:[0-9a-f]{64}.*)*", lock, re.MULTILINE
    )
    assert len(requirements) > 30
    assert [text.splitlines()[0] for text in requirements if "--hash" not in text] == []


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


_LONG_NUMBER = re.compile(r"(?<![0-9a-zA-Z.])\d(?:[ -]?\d){12,18}(?![0-9a-zA-Z])")
_TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".css", ".html", ".txt", ".sh", ".lock", ""}


def card_numbers(text: str) -> list[str]:
    digits = (re.sub(r"[ -]", "", found) for found in _LONG_NUMBER.findall(text))
    return [number for number in digits if luhn(number) and len(set(number)) > 1]


def test_no_card_number_stands_anywhere_in_the_repository():
    found = {}
    for file in all_files():
        if file.suffix in _TEXTS:
            numbers = card_numbers(file.read_text(encoding="utf-8"))
            if numbers:
                found[name_of(file)] = numbers
    assert found == {}


@pytest.mark.parametrize(
    "written", ["4242" * 4, " ".join(["4242"] * 4), "-".join(["4000", "0000", "0000", "0002"])]
)
def test_a_card_number_would_be_noticed(written):
    assert card_numbers(f"card: {written}, please")


def test_no_private_key_stands_anywhere_in_the_repository():
    needle = "BEGIN " + "PRIVATE KEY"
    texts = (file for file in all_files() if file.suffix in _TEXTS)
    assert [name_of(file) for file in texts if needle in file.read_text(encoding="utf-8")] == []
