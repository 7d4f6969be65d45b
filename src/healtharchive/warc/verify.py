"""Verifying WARC files: which record of which file is bad, and why."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from healtharchive.model.errors import BadInput
from healtharchive.warc.claims import Claim, broken_claims, digest_claims
from healtharchive.warc.digest import sha256_file
from healtharchive.warc.reader import BadRecord, WarcFile, WarcRecord

# A sample is made of whole stretches of the file; each record begins in exactly one.
STRETCH_BYTES = 16 << 20
WHOLE = 100
CONCURRENT = "WARC-Concurrent-To names"
TARGET_TYPES = ("response", "resource", "request", "revisit", "conversion", "continuation")


@dataclass(frozen=True, slots=True)
class RecordProblem:
    """One fault of one record, at byte `offset` of its file."""

    offset: int
    record_id: str | None
    url: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """What verifying a file found. It is sound when `problems` is empty.

    `records` counts the readable ones that were checked, `undigested` those among them without a
    block or payload digest: damage in these shows only if it breaks the gzip member's checksum.
    `sha256` (hex) is None for a sampled file, which was not read whole.
    """

    path: Path
    records: int
    bytes: int
    sha256: str | None
    problems: tuple[RecordProblem, ...]
    undigested: int = 0


def verify_many(
    paths: Iterable[Path], *, sample_percent: int | None = None, seed: int = 0
) -> Iterator[FileReport]:
    """A report a file, one after another; an unreadable file has that as its problem."""
    for path in paths:
        try:
            yield verify_file(path, sample=sample_percent, seed=seed)
        except OSError as error:
            fault = RecordProblem(
                0, None, None, f"the file cannot be read: {error.strerror or error}"
            )
            yield FileReport(path, 0, 0, None, (fault,))


def verify_file(path: Path, *, sample: int | None = None, seed: int = 0) -> FileReport:
    """Check a WARC file's structure and digests; OSError when it cannot be read.

    `sample` is the percentage of the file to read, chosen by `seed`; None reads it all. What
    spans records (a record id used twice, a concurrent record that is missing) is only looked
    for in a whole file, and never in another file.
    """
    if sample is not None and sample < WHOLE:
        return _verify_sample(path, sample, seed)
    sha256, size = sha256_file(path)
    check = _Check()
    with WarcFile(path) as warc:
        for record in warc.records():
            check.take(record)
    check.finish()
    return _report(path, size, sha256, check)


def _verify_sample(path: Path, percent: int, seed: int) -> FileReport:
    check = _Check()
    with WarcFile(path) as warc:
        for begin in chosen_stretches(warc.size, percent, f"{seed} {path.name}"):
            stop = min(begin + STRETCH_BYTES, warc.size)
            start = warc.next_start(begin, stop) if begin else 0
            for record in warc.records(stop if start is None else start, stop):
                check.take(record)
        return _report(path, warc.size, None, check)


def chosen_stretches(size: int, percent: int, seed: str) -> list[int]:
    """Where the stretches of a sample begin: the first, the last, and `percent` of the others."""
    begins = range(0, size, STRETCH_BYTES)
    ends, inner = {*begins[:1], *begins[-1:]}, begins[1:-1]
    count = math.ceil(len(inner) * max(percent, 0) / WHOLE)
    return sorted(ends.union(random.Random(seed).sample(inner, count)))


def _report(path: Path, size: int, sha256: str | None, check: _Check) -> FileReport:
    if not check.records and not check.problems:
        check.problems.append(RecordProblem(0, None, None, "the file holds no record"))
    problems = tuple(sorted(check.problems, key=lambda each: each.offset))
    return FileReport(path, check.records, size, sha256, problems, check.undigested)


@dataclass(slots=True)
class _Check:
    """What has been seen of a file so far.

    Ids and URLs are kept as short hashes, for a file may hold millions of records; a reference to
    a record is kept only until that record comes.
    """

    records: int = 0
    undigested: int = 0
    problems: list[RecordProblem] = field(default_factory=list)
    _urls: dict[bytes, bytes] = field(default_factory=dict)
    _awaited: dict[bytes, list[RecordProblem]] = field(default_factory=dict)

    def take(self, record: WarcRecord | BadRecord) -> None:
        if isinstance(record, BadRecord):
            self._add(record, f"torn: {record.reason}" if record.torn else record.reason)
            return
        self.records += 1
        claims = digest_claims(record)
        self.undigested += not claims
        for reason in [*record.problems, *missing_fields(record), *_digest_faults(record, claims)]:
            self._add(record, reason)
        self._note_id(record)
        self._note_references(record)

    def finish(self) -> None:
        """Report the references to records that never came."""
        for problems in self._awaited.values():
            self.problems += problems

    def _note_id(self, record: WarcRecord) -> None:
        if not record.record_id:
            return
        key = _short(record.record_id)
        if key in self._urls:
            self._add(record, "its WARC-Record-ID was used before")
        self._urls.setdefault(key, _short(record.target_uri))
        for waiting in self._awaited.pop(key, ()):
            self._compare(waiting, key)

    def _note_references(self, record: WarcRecord) -> None:
        for other in record.headers.all("WARC-Concurrent-To"):
            key = _short(other)
            waiting = _problem(record, f"{CONCURRENT} {other}, which is not in this file")
            if key in self._urls:
                self._compare(waiting, key)
            else:
                self._awaited.setdefault(key, []).append(waiting)

    def _compare(self, waiting: RecordProblem, other: bytes) -> None:
        if len({_short(waiting.url), self._urls[other], NO_URL}) > 2:
            self.problems.append(replace(waiting, reason=f"{CONCURRENT} a record of another URL"))

    def _add(self, record: WarcRecord | BadRecord, reason: str) -> None:
        self.problems.append(_problem(record, reason))


def _problem(record: WarcRecord | BadRecord, reason: str) -> RecordProblem:
    return RecordProblem(record.offset, record.record_id or None, record.target_uri, reason)


def _digest_faults(record: WarcRecord, claims: list[Claim]) -> list[str]:
    try:
        return broken_claims(record, claims)
    except BadInput as error:
        return [error.what]


def _short(text: str | None) -> bytes:
    return hashlib.blake2b((text or "").encode(), digest_size=12).digest()


NO_URL = _short(None)


def missing_fields(record: WarcRecord) -> list[str]:
    """Which fields a record of this type must have and has not (WARC 1.1 §5 and §6)."""
    missing: list[str] = []
    if record.record_type in TARGET_TYPES and not record.target_uri:
        missing.append("WARC-Target-URI is missing")
    if record.record_type == "revisit" and "WARC-Profile" not in record.headers:
        missing.append("WARC-Profile is missing")
    return missing
