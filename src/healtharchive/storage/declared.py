"""The targets file: places to keep bytes, as TOML, one `[[target]]` each."""

from __future__ import annotations

import re
from pathlib import Path

from healtharchive.model import declarations
from healtharchive.model.declarations import Declared
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
OBJECT_SCHEMES = ("sftp://", "s3://")


def spool(jobs_root: Path) -> TargetDefinition:
    """The target that every archive has: the local disk that crawls write to."""
    return TargetDefinition(SPOOL, TargetKind.LOCAL, str(jobs_root))


def load_targets(path: Path) -> tuple[TargetDefinition, ...]:
    """The targets that a file declares, none when there is no such file.

    BadInput names the file, the line and the reason.
    """
    if not path.exists():
        return ()
    file = declarations.read("targets file", path)
    for name in file.table:
        if name != "target":
            raise file.bad(file.line_of([name]), f"there is no setting '{name}'")
    tables = file.table.get("target", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise file.bad(file.line_of(["target"]), "each target begins with a line [[target]]")
    found: dict[str, TargetDefinition] = {}
    for table in tables:
        definition = file.record(TargetDefinition, table)
        _check(file, definition)
        if definition.name in found:
            line = file.line_with(f'"{definition.name}"')
            raise file.bad(line, f"two targets are called '{definition.name}'")
        found[definition.name] = definition
    for definition in found.values():
        if definition.parent and definition.parent not in found:
            line = file.line_with(f'"{definition.parent}"')
            raise file.bad(line, f"there is no target '{definition.parent}'")
    return tuple(found.values())


def _check(file: Declared, definition: TargetDefinition) -> None:
    reason = _objection(definition)
    if reason:
        raise file.bad(file.line_with(f'"{definition.name}"'), f"{definition.name}: {reason}")


def _objection(definition: TargetDefinition) -> str:
    """What is wrong with a definition; empty when nothing is."""
    kind, root = definition.kind, definition.root
    if not NAME.fullmatch(definition.name) or definition.name == SPOOL:
        return "a name is small letters, digits and hyphens, and not 'spool'"
    if kind is TargetKind.OBJECT and not root.startswith(OBJECT_SCHEMES):
        return f"the root of an object target begins with {' or '.join(OBJECT_SCHEMES)}"
    if kind is not TargetKind.OBJECT and not root.startswith("/"):
        return "its root must be an absolute directory"
    if kind is TargetKind.BIND and not (definition.parent and definition.backing):
        return "a bind names its parent and the backing directory on it"
    if definition.mount_command and definition.unit:
        return "it is mounted by its mount_command or by its unit, not by both"
    if definition.server and not re.fullmatch(r".+:\d{1,5}", definition.server):
        return "its server is written host:port"
    if definition.connections < 1 or definition.bytes_per_second < 0:
        return "connections are at least 1, bytes_per_second at least 0"
    return ""
