"""Whether the packages that this program needs are installed, in versions that it can use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata

PROGRAM = "healtharchive"
# What our own metadata has: a name, extras of it, one least version, one extra of ours.
LINE = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=\s*(?P<least>[0-9.]+))?"
    r"\s*(?:;\s*extra\s*==\s*[\"'](?P<extra>[a-z0-9]+)[\"'])?"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that is needed, always or for one extra of ours."""

    name: str
    least: str = ""
    extra: str = ""


def parse(lines: Iterable[str]) -> list[Requirement]:
    """The requirements as package metadata writes them. ValueError for what we never write."""
    found = []
    for line in lines:
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"a requirement of an unknown form: {line}")
        found.append(Requirement(match["name"], match["least"] or "", match["extra"] or ""))
    return found


def own_requirements() -> list[Requirement]:
    """Those of the installed program."""
    return parse(metadata.requires(PROGRAM) or [])


def unmet(
    required: Iterable[Requirement], installed: Callable[[str], str | None], extra: str = ""
) -> list[str]:
    """One sentence for each package of an extra (empty: those always needed) that will not do."""
    found = []
    for each in required:
        if each.extra != extra:
            continue
        version = installed(each.name)
        if version is None:
            found.append(f"{each.name} is not installed")
        elif each.least and numbers(version) < numbers(each.least):
            found.append(f"{each.name} is {version}, older than {each.least}")
    return found


def installed_version(name: str) -> str | None:
    """The version of an installed package; None when it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version, to compare: `3.7.3-1` is (3, 7, 3)."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    parts = [int(part) for part in match[0].split(".")] if match else [0]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()  # 2.0 is as new as 2
    return tuple(parts)
