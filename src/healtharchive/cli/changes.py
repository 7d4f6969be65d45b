"""What changed on archived pages: two captures compared, and the list of all changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput, HealthArchiveError, SetupError

if TYPE_CHECKING:
    from healtharchive.model.changes import ListedChange
    from healtharchive.search.compare.comparison import Piece
    from healtharchive.search.compare.request import Compared

app = typer.Typer()
PANEL = "Reading"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SIGNS = {"removed": "-", "added": "+", "moved_away": "<", "moved_here": ">"}


@app.command(rich_help_panel=PANEL)
def changes(
    source: Annotated[str, typer.Option(help="Only this source.")] = "",
    url: Annotated[str, typer.Option(help="Only this page.")] = "",
    since: Annotated[str, typer.Option(help="Captured on this day or later (UTC).")] = "",
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Only what matters so much; 0: everything.")
    ] = 0.01,
    order: Annotated[Literal["time", "score"], typer.Option(help="time or score.")] = "time",
    size: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    compute: Annotated[
        bool, typer.Option("--compute", help="Compare first what has not been compared.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="With --compute: all of it anew.")] = False,
    as_json: Json = False,
) -> None:
    """List what changed from one capture of a page to the next, newest or gravest first."""
    from healtharchive.model.changes import Wish, list_changes
    from healtharchive.warc.cdxj import stored_key

    moment = _day(since)
    if again and not compute:
        raise BadInput("--again says how to compute.", "Give --compute with it.")
    session = begin()
    if source:
        _require_source(session, source)
    if compute:
        _compute(session, source, again=again)
    wish = Wish(
        source=source,
        url=url,
        url_key=stored_key(url) if url else "",
        since=moment,
        least_score=min_score,
        order=order,
        limit=size,
    )
    with session.database.read() as connection:
        found = list_changes(connection, wish)
    if as_json:
        render.print_json(found)
        return
    for change in found:
        _print_change(change)
    print(f"{len(found)} changes." if found else "No change is known.")


@app.command(rich_help_panel=PANEL)
def compare(
    old: Annotated[int, typer.Argument(help="Number of the earlier capture.")],
    new: Annotated[int, typer.Argument(help="Number of the later capture.")],
    as_json: Json = False,
) -> None:
    """Show what the page of one capture says and that of another does not."""
    from healtharchive.search.compare.request import compare_in_child, order_for
    from healtharchive.search.compare.texts import Frames

    session = begin()
    with session.database.read() as connection:
        search_dir = session.settings.search_dir
        before, after, order = order_for(connection, search_dir, old, new)
        common = Frames().of_jobs(connection, search_dir, (before.job_id, after.job_id))
    compared = compare_in_child(replace(order, common=tuple(sorted(common))))
    if compared.refused:
        raise _refusal(compared)
    if as_json:
        render.print_json(compared)
        return
    for holding in (before, after):
        print(render.safe(f"{holding.captured_at:%Y-%m-%d %H:%M:%SZ}  {holding.url}"))
    _print_comparison(compared)


def _compute(session: Session, source: str, *, again: bool) -> None:
    from healtharchive.model.changes import note_compared, require_unclaimed
    from healtharchive.model.restoration import jobs_that_are
    from healtharchive.model.states import JobStatus
    from healtharchive.search.compare.edition import Comparer
    from healtharchive.search.index import SearchIndex

    if not SearchIndex.exists(session.settings.search_dir):
        raise SetupError(
            "Nothing can be compared: there is no search index.", "Run `healtharchive rebuild`."
        )
    index = SearchIndex(session.settings.search_dir)
    with session.database.read() as connection:
        jobs = jobs_that_are(connection, (JobStatus.INDEXED,))
    for job in (each for each in jobs if not source or each.source == source):
        guard = partial(require_unclaimed, job_id=job.id, fence=job.fence)
        if again:
            with session.database.begin() as connection:
                guard(connection)
                note_compared(connection, job.id, 0)
        comparer = Comparer(session.database, index, lambda: None, guard)
        comparer.compare_job(job.id, job.source_id)


def _require_source(session: Session, source: str) -> None:
    from healtharchive.cli.catalogue import require_source

    require_source(source, session.settings, lambda: session.database)


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"'{text}' is no day.", "Give one such as 2026-01-24.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refusal(compared: Compared) -> HealthArchiveError:
    if compared.refused == "no_text":
        return BadInput(
            "One of these captures has no text to compare.", "Give captures of web pages."
        )
    if compared.refused == "out_of_reach":
        return SetupError(
            f"A stored page cannot be read now: {compared.reason}.",
            "`healtharchive storage status` shows how the storage is.",
        )
    return BadInput(
        f"These captures cannot be compared: {compared.reason or compared.refused}.",
        "`healtharchive verify` looks for damaged files.",
    )


def _print_change(change: ListedChange) -> None:
    print(render.safe(f"{change.score:.2f} {change.kind:<11} {change.title or change.url}"))
    place = f"captures {change.from_capture or '-'} and {change.to_capture}"
    print(render.safe(f"  {change.url}"))
    print(f"  {change.source}, {change.at:%Y-%m-%d}, {place}")
    for example in change.examples[:3]:
        for sign, side in (("-", "old"), ("+", "new")):
            if example[side]:
                print(render.safe(f"  {sign} {example[side]}"))
    print()


def _print_comparison(compared: Compared) -> None:
    for section in compared.comparison.sections:
        if not section.changed:
            continue
        moved = " (moved)" if section.moved else ""
        print(f"\n## {render.safe(section.heading or 'Beginning of the page')}{moved}")
        for piece in section.pieces:
            _print_piece(piece)
    weight = compared.weight
    print(
        f"\n{weight.added_words} words added, {weight.removed_words} removed; "
        f"how much it matters: {weight.score:.2f} of 1."
    )


def _print_piece(piece: Piece) -> None:
    if piece.kind == "same":
        return
    note = "  (not part of the content)" if piece.frame else ""
    if piece.kind == "changed":
        print(render.safe(f"- {piece.old}{note}"))
        print(render.safe(f"+ {piece.new}{note}"))
        return
    print(render.safe(f"{SIGNS[piece.kind]} {piece.old or piece.new}{note}"))
