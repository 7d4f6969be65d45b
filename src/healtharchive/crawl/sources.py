"""Source files: a site to capture as TOML, checked so that a mistake is named with its line."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import re2

from healtharchive.crawl.scope import Scope
from healtharchive.crawl.urls import canonicalize, host_of
from healtharchive.model import declarations
from healtharchive.model.container import ContainerOptions, problems
from healtharchive.model.errors import BadInput
from healtharchive.model.source import (
    BrowserOptions,
    Limits,
    Politeness,
    ScopeRules,
    Seed,
    SourceDefinition,
    StallRules,
)

CODE = re.compile(r"[a-z][a-z0-9-]{0,30}")
PARTS: dict[str, type[Any]] = {
    "scope": ScopeRules,
    "politeness": Politeness,
    "limits": Limits,
    "browser": BrowserOptions,
    "container": ContainerOptions,
    "stall": StallRules,
}

# What the stall rules may be, inclusive.
STALL_RANGES = (
    ("seconds", 10.0, 604_800.0),
    ("error_share", 0.0, 1.0),
    ("window_seconds", 60.0, 86_400.0),
    ("pages_per_hour", 0.0, 1_000_000.0),
    ("restarts_per_day", 0, 1_000),
)


# A week, so that a slip of a host's clock stops no job for good.
MOST_RETRY_AFTER_SECONDS = 7 * 86_400.0


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
    file = declarations.read("source file", path)
    file.refuse_unknown(SourceDefinition, file.table)
    for name, kind in PARTS.items():
        part = file.table.get(name, {})
        if isinstance(part, dict):
            file.refuse_unknown(kind, part)
    return _checked(file, file.record(SourceDefinition, file.table))


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


def _check_stall(file: declarations.Declared, rules: StallRules) -> None:
    for name, least, most in STALL_RANGES:
        value = getattr(rules, name)
        if value is not None and not least <= value <= most:
            why = f"stall.{name} is {value:g}, but it must be from {least:g} to {most:g}"
            raise file.bad(file.line_of(["stall"]), why)


def _check_politeness(file: declarations.Declared, rules: Politeness) -> None:
    if not 0.0 <= rules.max_retry_after_seconds <= MOST_RETRY_AFTER_SECONDS:
        why = (
            f"politeness.max_retry_after_seconds is {rules.max_retry_after_seconds:g}, but it must "
            f"be from 0 to {MOST_RETRY_AFTER_SECONDS:.0f}"
        )
        raise file.bad(file.line_of(["politeness"]), why)


def _check_engines(file: declarations.Declared, definition: SourceDefinition) -> None:
    for pattern in (*definition.browser.always, *definition.browser.never):
        try:
            re2.compile(pattern)
        except re2.error as error:
            why = f"the browser's pattern {pattern!r} cannot be read: {error}"
            raise file.bad(file.line_with(pattern), why) from error
    for problem in problems(definition.container):
        raise file.bad(file.line_of(["container"]), problem)


def _checked(file: declarations.Declared, definition: SourceDefinition) -> SourceDefinition:
    if not CODE.fullmatch(definition.code):
        why = f"the code {definition.code!r} is not small letters, digits and hyphens"
        raise file.bad(file.line_of(["code"]), why)
    if not definition.seeds:
        raise file.bad(None, "it has no seeds")
    if not definition.scope.hosts:
        raise file.bad(file.line_of(["scope"]), "its scope has no hosts")
    try:
        scope = Scope(definition.scope)
    except BadInput as error:
        wrong = error.what.partition("rule '")[2].partition("'")[0]
        raise file.bad(file.line_with(wrong), error.what.rstrip(".")) from error
    _check_engines(file, definition)
    _check_stall(file, definition.stall)
    _check_politeness(file, definition.politeness)
    for seed in definition.seeds:
        url = canonicalize(seed.url)
        line = file.line_with(seed.url)
        if url is None:
            raise file.bad(line, f"the seed {seed.url!r} is not a URL")
        decision = scope.decide(url)
        if not decision.in_scope:
            raise file.bad(line, f"the seed {seed.url} is out of scope: {decision.rule}")
    return definition
