"""Source files: a site to capture as TOML, checked so that a mistake is named with its line."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from healtharchive.crawl.scope import Scope
from healtharchive.crawl.urls import canonicalize, host_of
from healtharchive.model.errors import BadInput, HealthArchiveError
from healtharchive.model.source import Limits, Politeness, ScopeRules, Seed, SourceDefinition

CODE = re.compile(r"[a-z][a-z0-9-]{0,30}")
PARTS: dict[str, type[Any]] = {"scope": ScopeRules, "politeness": Politeness, "limits": Limits}


def load_all(extra: Path | None) -> dict[str, SourceDefinition]:
    """The shipped sources and those in the directory `extra`, by code; an own one replaces ours.

    BadInput names the file, the line and the reason.
    """
    files = [
        Path(str(each)) for each in resources.files(__package__).joinpath("source_files").iterdir()
    ]
    if extra is not None and extra.is_dir():
        files = [*sorted(files), *sorted(extra.glob("*.toml"))]
    definitions = [load_file(path) for path in files if path.suffix == ".toml"]
    return {each.code: each for each in definitions}


def load_file(path: Path) -> SourceDefinition:
    """The source that a TOML file describes. BadInput names the file, the line and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise _bad(path, None, f"it cannot be read: {reason}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else None
        raise _bad(path, line, str(error).partition(" (at ")[0]) from error
    return _definition(path, text, table)


def of_one_site(url: str, **limits: Any) -> SourceDefinition:
    """The source of `healtharchive crawl URL`: that host, below no particular path."""
    canonical = canonicalize(url if "://" in url else f"https://{url}")
    if canonical is None:
        raise BadInput(
            f"{url!r} is not the URL of a web page.", "Give one such as https://example.org/."
        )
    host = host_of(canonical)
    code = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:30].strip("-")
    return SourceDefinition(
        code=code if CODE.fullmatch(code) else f"site-{code}"[:31].strip("-"),
        name=host,
        seeds=(Seed(canonical),),
        scope=ScopeRules(hosts=(host,)),
        base_url=canonical,
        limits=Limits(**limits),
    )


def _definition(path: Path, text: str, table: dict[str, Any]) -> SourceDefinition:
    _refuse_unknown(path, text, table, SourceDefinition)
    for name, kind in PARTS.items():
        part = table.get(name, {})
        if isinstance(part, dict):
            _refuse_unknown(path, text, part, kind)
    try:
        definition = TypeAdapter(SourceDefinition).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(each) for each in first["loc"])
        line = _line_of(text, [str(each) for each in first["loc"] if isinstance(each, str)])
        raise _bad(path, line, f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
    return _checked(path, text, definition)


def _refuse_unknown(path: Path, text: str, table: dict[str, Any], kind: type[Any]) -> None:
    known = {field.name for field in dataclasses.fields(kind)}
    for name in table:
        if name not in known:
            raise _bad(path, _line_of(text, [name]), f"there is no setting '{name}'")


def _checked(path: Path, text: str, definition: SourceDefinition) -> SourceDefinition:
    if not CODE.fullmatch(definition.code):
        why = f"the code {definition.code!r} is not small letters, digits and hyphens"
        raise _bad(path, _line_of(text, ["code"]), why)
    if not definition.seeds:
        raise _bad(path, None, "it has no seeds")
    if not definition.scope.hosts:
        raise _bad(path, _line_of(text, ["scope"]), "its scope has no hosts")
    try:
        scope = Scope(definition.scope)
    except BadInput as error:
        wrong = error.what.partition("rule '")[2].partition("'")[0]
        raise _bad(path, _line_with(text, wrong), error.what.rstrip(".")) from error
    for seed in definition.seeds:
        url = canonicalize(seed.url)
        line = _line_with(text, seed.url)
        if url is None:
            raise _bad(path, line, f"the seed {seed.url!r} is not a URL")
        decision = scope.decide(url)
        if not decision.in_scope:
            raise _bad(path, line, f"the seed {seed.url} is out of scope: {decision.rule}")
    return definition


def _line_of(text: str, names: list[str]) -> int | None:
    """The line on which the last of these names is set, or its table begins."""
    for name in reversed(names):
        pattern = re.compile(
            rf"^\s*(?:{re.escape(name)}\s*=|\[+\s*(?:\w+\.)?{re.escape(name)}\s*\]+)"
        )
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.match(line):
                return number
    return None


def _line_with(text: str, words: str) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if words and words in line:
            return number
    return None


def _bad(path: Path, line: int | None, reason: str) -> HealthArchiveError:
    where = f"{path}, line {line}" if line else str(path)
    return BadInput(
        f"The source file {where} cannot be used: {reason}.", "Correct it and try again."
    )
