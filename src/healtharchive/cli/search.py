"""Search at the command line, in the same index as the web pages."""

from __future__ import annotations

import sys
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import read_settings
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.search.query import Hit, Results


class SortName(StrEnum):
    """The orders there are; `oldest` goes by a page's first capture."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    OLDEST = "oldest"


app = typer.Typer()
PANEL = "Reading"
PROBLEMS = {
    "unknown": "is no filter",
    "date": "names no date such as 2026-01-24, 2026-01 or 2026",
    "type": "names no type: html, pdf or text",
    "language": "names no language such as en or fr",
    "site": "names no site such as canada.ca/en",
}
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


@app.command(rich_help_panel=PANEL)
def search(
    words: Annotated[
        str,
        typer.Argument(
            help="What to look for; quote a phrase. Filters may stand among the words: site:, "
            "source:, campaign:, lang:, type:, before:, after:, title:, inurl:. A minus leaves out."
        ),
    ],
    source: Annotated[str, typer.Option(help="Only this source.")] = "",
    campaign: Annotated[str, typer.Option(help="Only this campaign.")] = "",
    lang: Annotated[str, typer.Option(help="Only this language: en or fr.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Only html, pdf or text.")] = "",
    since: Annotated[str, typer.Option("--from", help="Captured on this day or later.")] = "",
    until: Annotated[str, typer.Option("--to", help="Captured on this day or earlier.")] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Every capture, not only the latest.")
    ] = False,
    sort: Annotated[SortName, typer.Option(help="The order of the hits.")] = SortName.RELEVANCE,
    page: Annotated[int, typer.Option(min=1, help="Which page of the hits.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=100, help="Hits a page.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find archived pages, best first."""
    from healtharchive.cli.catalogue import require_source
    from healtharchive.search.query import Query
    from healtharchive.search.query import search as find
    from healtharchive.search.suggestions import spelling_in
    from healtharchive.settings import open_database

    settings = read_settings()
    query = Query(
        text=words,
        source=source,
        campaign=campaign,
        language=lang,
        kind=kind,
        date_from=_day(since),
        date_to=_day(until),
        all_captures=every,
        sort=sort.value,
        page=page,
        size=size,
    )
    results = find(settings.search_dir, query)
    if source and not results.total:
        require_source(source, settings, lambda: open_database(settings))
    if as_json:
        render.print_json(results)
        return
    for problem in results.problems:
        said = f"'{problem.written}' {PROBLEMS[problem.trouble]}; it was searched as words."
        print(render.safe(said), file=sys.stderr)
    for hit in results.hits:
        _print_hit(hit)
    _print_total(results)
    better = spelling_in(settings.search_dir, query, results.exact)
    if better is not None:
        print(render.safe(f"Did you mean: {better.text} ({better.total} found)"))


def _print_total(results: Results) -> None:
    if not results.total:
        print("Nothing was found.")
    elif results.exact == results.total:
        print(f"{results.total} found.")
    else:
        print(f"{results.total} found; the first {results.exact} have all the words.")


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"'{text}' is no day.", "Give one such as 2026-01-24.") from None


def _print_hit(hit: Hit) -> None:
    bold, plain = (BOLD, PLAIN) if sys.stdout.isatty() else ("", "")
    snippet = "".join(
        f"{bold}{_clean(each.text)}{plain}" if each.highlighted else _clean(each.text)
        for each in hit.snippet
    )
    print(f"{bold}{_clean(hit.title) or _clean(hit.url)}{plain}")
    print(f"  {_clean(hit.url)}")
    print(f"  {hit.source}, {hit.language}, {hit.captured_at:%Y-%m-%d}, capture {hit.capture_id}")
    if snippet:
        print(f"  {snippet}")
    print()


def _clean(text: str) -> str:
    # Control characters of a hostile page must not reach the terminal.
    return "".join(each if each.isprintable() else " " for each in text)
