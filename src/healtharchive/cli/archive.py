"""The captured files: `verify` re-reads WARC files, `rebuild` makes all else anew from them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, progress, render
from healtharchive.cli.progress import Standing
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.model.orders import Report
    from healtharchive.warc.inventory import Inventory
    from healtharchive.warc.verify import FileReport

app = typer.Typer()
PANEL = "Capturing"
DATABASE = "the database"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel=PANEL)
def verify(
    paths: Annotated[list[Path] | None, typer.Argument(help="WARC files or directories.")] = None,
    job_id: Annotated[int | None, typer.Option("--job", help="All files of this job.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, max=100, help="Read only this per cent of each file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which per cent.")] = 0,
    as_json: Json = False,
) -> None:
    """Re-read WARC files, compare them with their manifest, and name every fault; exit 1 then."""
    inventory = _inventory(paths or [], job_id)
    reports: list[FileReport] = []
    total = sum(path.stat().st_size for path in inventory.files if path.exists())

    def look() -> Standing:
        read = sum(report.bytes for report in reports)
        bad = sum(bool(report.problems) for report in reports)
        said = f"{len(reports)} of {len(inventory.files)} files verified, {bad} with problems"
        return Standing(f"{said}, {messages.size(read)}", read, total)

    with progress.shown(look):
        reports.extend(inventory.verified(sample_percent=sample, seed=seed))
    if as_json:
        render.print_json(reports)
    else:
        for report in reports:
            _print_report(report)
    raise typer.Exit(1 if any(report.problems for report in reports) else 0)


@app.command(rich_help_panel=PANEL)
def rebuild(
    source: Annotated[
        str | None, typer.Option("--from", help="A target: bring everything back from it first.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the search index, and the rows it stands on, anew from the WARC files alone."""
    from healtharchive.model.journal import this_process
    from healtharchive.search.index import SearchIndex
    from healtharchive.search.pipeline import Tools
    from healtharchive.search.rebuild import rebuild as make_anew
    from healtharchive.work.order import state_dir_of

    session = begin()
    fetched = () if source is None else _retrieve(session, source)
    index = SearchIndex(session.settings.search_dir)
    heard = _Heard()
    tools = Tools(session.database, index, this_process(), heard.hear, lambda: None)
    with progress.shown(heard.standing):
        home_of = partial(state_dir_of, session.settings)
        done = make_anew(tools, session.settings.jobs_root, session.clock.monotonic, home_of)
    if source is not None:
        _note_copies(session, source, fetched)
    if as_json:
        render.print_json(done)
        return
    print(f"{done.restored} jobs restored, {done.indexed} indexed: {done.tally.snapshots} pages.")
    for name in done.unknown:
        print(f"  left alone, its name does not say what it is of: {name}")


def _retrieve(session: Session, target: str) -> tuple[str, ...]:
    from healtharchive.cli.steward import steward_means
    from healtharchive.model.journal import this_process
    from healtharchive.search.suppressing import restore
    from healtharchive.steward.retrieval import kept_suppressions, retrieve
    from healtharchive.steward.storage import Storage

    means = steward_means(session)
    Storage(means).declare()
    # Before anything can be shown: what that archive did not show is not shown here either.
    restore(session.database, kept_suppressions(means, target), actor=this_process())
    found = retrieve(means, target, lambda line: print(render.safe(line), file=sys.stderr))
    said = f"{len(found.fetched)} WARC files of {found.jobs} jobs fetched from {target}"
    print(render.safe(f"{said}, {len(found.missing)} are missing there."), file=sys.stderr)
    for name in found.missing:
        print(render.safe(f"  {name}"), file=sys.stderr)
    return found.fetched


def _note_copies(session: Session, target: str, fetched: tuple[str, ...]) -> None:
    from healtharchive.cli.steward import steward_means
    from healtharchive.steward.retrieval import note_copies

    note_copies(steward_means(session), target, fetched)


class _Heard:
    """What a rebuild reported so far."""

    def __init__(self) -> None:
        self._jobs = 0
        self._before = self._now = 0  # captures: of earlier jobs, of this one

    def hear(self, report: Report) -> None:
        """Take a report: `started` a job, or its `progress`."""
        if report.kind == "started":
            self._jobs += 1
            self._before, self._now = self._before + self._now, 0
        elif report.kind == "progress":
            self._now = int(report.evidence.get("captures") or 0)

    def standing(self) -> Standing:
        """How far it is; nobody knows how much there is."""
        return Standing(f"rebuild: job {self._jobs}, {self._before + self._now} captures indexed")


def _print_report(report: FileReport) -> None:
    said = "sound" if not report.problems else f"{len(report.problems)} problems"
    print(f"{report.path}: {report.records} records, {messages.size(report.bytes)}, {said}")
    for problem in report.problems:
        about = f" {problem.url}" if problem.url else ""
        print(f"  at byte {problem.offset}{about}: {problem.reason}")


def _inventory(paths: list[Path], job_id: int | None) -> Inventory:
    from healtharchive.warc.inventory import Inventory

    inventory = Inventory()
    for place in paths:
        if place.is_dir():
            inventory.add_directory(place)
        elif place.exists():
            inventory.add_file(place)
        else:
            raise BadInput(f"There is no file {place}.", "Give WARC files or directories.")
    released: list[Path] = []
    if job_id is not None:
        released = _add_job(inventory, job_id)
    elif not paths:
        raise BadInput("Nothing to verify was named.", "Give WARC files, directories, or --job ID.")
    if job_id is not None or any(place.is_dir() for place in paths):
        inventory.look_for_the_missing(released)
    if not inventory.files and not inventory.missing:
        named = paths[0] if paths else f"job {job_id}"
        raise BadInput(f"There is no WARC file in {named}.", "Give WARC files or directories.")
    return inventory


def _add_job(inventory: Inventory, job_id: int) -> list[Path]:
    """A job's files with what manifest and database say of them; those released from this disk."""
    from healtharchive.model.holdings import segments_of_job
    from healtharchive.model.jobs import get_job
    from healtharchive.model.states import SegmentState
    from healtharchive.warc.inventory import Entry

    session = begin()
    with session.database.read() as connection:
        directory = Path(get_job(connection, job_id).output_dir) / "warcs"
        segments = segments_of_job(connection, job_id)
    if directory.is_dir():
        inventory.add_directory(directory)
    here = (SegmentState.SEALED, SegmentState.SHIPPED, SegmentState.VERIFIED)
    inventory.add_entries(
        Entry(directory / each.name, each.size_bytes, each.sha256, each.records, DATABASE)
        for each in segments
        if each.state in here
    )
    return [directory / each.name for each in segments if each.state is SegmentState.RELEASED]
