"""Files that people write: YAML or JSON.

YAML is read by the rules of its current version, so that `10:00` is a text and `no` is not False.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml


class UnreadableDocument(Exception):  # noqa: N818 - the caller knows by which code it refuses
    """The file is not there, is no text, or is neither YAML nor JSON."""


def read_document(path: Path) -> Any:
    """What the file holds; by its ending JSON, else YAML."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Yaml12)  # noqa: S506
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise UnreadableDocument(f"The file cannot be read: {error}") from error


class _Yaml12(yaml.SafeLoader):
    """Safe, and with the core schema of YAML 1.2: dates, times and `yes`/`no` stay texts."""


_Yaml12.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
):
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_Yaml12.add_constructor("tag:yaml.org,2002:int", _whole)
