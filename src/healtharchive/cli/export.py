"""`healtharchive export`: what the archive has, as files to take away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import export_dataset, messages, progress, render
from healtharchive.cli.progress import Standing
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput, SetupError

if TYPE_CHECKING:
    from healtharchive.model.collection import CollectionName
    from healtharchive.search.collection_prepare import Prepared
    from healtharchive.web.wacz_bytes import Source

app = typer.Typer(no_args_is_help=True)
app.command("dataset")(export_dataset.dataset)
PART_SUFFIX = ".part"


@app.command()
def wacz(
    job_id: Annotated[int | None, typer.Option("--job", help="All that a job captured.")] = None,
    source: Annotated[str | None, typer.Option(help="All that a source has.")] = None,
    campaign: Annotated[str | None, typer.Option(help="All that a campaign has.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; by default here, by its name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a WACZ file of a job, a source or a campaign: the very bytes that the web serves."""
    from healtharchive.search.collection import filename_of

    name = _named(job_id, source, campaign)
    path = output or Path(filename_of(name))
    if path.is_dir():
        path = path / filename_of(name)
    session = begin()
    prepared = _prepared(session, name)
    try:
        digest = _written(session, prepared, path)
    except OSError as error:
        said = error.strerror or str(error)
        raise SetupError(f"{path} cannot be written: {said}.", "Choose another --output.") from None
    size = prepared.layout.size_bytes
    if as_json:
        render.print_json({"file": path, "size_bytes": size, "sha256": digest})
    else:
        print(f"{path}: {messages.size(size)}, SHA-256 {digest}")


def _named(job_id: int | None, source: str | None, campaign: str | None) -> CollectionName:
    from healtharchive.model.collection import CollectionKind, CollectionName

    asked = {
        CollectionKind.JOB: None if job_id is None else str(job_id),
        CollectionKind.SOURCE: source,
        CollectionKind.CAMPAIGN: campaign,
    }
    found = [CollectionName(kind, name) for kind, name in asked.items() if name is not None]
    if len(found) != 1:
        raise BadInput(
            "An export is of one thing.", "Give one of --job ID, --source CODE, --campaign NAME."
        )
    return found[0]


def _prepared(session: Session, name: CollectionName) -> Prepared:
    """The collection's WACZ; prepared now, by a child that may hang, if nobody has."""
    from healtharchive.search.collection import directory_of, load_layout, look
    from healtharchive.search.collection_errand import prepare_in_child
    from healtharchive.search.collection_prepare import Prepared
    from healtharchive.settings import environment_of

    with session.database.read() as connection:
        collection = look(connection, name)
    directory = directory_of(session.settings.wacz_dir, name) / collection.state
    layout = load_layout(directory)
    if layout is None:
        read = 0

        def watch(count: int) -> None:
            nonlocal read
            read = count

        with progress.shown(lambda: Standing(f"preparing {name}: {messages.size(read)} read")):
            said = prepare_in_child(name, {**os.environ, **environment_of(session.settings)}, watch)
        if said.kind != "ready":
            raise SetupError(said.reason, said.cure)
        layout = load_layout(directory)
    if layout is None:
        raise SetupError(f"{name} has changed meanwhile.", "Run the same command again.")
    return Prepared(directory, layout)


def _written(session: Session, prepared: Prepared, path: Path) -> str:
    """Write the file, each entry compared with its SHA-256; the digest of the whole.

    Until all of it is right and durable it has another name, and is removed when it does not come
    to that.
    """
    from healtharchive.web.reading import Readers
    from healtharchive.web.wacz_bytes import Source

    readers = Readers(limit=1)
    part = path.with_name(path.name + PART_SUFFIX)
    try:
        digest = _copied(Source(session.database, readers), prepared, part)
        os.rename(part, path)
    finally:
        part.unlink(missing_ok=True)
        readers.close()
    _sync(path.parent)
    return digest


def _copied(source: Source, prepared: Prepared, part: Path) -> str:
    from healtharchive.warc.wacz_check import Check

    total, done = prepared.layout.size_bytes, 0

    def look() -> Standing:
        return Standing(f"{messages.size(done)} of {messages.size(total)} written", done, total)

    check = Check(prepared.layout, source.pieces(prepared, 0, total))
    with part.open("wb") as stream, progress.shown(look):
        for piece in check.passed():
            stream.write(piece)
            done += len(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return check.sha256


def _sync(directory: Path) -> None:
    from healtharchive.warc.segment import fsync_directory

    fsync_directory(directory)
