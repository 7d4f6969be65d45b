"""What a target says of itself: `manifest.jsonl` and `job.json` beside each job's segments."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from healtharchive.model.layout import MANIFEST_NAME, WARCS_NAME
from healtharchive.model.shipments import Listing, Parcel, Plain
from healtharchive.storage.places import Place, content, parent

FACTS_NAME = "job.json"
DAMAGED_SUFFIX = ".damaged"
LOCK_SECONDS = 60.0


def note(place: Place, segment: Parcel) -> None:
    """Make the manifest have this segment's line, and the facts of its job lie beside it.

    Writes nothing when both are so already.
    """
    directory = parent(segment.name)
    with _alone_in(directory):
        line = _line(segment)
        lines = {each["name"]: each for each in lines_of(place, directory)}
        if lines.get(line["name"]) != line:
            lines[line["name"]] = line
            text = "".join(json.dumps(lines[name]) + "\n" for name in sorted(lines))
            place.replace(f"{directory}/{MANIFEST_NAME}", text.encode())
        _keep_facts(place, f"{directory}/{FACTS_NAME}", segment.facts)


def line_for(place: Place, name: str) -> Plain | None:
    """The line that vouches for a file; None when the manifest does not have it."""
    directory, _, file = name.rpartition("/")
    return next((line for line in lines_of(place, directory) if line["name"] == file), None)


def lines_of(place: Place, directory: str) -> list[Plain]:
    """The manifest's lines. One with a line that cannot be read is kept beside as `.damaged`."""
    name = f"{directory}/{MANIFEST_NAME}"
    text = content(place, name)
    if text is None:
        return []
    lines, damaged = [], False
    for piece in text.splitlines():
        try:
            line = json.loads(piece)
            lines.append({"name": line["name"], **line})
        except (ValueError, TypeError, KeyError):
            damaged = True
    if damaged:
        place.replace(name + DAMAGED_SUFFIX, text)
    return lines


def listings(place: Place) -> Iterator[Listing]:
    """Every job directory of the target, by source and name."""
    for source in _directories(place, ""):
        for job in _directories(place, source):
            directory = f"{source}/{job}/{WARCS_NAME}"
            sizes = {e.name: e.size_bytes for e in place.entries(directory) if not e.is_directory}
            if not sizes:
                continue
            facts = _facts(content(place, f"{directory}/{FACTS_NAME}"))
            yield Listing(directory, tuple(lines_of(place, directory)), facts, sizes)


def _line(segment: Parcel) -> Plain:
    # The same fields in the same order as in the spool's own manifest.
    return {
        "name": segment.name.rpartition("/")[2],
        "size_bytes": segment.size_bytes,
        "sha256": segment.sha256,
        "records": segment.records,
        "sealed_at": segment.sealed_at,
        "fence": segment.fence,
    }


def _keep_facts(place: Place, name: str, facts: Plain) -> None:
    if facts and _facts(content(place, name)) != facts:
        text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
        place.replace(name, text.encode())


def _facts(text: bytes | None) -> Plain:
    try:
        facts = json.loads(text or b"{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _directories(place: Place, directory: str) -> list[str]:
    entries = place.entries(directory)
    return [each.name for each in entries if each.is_directory and not each.name.startswith(".")]


@contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """One child of this machine at a time changes a manifest; several ship to one target.

    The lock is a socket's name, which the kernel frees when its owner dies: no file to clean up.
    """
    key = hashlib.sha256(directory.encode()).hexdigest()[:32]
    deadline = time.monotonic() + LOCK_SECONDS
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as lock:
        while True:
            try:
                lock.bind(f"\0healtharchive-manifest-{os.geteuid()}-{key}")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            if time.monotonic() >= deadline:
                what = "another child has been changing the manifest for a minute"
                raise TimeoutError(errno.ETIMEDOUT, what, directory)
            time.sleep(0.05)
        yield
