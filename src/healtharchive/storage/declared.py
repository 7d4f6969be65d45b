"""The targets file: places to keep bytes, as TOML, one `[[target]]` each."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from healtharchive.model import declarations
from healtharchive.model.declarations import Declared
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind

HEADER = re.compile(r"\s*\[\[\s*target\s*\]\]")
NOUN = "targets file"
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
OBJECT_SCHEMES = ("sftp://", "s3://")


def spool(jobs_root: Path) -> TargetDefinition:
    """The target that every archive has: the local disk that crawls write to."""
    return TargetDefinition(SPOOL, TargetKind.LOCAL, str(jobs_root))


def load_targets(path: Path) -> tuple[TargetDefinition, ...]:
    """The targets that a file declares, none when there is no such file.

    BadInput names the file, the line and the reason.
    """
    return targets_in(path, targets_text(path))


def targets_text(path: Path) -> str:
    """The text of a targets file, empty when there is no such file."""
    return declarations.read_text(NOUN, path) if path.exists() else ""


def targets_in(path: Path, text: str) -> tuple[TargetDefinition, ...]:
    """The targets that the text of a file declares; BadInput as before."""
    file = declarations.parse(NOUN, path, text)
    for name in file.table:
        if name != "target":
            raise file.bad(file.line_of([name]), f"there is no setting '{name}'")
    tables = file.table.get("target", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise file.bad(file.line_of(["target"]), "each target begins with a line [[target]]")
    parts = _parts(file, len(tables))
    found: dict[str, TargetDefinition] = {}
    for part, table in zip(parts, tables, strict=True):
        definition = part.record(TargetDefinition, table, "target")
        reason = _objection(definition)
        if reason:
            raise part.bad(part.line_of(["name"]), f"{definition.name}: {reason}")
        if definition.name in found:
            line = part.line_of(["name"])
            raise part.bad(line, f"two targets are called '{definition.name}'")
        found[definition.name] = definition
    for part, definition in zip(parts, found.values(), strict=True):
        if definition.parent and definition.parent not in found:
            line = part.line_of(["parent"])
            raise part.bad(line, f"there is no target '{definition.parent}'")
    return tuple(found.values())


def _parts(file: Declared, number: int) -> list[Declared]:
    """The file once for each target, with the other targets' lines blank: so that lines are right.

    Where targets are not written as [[target]] each has the whole file.
    """
    lines = file.text.splitlines()
    begins = [number for number, line in enumerate(lines) if HEADER.match(line)]
    if not number or len(begins) != number:
        return [file] * number
    ends = [*begins[1:], len(lines)]
    return [
        replace(file, text="\n".join([""] * begin + lines[begin:end]))
        for begin, end in zip(begins, ends, strict=True)
    ]


def _objection(definition: TargetDefinition) -> str:
    """What is wrong with a definition; empty when nothing is."""
    kind, root = definition.kind, definition.root
    if not NAME.fullmatch(definition.name) or definition.name == SPOOL:
        return "a name is small letters, digits and hyphens, and not 'spool'"
    if kind is TargetKind.OBJECT and not root.startswith(OBJECT_SCHEMES):
        return f"the root of an object target begins with {' or '.join(OBJECT_SCHEMES)}"
    if kind is not TargetKind.OBJECT and not root.startswith("/"):
        return "its root must be an absolute directory"
    if not root.isprintable():
        return "its root has a character that cannot be printed"  # it comes to stand in unit files
    if kind is TargetKind.BIND and not (definition.parent and definition.backing):
        return "a bind names its parent and the backing directory on it"
    if definition.mount_command and definition.unit:
        return "it is mounted by its mount_command or by its unit, not by both"
    if definition.server and not re.fullmatch(r".+:\d{1,5}", definition.server):
        return "its server is written host:port"
    if definition.connections < 1 or definition.bytes_per_second < 0:
        return "connections are at least 1, bytes_per_second at least 0"
    return ""
