"""WARC files compared with what was written down when they were sealed: size, digest, records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from healtharchive.model.layout import MANIFEST_NAME
from healtharchive.warc.verify import FileReport, RecordProblem, verify_many

SUFFIXES = (".warc.gz", ".warc")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as it was sealed. `where` is what says so: the manifest's name, or the database."""

    path: Path
    size_bytes: int
    sha256: str
    records: int
    where: str = MANIFEST_NAME


@dataclass(slots=True)
class Inventory:
    """The files to verify, and what is known of them. `missing` are reports of those not there."""

    files: list[Path] = field(default_factory=list)
    entries: dict[Path, list[Entry]] = field(default_factory=dict)
    missing: list[FileReport] = field(default_factory=list)
    _listed: set[Path] = field(default_factory=set)  # directories with a manifest

    def add_file(self, path: Path) -> None:
        """One WARC file, compared with the manifest beside it if there is one."""
        self.files.append(path)
        self._read_manifest(path.parent)

    def add_directory(self, directory: Path) -> None:
        """Every WARC file below a directory, and those that its manifests name."""
        found = [path for suffix in SUFFIXES for path in directory.rglob(f"*{suffix}")]
        self.files += sorted(found)
        for manifest in sorted(directory.rglob(MANIFEST_NAME)):
            self._read_manifest(manifest.parent)

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """What the database says; files that it calls released are not in it."""
        for entry in entries:
            self.entries.setdefault(entry.path, []).append(entry)

    def look_for_the_missing(self, released: Iterable[Path] = ()) -> None:
        """Report what is written down and not there, but for files that were released."""
        known = {*self.files, *released}
        for path, entries in sorted(self.entries.items()):
            if path not in known and not path.exists():
                self.missing.append(_report_of(path, f"{_names(entries)} has it, but it is gone"))

    def verified(self, *, sample_percent: int | None, seed: int) -> Iterator[FileReport]:
        """A report a file, those that are not there first."""
        yield from self.missing
        for report in verify_many(self.files, sample_percent=sample_percent, seed=seed):
            found = [*report.problems, *(_problem(each) for each in self._differences(report))]
            yield replace(report, problems=tuple(found))

    def _differences(self, report: FileReport) -> Iterator[str]:
        entries = self.entries.get(report.path, [])
        if report.path.parent in self._listed and not any(
            each.where == MANIFEST_NAME for each in entries
        ):
            yield f"{MANIFEST_NAME} does not list it"
        for entry in entries:
            yield from differences(report, entry)

    def _read_manifest(self, directory: Path) -> None:
        path = directory / MANIFEST_NAME
        if directory in self._listed or not path.exists():
            return
        self._listed.add(directory)
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            entry = _entry(directory, line)
            if entry is None:
                self.missing.append(_report_of(path, f"line {number} cannot be read"))
            else:
                self.entries.setdefault(entry.path, []).append(entry)


def differences(report: FileReport, entry: Entry) -> Iterator[str]:
    """In what a file is not as it was sealed; a sampled one is only compared by its size."""
    if report.bytes != entry.size_bytes:
        yield f"it has {report.bytes} bytes; {entry.where} says {entry.size_bytes}"
    if report.sha256 is None:
        return
    if report.sha256 != entry.sha256:
        yield f"its SHA-256 is {report.sha256}; {entry.where} says {entry.sha256}"
    if report.records != entry.records:
        yield f"it has {report.records} readable records; {entry.where} says {entry.records}"


def _entry(directory: Path, line: str) -> Entry | None:
    try:
        facts: Mapping[str, object] = json.loads(line)
        path = directory / Path(str(facts["name"])).name
        size, records = int(str(facts["size_bytes"])), int(str(facts["records"]))
        return Entry(path, size, str(facts["sha256"]), records)
    except (ValueError, KeyError, TypeError):
        return None


def _report_of(path: Path, problem: str) -> FileReport:
    return FileReport(path, 0, 0, None, (_problem(problem),))


def _problem(reason: str) -> RecordProblem:
    return RecordProblem(0, None, None, reason)


def _names(entries: Sequence[Entry]) -> str:
    return " and ".join(dict.fromkeys(each.where for each in entries))
