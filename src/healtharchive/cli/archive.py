"""`crawl` captures a site in one command, `verify` re-reads WARC files, `rebuild` starts anew."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.model.jobs import Job
    from healtharchive.model.source import SourceDefinition

app = typer.Typer()
PANEL = "Capturing"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LOOK_SECONDS = 1.0
SAY_SECONDS = 10.0


@app.command(rich_help_panel=PANEL)
def crawl(
    url: Annotated[str, typer.Argument(help="Where to begin; the whole host is captured.")],
    pages: Annotated[int | None, typer.Option(min=1, help="End after so many pages.")] = None,
    total_bytes: Annotated[
        int | None, typer.Option("--bytes", min=1, help="End after so many bytes.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after so much crawl time.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, help="Seconds between requests.")] = 0.5,
    allow_private: Annotated[
        bool, typer.Option(help="Let this host be at a private or loopback address.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Capture a site, index it, and leave it searchable: a campaign of one."""
    from healtharchive.crawl.sources import of_one_site
    from healtharchive.work.worker import run_one

    source = of_one_site(url, pages=pages, total_bytes=total_bytes, seconds=seconds)
    politeness = dataclasses.replace(source.politeness, delay_seconds=delay)
    allowed = source.scope.hosts if allow_private else ()
    source = dataclasses.replace(source, politeness=politeness, allow_private_hosts=allowed)
    session = begin(embedded=True)
    job = _queue(session, source)
    with _progress(session, job.id):
        job = run_one(session.settings, session.database, session.clock, job.id, until_settled=True)
    _tell(job, as_json=as_json)
    raise typer.Exit(0 if job.status == "indexed" else 1)


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
    """Re-read WARC files and name every bad record; exit 1 when there is one."""
    from healtharchive.warc.verify import verify_many

    files = _warc_files(paths or [], job_id)
    reports = list(verify_many(files, sample_percent=sample, seed=seed))
    if as_json:
        render.print_json(reports)
    else:
        for report in reports:
            said = "sound" if not report.problems else f"{len(report.problems)} problems"
            size = messages.size(report.bytes)
            print(f"{report.path}: {report.records} records, {size}, {said}")
            for problem in report.problems:
                about = f" {problem.url}" if problem.url else ""
                print(f"  at byte {problem.offset}{about}: {problem.reason}")
    raise typer.Exit(1 if any(report.problems for report in reports) else 0)


@app.command(rich_help_panel=PANEL)
def rebuild(as_json: Json = False) -> None:
    """Make the search index, and the rows it stands on, anew from the WARC files alone."""
    from healtharchive.model.journal import this_process
    from healtharchive.search.index import SearchIndex
    from healtharchive.search.pipeline import Tools
    from healtharchive.search.rebuild import rebuild as make_anew

    session = begin()
    index = SearchIndex(session.settings.search_dir)
    tools = Tools(session.database, index, this_process(), lambda _: None, lambda: None)
    done = make_anew(tools, session.settings.jobs_root, session.clock.monotonic)
    if as_json:
        render.print_json(done)
        return
    print(f"{done.restored} jobs restored, {done.indexed} indexed: {done.tally.snapshots} pages.")
    for name in done.unknown:
        print(f"  left alone, its name does not say what it is of: {name}")


def _queue(session: Session, source: SourceDefinition) -> Job:
    from healtharchive.model import jobs
    from healtharchive.model.journal import this_process
    from healtharchive.model.sources import upsert_source

    with session.database.begin() as connection:
        upsert_source(session.database, connection, source, actor=this_process())
        return jobs.create_job(
            session.database,
            connection,
            source=source.code,
            jobs_root=str(session.settings.jobs_root),
            actor=this_process(),
            retry_budget=0,  # somebody waits for it, who would rather know the reason at once
            why="`healtharchive crawl` was asked for it",
        )


@contextmanager
def _progress(session: Session, job_id: int) -> Iterator[None]:
    """A bar on a terminal, plain lines otherwise, while the block runs."""
    ended = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    thread = threading.Thread(target=show, args=(session, job_id, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_SECONDS * 3)


def _bar(session: Session, job_id: int, ended: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        while not ended.wait(LOOK_SECONDS):
            job = _look(session, job_id)
            if job is not None:
                total = job.counts.found or None
                settled = job.counts.found - job.counts.queued - job.counts.in_flight
                bar.update(task, description=_sentence(job), total=total, completed=settled)


def _lines(session: Session, job_id: int, ended: threading.Event) -> None:
    said = ""
    while not ended.wait(SAY_SECONDS if said else LOOK_SECONDS):
        job = _look(session, job_id)
        if job is not None and (sentence := _sentence(job)) != said:
            said = sentence
            print(said, file=sys.stderr, flush=True)


def _look(session: Session, job_id: int) -> Job | None:
    from sqlalchemy.exc import DBAPIError

    from healtharchive.model.errors import HealthArchiveError
    from healtharchive.model.jobs import get_job

    try:
        with session.database.read() as connection:
            return get_job(connection, job_id)
    except (HealthArchiveError, DBAPIError):
        return None  # the worker deals with it; a bar can wait


def _sentence(job: Job) -> str:
    counts = job.counts
    size = messages.size(counts.bytes_written)
    why = f" ({job.parked_reason})" if job.parked_reason else ""
    return f"job {job.id} {job.status}{why}: {counts.done} of {counts.found} URLs, {size}"


def _tell(job: Job, *, as_json: bool) -> None:
    if as_json:
        render.print_json(job)
        return
    print(f"{_sentence(job)}, {job.counts.failed} failed, {job.counts.excluded} left out.")
    print(f"WARC files: {job.output_dir}/warcs")
    if job.status == "indexed":
        print("`healtharchive search WORDS` finds its pages; `healtharchive up` shows them.")
    else:
        if job.last_error:
            print(f"Reason: {job.last_error}")
        print(f"`healtharchive why job {job.id}` tells what happened.")


def _warc_files(paths: list[Path], job_id: int | None) -> list[Path]:
    places = list(paths)
    if job_id is not None:
        from healtharchive.model.jobs import get_job

        session = begin()
        with session.database.read() as connection:
            places.append(Path(get_job(connection, job_id).output_dir) / "warcs")
    if not places:
        raise BadInput("Nothing to verify was named.", "Give WARC files, directories, or --job ID.")
    files: list[Path] = []
    for place in places:
        if place.is_dir():
            files += sorted(place.rglob("*.warc.gz")) + sorted(place.rglob("*.warc"))
        elif place.exists():
            files.append(place)
        else:
            raise BadInput(f"There is no file {place}.", "Give WARC files or directories.")
    if not files:
        raise BadInput(f"There is no WARC file in {places[0]}.", "Give WARC files or directories.")
    return files
