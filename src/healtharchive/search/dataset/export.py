"""Writing a data set: a directory that is there as a whole, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healtharchive.model.collection import CollectionName, describe
from healtharchive.model.database import Database
from healtharchive.model.datasets import extent_of
from healtharchive.model.errors import BadInput
from healtharchive.search.dataset.files import Format, require, writer_of
from healtharchive.search.dataset.package import (
    PACKAGE_NAME,
    README_NAME,
    SUMS_NAME,
    DataFile,
    DataSet,
    is_name,
    name_of,
    package,
    readme,
    sums,
)
from healtharchive.search.dataset.tables import TABLES, Origin, Row, TableName, Value
from healtharchive.warc.digest import sha256_file, sha256_hex
from healtharchive.warc.segment import fsync_directory

PART_SUFFIX = ".part"
# A row group is held in memory; a file is what somebody fetches anew when it was broken off.
GROUP_ROWS = 20_000
GROUP_CHARS = 16_000_000
FILE_BYTES = 250_000_000
FILE_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to export, and what its README says of whom it is from."""

    table: TableName
    form: Format
    collection: CollectionName
    operator: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """A data set that was written."""

    directory: Path
    data: DataSet

    @property
    def size_bytes(self) -> int:
        """Of its files with rows."""
        return sum(each.size_bytes for each in self.data.files)


def export(
    order: Order,
    output: Path,
    database: Database,
    search_dir: Path,
    now: datetime,
    watch: Callable[[int], None] = lambda rows: None,
) -> Exported:
    """Write a data set into a new directory of `output`; `watch` is told how many rows there are.

    NotFound when there is no such collection; BadInput when the directory is there already or
    another process is writing it; SetupError when something it needs is missing; OSError.
    """
    require(order.form)
    with database.read() as connection:
        extent = extent_of(connection, order.collection)
        title = describe(connection, order.collection)
    table = TABLES[order.table]
    name = name_of(order.table, order.form, order.collection, now)
    final = output / name
    with _part_of(final) as part:
        files = tuple(_write(order, part, Origin(database, search_dir, extent), watch))
        data = DataSet(
            name,
            table,
            order.form,
            order.collection,
            title,
            now,
            order.operator,
            order.address,
            files,
        )
        _describe(data, part)
        os.rename(part, final)
        fsync_directory(output)
    return Exported(final, data)


def _write(
    order: Order, directory: Path, origin: Origin, watch: Callable[[int], None]
) -> Iterator[DataFile]:
    """Write the files one after the other, at least one."""
    groups = _groups(TABLES[order.table].rows(origin))
    group = next(groups, [])
    serial, total = 0, 0
    while group or not serial:
        serial += 1
        path = directory / f"{order.table}-{serial:05d}{order.form.suffix}"
        rows = 0
        with path.open("xb") as stream:
            writer = writer_of(order.form, stream, TABLES[order.table].columns)
            while group and rows < FILE_ROWS and stream.tell() < FILE_BYTES:
                writer.write(group)
                rows += len(group)
                watch(total + rows)
                group = next(groups, [])
            writer.close()
            stream.flush()
            os.fsync(stream.fileno())
        total += rows
        sha256, size_bytes = sha256_file(path)
        yield DataFile(path.name, rows, size_bytes, sha256)


def _groups(portions: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """The rows in larger portions: what is read well is written badly."""
    group: list[Row] = []
    chars = 0
    for portion in portions:
        group += portion
        chars += sum(_chars(value) for row in portion for value in row)
        if len(group) >= GROUP_ROWS or chars >= GROUP_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group


def _chars(value: Value) -> int:
    return len(value) if isinstance(value, str) else 0


def _describe(data: DataSet, directory: Path) -> None:
    """Write what stands beside the rows, and make all the names durable."""
    beside = {PACKAGE_NAME: package(data), README_NAME: readme(data)}
    digests = [(each.name, each.sha256) for each in data.files]
    digests += [(name, sha256_hex(content)) for name, content in beside.items()]
    for name, content in {**beside, SUMS_NAME: sums(digests)}.items():
        with (directory / name).open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    fsync_directory(directory)


@contextmanager
def _part_of(final: Path) -> Iterator[Path]:
    """An empty directory beside the final one, ours alone; removed unless it got the final name."""
    _refuse_existing(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    _clear_left(final.parent)
    part = final.with_name(final.name + PART_SUFFIX)
    part.mkdir(exist_ok=True)
    with _held(part) as ours:
        if not ours:
            raise BadInput(f"Another process is writing {part}.", "Wait for its end.")
        try:
            _refuse_existing(final)
            yield part
        finally:
            if part.exists():
                shutil.rmtree(part)


def _clear_left(output: Path) -> None:
    """Remove what processes that were killed have left behind."""
    for part in output.iterdir():
        if is_name(part.name.removesuffix(PART_SUFFIX)) and part.name.endswith(PART_SUFFIX):
            with _held(part) as ours:
                if ours:
                    shutil.rmtree(part)


@contextmanager
def _held(part: Path) -> Iterator[bool]:
    """Whether the directory is ours while the block runs: nobody else holds it, and it is there."""
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _is_locked(descriptor) and _is_at(descriptor, part)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refuse_existing(final: Path) -> None:
    if os.path.lexists(final):
        raise BadInput(
            f"{final} is there already.",
            "Remove it to export it anew, or choose another directory with --output.",
        )
