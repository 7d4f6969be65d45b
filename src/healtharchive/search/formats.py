"""The format of the search index: which directory answers, and which is being made beside it.

Each format has a directory of its own. One that is being made from an older one holds a marker
until it has all of it; until then the older one answers and takes what is indexed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from healtharchive.model.errors import SetupError
from healtharchive.warc.segment import fsync_directory

# A change of the schema takes another format. New fields come last: then a query that was made for
# the format before means the same in this one, and that one can answer while this one is made.
FORMAT = "v3"
OLDER = ("v2",)  # the formats that this program can still read, the newest first
META_NAME = "meta.json"
MARKER_NAME = "unfinished"


def serving(home: Path) -> Path:
    """The directory of the index that answers; that of this program's format when there is none."""
    new = home / FORMAT
    if _is_index(new) and not is_unfinished(home):
        return new
    return older(home) or new


def older(home: Path) -> Path | None:
    """The index of an older format, of the newest that can be read."""
    return next((home / name for name in OLDER if _is_index(home / name)), None)


def remains(home: Path) -> Path | None:
    """The directory of an older format, also one that was deleted in part."""
    return next((home / name for name in OLDER if (home / name).is_dir()), None)


def is_unfinished(home: Path) -> bool:
    """Whether an index of this program's format is being made from an older one."""
    return (home / FORMAT / MARKER_NAME).exists()


def exists(home: Path) -> bool:
    """Whether there is an index that can be read. SetupError when there is only another format."""
    if _is_index(serving(home)):
        return True
    others = sorted(each.parent.name for each in home.glob(f"v*/{META_NAME}"))
    if others:
        raise SetupError(
            f"The search index in {home} has format {others[-1]}; this program reads {FORMAT}.",
            "Run: healtharchive rebuild",
        )
    return False


def begin(home: Path) -> None:
    """From now on an index of this program's format is being made."""
    directory = home / FORMAT
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER_NAME).touch()
    fsync_directory(directory)


def finish(home: Path) -> None:
    """From now on the index of this program's format answers."""
    (home / FORMAT / MARKER_NAME).unlink(missing_ok=True)
    fsync_directory(home / FORMAT)


def drop_older(home: Path) -> None:
    """Delete the directory of an older format. Whoever has its index open reads it to the end.

    SetupError while it is the one that answers; OSError when it cannot be deleted.
    """
    directory = remains(home)
    if directory is None:
        return
    if serving(home) == directory:
        raise SetupError(f"The search index in {directory} is still the one that answers.")
    shutil.rmtree(directory)


def _is_index(directory: Path) -> bool:
    return (directory / META_NAME).exists()
