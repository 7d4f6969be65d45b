"""The data sets that lie in a directory to be offered, and their files.

Only what a data set's datapackage.json names is offered, and only under plain names: nothing
outside its directory, nothing behind a link.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.search.dataset.files import Format
from healtharchive.search.dataset.package import (
    PACKAGE_NAME,
    README_NAME,
    SUMS_NAME,
    is_name,
)
from healtharchive.search.dataset.tables import TableName
from healtharchive.warc.digest import sha256_hex

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
DOCUMENTS = {
    PACKAGE_NAME: "application/json",
    README_NAME: "text/markdown; charset=utf-8",
    SUMS_NAME: "text/plain; charset=utf-8",
}
MOST_DOCUMENT_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """One file with rows, and where it is downloaded."""

    name: str
    address: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OfferedColumn:
    """One line of the data dictionary."""

    name: str
    type: str
    description: str
    description_fr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One data set. `kind` and `of` name the source or the campaign it is of."""

    name: str
    title: str
    table: TableName
    format: Format
    kind: CollectionKind
    of: str
    created: datetime
    rows: int
    size_bytes: int
    citation: str
    files: tuple[OfferedFile, ...]
    columns: tuple[OfferedColumn, ...]

    @property
    def collection(self) -> CollectionName:
        """What it is of."""
        return CollectionName(self.kind, self.of)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file to send, opened: the SHA-256 of all its bytes stands in hex."""

    stream: BinaryIO
    size_bytes: int
    sha256: str
    media_type: str
    modified_seconds: float


def datasets_in(directory: Path) -> list[Offered]:
    """The data sets of a directory, the newest first; what is none is passed over."""
    try:
        names = sorted(filter(is_name, os.listdir(directory)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [each for name in names if (each := dataset_in(directory, name)) is not None]
    return sorted(found, key=lambda each: each.created, reverse=True)


def dataset_in(directory: Path, name: str) -> Offered | None:
    """One data set; None when there is none of this name."""
    content = _document(directory, name, PACKAGE_NAME)
    if content is None:
        return None
    try:
        return _offered(name, json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def open_file(directory: Path, data: Offered, file_name: str) -> OpenFile | None:
    """A file of a data set; None when it has none of this name, or not as it was written."""
    if file_name in DOCUMENTS:
        return _open_document(directory, data.name, file_name)
    named = next((each for each in data.files if each.name == file_name), None)
    stream = _open(directory, data.name, file_name) if named else None
    if named is None or stream is None:
        return None
    found = os.fstat(stream.fileno())
    if found.st_size != named.size_bytes:
        stream.close()
        return None
    kind = "application/gzip" if file_name.endswith(".gz") else "application/vnd.apache.parquet"
    return OpenFile(stream, named.size_bytes, named.sha256, kind, found.st_mtime)


def _offered(name: str, package: dict[str, Any]) -> Offered:
    about, resources = package["healtharchive"], package["resources"]
    files = tuple(_file(name, each) for each in resources)
    columns = tuple(
        OfferedColumn(
            str(each["name"]),
            str(each["type"]),
            str(each["description"]),
            str(each["description_fr"]),
        )
        for each in resources[0]["schema"]["fields"]
    )
    return Offered(
        name=name,
        title=str(package["title"]),
        table=TableName(about["table"]),
        format=Format(about["format"]),
        kind=CollectionKind(about["of"]["kind"]),
        of=str(about["of"]["name"]),
        created=_moment(package["created"]),
        rows=sum(each.rows for each in files),
        size_bytes=sum(each.size_bytes for each in files),
        citation=str(about["citation"]),
        files=files,
        columns=columns,
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


def _file(name: str, resource: dict[str, Any]) -> OfferedFile:
    path, digest = resource["path"], SHA256.fullmatch(resource["hash"])
    if PLAIN_NAME.fullmatch(path) is None or digest is None:
        raise ValueError(f"{name} names a file that it cannot have: {path!r}")
    rows, size_bytes = int(resource["rows"]), int(resource["bytes"])
    return OfferedFile(path, f"/data/{name}/{path}", rows, size_bytes, digest[1])


def _open_document(directory: Path, name: str, file_name: str) -> OpenFile | None:
    stream = _open(directory, name, file_name)
    if stream is None:
        return None
    found = os.fstat(stream.fileno())
    digest = sha256_hex(stream.read(MOST_DOCUMENT_BYTES))
    stream.seek(0)
    size_bytes = min(found.st_size, MOST_DOCUMENT_BYTES)
    return OpenFile(stream, size_bytes, digest, DOCUMENTS[file_name], found.st_mtime)


def _document(directory: Path, name: str, file_name: str) -> bytes | None:
    stream = _open(directory, name, file_name)
    if stream is None:
        return None
    with stream:
        return stream.read(MOST_DOCUMENT_BYTES)


def _open(directory: Path, name: str, file_name: str) -> BinaryIO | None:
    """A plain file that lies in a data set's own directory; None for anything else."""
    if not is_name(name) or PLAIN_NAME.fullmatch(file_name) is None:
        return None
    plain = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        place = os.open(directory / name, plain | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        stream = os.fdopen(os.open(file_name, plain, dir_fd=place), "rb")
    except OSError:
        return None
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        return None
    return stream
