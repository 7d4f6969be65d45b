"""The files of retired rows, on a target beside the backups: what they hold is in no backup."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from healtharchive.model.errors import SetupError
from healtharchive.steward.backup_making import writing
from healtharchive.steward.delegating import Tell
from healtharchive.steward.retired_files import DIRECTORY, END, PART, alone, digests_in
from healtharchive.storage.places import Place, digest
from healtharchive.warc.segment import fsync_directory

NAME = re.compile(rf"[a-z_]+-\d{{4}}-\d{{2}}{re.escape(END)}")


def send_retired(place: Place, directory: Path, beside: str, tell: Tell) -> int:
    """Have every file there that is here, read back; how many were sent.

    A file is only ever replaced by one that has more lines: one of the same size is the same.
    """
    sent = 0
    for path in sorted(directory.glob(f"*{END}")):
        name = f"{beside}/{DIRECTORY}/{path.name}"
        if place.size(name) == path.stat().st_size:
            continue
        tell(f"send {path.name}")
        content = path.read_bytes()
        place.replace(name, content)
        found, _ = digest(place, name, lambda _: tell("read back"))
        if found != hashlib.sha256(content).hexdigest():
            raise SetupError(f"{name} was sent and is not there as it was sent.")
        sent += 1
    return sent


def fetch_retired(place: Place, beside: str, directory: Path, tell: Tell) -> int:
    """Have every file here that is there; how many came. One that is here is left as it is."""
    found = [each.name for each in place.entries(f"{beside}/{DIRECTORY}")]
    wanted = [name for name in found if NAME.fullmatch(name) and not (directory / name).exists()]
    if not wanted:
        return 0
    with alone(directory) as is_alone:
        if not is_alone:
            raise SetupError(f"Rows are moved to {directory} just now.", "Repeat the command.")
        for name in wanted:
            _bring(place, f"{beside}/{DIRECTORY}/{name}", directory / name, tell)
    return len(wanted)


def _bring(place: Place, source: str, path: Path, tell: Tell) -> None:
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    try:
        with writing(part) as (file, _):
            for piece in place.read(source, fresh=True):
                file.write(piece)
                tell(f"fetch {path.name}")
        for _ in digests_in(part):
            tell(f"read {path.name}")
        os.rename(part, path)
    finally:
        part.unlink(missing_ok=True)
    fsync_directory(path.parent)
