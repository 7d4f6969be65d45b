"""Sources at the command line: listed, added, and asked whether a URL belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import begin, read_settings
from healtharchive.model.errors import BadInput, SetupError

if TYPE_CHECKING:
    from healtharchive.model.source import SourceDefinition
    from healtharchive.settings import Settings

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Check:
    """What one source says of a URL. `robots` is empty when robots.txt was not asked for."""

    source: str
    url: str
    in_scope: bool
    rule: str
    robots: str


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every source: the shipped ones and your own."""
    from healtharchive.crawl.sources import load_all

    settings = read_settings()
    found = sorted(load_all(settings.sources_dir).values(), key=lambda each: each.order)
    render.table(
        found,
        [
            ("code", lambda each: each.code),
            ("name", lambda each: each.name),
            ("languages", lambda each: ", ".join(each.languages)),
            ("hosts", lambda each: ", ".join(each.scope.hosts)),
            ("seeds", lambda each: len(each.seeds)),
        ],
        as_json=as_json,
        empty="There are no sources.",
    )


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A TOML file that describes a source.")],
    as_json: Json = False,
) -> None:
    """Check a source file and keep a copy of it in the sources directory."""
    from healtharchive.cli.catalogue import enter_sources
    from healtharchive.crawl.sources import load_file

    session = begin()
    definition = load_file(file)
    kept = session.settings.sources_dir / f"{definition.code}.toml"
    if file.resolve() != kept.resolve():
        _copy(file, kept)
    enter_sources(session)
    if as_json:
        render.print_json(definition)
    else:
        print(f"Source {definition.code} ({definition.name}) is kept as {kept}.")


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="The URL in question.")],
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    offline: Annotated[bool, typer.Option(help="Do not ask for robots.txt.")] = False,
    as_json: Json = False,
) -> None:
    """Is a URL in scope, by which rule, and does robots.txt allow it?"""
    from healtharchive.crawl.sources import load_all
    from healtharchive.crawl.urls import canonicalize

    settings = read_settings()
    canonical = canonicalize(url)
    if canonical is None:
        raise BadInput(
            f"'{url}' is not the URL of a web page.", "Give one with http:// or https://."
        )
    sources = load_all(settings.sources_dir)
    if source is not None and source not in sources:
        raise _no_source(source)
    chosen = [sources[source]] if source else sorted(sources.values(), key=lambda each: each.order)
    found = [_checked(settings, each, canonical, offline=offline) for each in chosen]
    render.table(
        found,
        [
            ("source", lambda each: each.source),
            ("in scope", lambda each: each.in_scope),
            ("by the rule", lambda each: each.rule),
            ("robots.txt", lambda each: each.robots),
            ("queued as", lambda each: each.url if each.in_scope else None),
        ],
        as_json=as_json,
        empty="There are no sources.",
    )


def _no_source(code: str) -> BadInput:
    return BadInput(f"There is no source '{code}'.", "`healtharchive source list` shows them.")


def _checked(settings: Settings, source: SourceDefinition, url: str, *, offline: bool) -> Check:
    import asyncio

    from healtharchive.crawl.inquiry import rules_of
    from healtharchive.crawl.scope import Scope

    page = Scope(source.scope).decide(url)
    decision = page if page.in_scope else Scope(source.scope).decide(url, asset=True)
    rule = decision.rule if decision is page else f"{decision.rule} (as an asset of a page)"
    if not decision.in_scope:
        return Check(source.code, url, False, page.rule, "")
    robots = ""
    if not offline:
        rules = asyncio.run(rules_of(source, settings.user_agent, decision.url))
        allowed, why = rules.verdict(settings.user_agent, decision.url)
        robots = f"{'allowed' if allowed else 'refused'}: {why}"
    return Check(source.code, decision.url, True, rule, robots)


def _copy(file: Path, kept: Path) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".toml.new")
        fresh.write_bytes(file.read_bytes())
        fresh.replace(kept)
    except OSError as error:
        raise SetupError(
            f"The source file cannot be kept as {kept}: {error.strerror}.",
            "Make that directory writable or set HEALTHARCHIVE_SOURCES_DIR to another one.",
        ) from error
