"""Plain data as YAML that people like to read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Plain = str | int | float | Sequence["Plain"] | Mapping[str, "Plain"]
BARE = re.compile(r"[A-Za-z][A-Za-z0-9_/.-]*|[0-9]+[smhd]")
# What YAML 1.1 takes for a truth value or nothing.
TAKEN = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def to_yaml(value: Plain) -> str:
    """The value as one document, with a line break at its end."""
    return "\n".join(_block(value)) + "\n"


def _block(value: Plain) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, inner in value.items() for line in _entry(f"{key}:", inner)]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [line for inner in value for line in _item(inner)]
    return [_scalar(value)]


def _entry(key: str, value: Plain) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        return [f"{key} |-", *(f"  {line}" for line in value.splitlines())]
    lines = _block(value)
    if isinstance(value, str | int | float) or not value:
        return [f"{key} {lines[0]}"]
    return [key, *(f"  {line}" for line in lines)]


def _item(value: Plain) -> list[str]:
    first, *rest = _block(value)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _scalar(value: Plain) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if BARE.fullmatch(value) and value.lower() not in TAKEN:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value)
