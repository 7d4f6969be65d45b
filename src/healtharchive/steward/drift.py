"""The drift reconciler: what runs is compared with what is written, and a difference is told once.

An event of the subject `drift` says `found` or `over`; its `why` is the sentence with the cure.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from healtharchive.crawl.sources import load_all
from healtharchive.model import schema
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.services import Process, processes
from healtharchive.model.source import SourceDefinition
from healtharchive.model.sources import list_sources
from healtharchive.model.told import Told, last_of_each
from healtharchive.settings import Settings, load
from healtharchive.settings.declared import DEFAULT_ENV_FILE, Unknown
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.storage.declared import load_targets
from healtharchive.work.holder import is_gone

Answer = TypeVar("Answer")

EVERY_SECONDS = 60.0
SILENT_SECONDS = 300.0  # who has not said for so long that it lives is not compared
SETTLE_SECONDS = 2.0  # a file's time and a process's start are of two clocks
FOUND, OVER = "found", "over"
KINDS = ("env-file", "unknown-settings", "sources", "targets-file", "schema", "versions")
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Written:
    """The environment file: its bytes' digest, and when they last became others."""

    digest: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is compared. A trouble is the sentence of a file that cannot be used."""

    now: datetime
    host: str
    env_file: Path
    written: Written | None
    env_trouble: str
    unknown: Sequence[Unknown]
    files: Mapping[str, SourceDefinition]
    known: Mapping[str, SourceDefinition]
    sources_trouble: str
    targets_trouble: str
    schema_trouble: str
    living: Sequence[Process]


def drifts(observed: Observed) -> dict[str, str]:
    """What is not as it should be: a sentence with its cure for each kind. Pure."""
    found = {
        "env-file": observed.env_trouble or _stale(observed),
        "unknown-settings": _unknown(observed.unknown),
        "sources": observed.sources_trouble or _sources(observed.files, observed.known),
        "targets-file": observed.targets_trouble,
        "schema": observed.schema_trouble,
        "versions": _versions(observed.living),
    }
    return {kind: sentence for kind, sentence in found.items() if sentence}


def plan(found: Mapping[str, str], told: Mapping[str, Told]) -> list[Step]:
    """What is to be told: only what has changed since it was told last. Pure."""
    steps = []
    for kind in KINDS:
        last = told.get(kind)
        sentence, is_told = found.get(kind, ""), last is not None and last.what == FOUND
        if sentence and not (is_told and last is not None and last.why == sentence):
            steps.append(Step(FOUND, "drift", kind, sentence))
        elif not sentence and is_told:
            steps.append(Step(OVER, "drift", kind, "it is as it should be again"))
    return steps


def _stale(observed: Observed) -> str:
    """Processes of this machine that began before the environment file became what it is."""
    if observed.written is None:
        return ""
    changed_at = observed.written.changed_at
    stale = [
        each
        for each in observed.living
        if each.host == observed.host
        and (changed_at - each.started_at).total_seconds() > SETTLE_SECONDS
    ]
    if not stale:
        return ""
    names = _and(sorted({each.service for each in stale}))
    return (
        f"{observed.env_file} was changed at {changed_at:%Y-%m-%dT%H:%M:%SZ}, after "
        f"{names} began: {_restart(stale)}."
    )


def _restart(stale: Iterable[Process]) -> str:
    """What makes these processes read their settings, or be of the installed version."""
    each = list(stale)
    units = sorted({one.unit for one in each if one.unit.endswith(".service")})
    others = sorted({one.pid for one in each if not one.unit.endswith(".service")})
    cures = [f"run `systemctl restart {' '.join(units)}`"] if units else []
    if others:
        numbers = _and(str(number) for number in others)
        cures.append(f"stop process {numbers} and start it again")
    return ", and ".join(cures)


def _unknown(unknown: Sequence[Unknown]) -> str:
    if not unknown:
        return ""
    named = [
        f"{each.variable} ({each.origin}{f'; {each.suggestion}?' if each.suggestion else ''})"
        for each in unknown[:MOST_NAMED]
    ]
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    return f"No setting has these names: {', '.join(named)}{more}. Correct them or take them out."


def _sources(files: Mapping[str, SourceDefinition], known: Mapping[str, SourceDefinition]) -> str:
    """A source that only the database or only a file knows is no difference."""
    changed = sorted(code for code in files.keys() & known.keys() if files[code] != known[code])
    if not changed:
        return ""
    which = f"source {changed[0]}" if len(changed) == 1 else f"sources {_and(changed)}"
    return (
        f"The files say something else of {which} than the database, by which jobs capture: "
        "the next `healtharchive source add`, `create-job` or `campaign create` takes the files."
    )


def _versions(living: Sequence[Process]) -> str:
    versions = {each.version for each in living}
    if len(versions) < 2:
        return ""
    newest = max(versions, key=_order)
    old = [each for each in living if each.version != newest]
    named = _and(sorted({f"{each.service} {each.version} on {each.host}" for each in old}))
    return f"{named} runs beside version {newest}: {_restart(old)}."


def _order(version: str) -> tuple[tuple[int, str], ...]:
    parts = version.replace("+", ".").replace("-", ".").split(".")
    return tuple((int(each), "") if each.isdecimal() else (-1, each) for each in parts)


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


@dataclass(slots=True)
class Drift:
    """Looks for differences. `load` reads the settings as a process that began now would."""

    means: StewardMeans
    load: Callable[[], Settings] = load
    name: str = "drift"
    caps: Caps = field(default_factory=Caps)
    _written: Written | None = None

    def every_seconds(self) -> float:
        """How often; a person edits files slowly."""
        return EVERY_SECONDS

    def plan(self) -> list[Step]:
        """See `plan`."""
        with self.means.database.read() as connection:
            told = last_of_each(connection, "drift", (FOUND, OVER))
        return plan(drifts(self.observe()), told)

    def apply(self, step: Step) -> str:
        """It is told by its event."""
        return step.why

    def observe(self) -> Observed:
        """What is written and what runs."""
        settings, database = self.means.settings, self.means.database
        with database.read() as connection:
            now = database.now(connection)
            living = [
                each
                for each in processes(connection)
                if (now - each.beat_at).total_seconds() < SILENT_SECONDS
                and not is_gone(each.holder)  # a restored backup has those of before
            ]
            known = {each.code: each for each in list_sources(connection)}
        fresh, env_trouble = _tried(self.load)
        files, sources_trouble = _tried(lambda: load_all(settings.sources_dir))
        _, targets_trouble = _tried(lambda: load_targets(settings.targets_file))
        _, schema_trouble = _tried(lambda: schema.check(database))
        env_file = settings.env_file or DEFAULT_ENV_FILE
        return Observed(
            now=now,
            host=self.means.actor.host,
            env_file=env_file,
            written=self._look(env_file),
            env_trouble=env_trouble,
            unknown=fresh.unknown if fresh else (),
            files=files or {},
            known=known,
            sources_trouble=sources_trouble,
            targets_trouble=targets_trouble,
            schema_trouble=schema_trouble,
            living=living,
        )

    def _look(self, path: Path) -> Written | None:
        """When the file's content changed: a file that was only touched says nothing new."""
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            changed_at = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
        except OSError:
            return None  # a file that cannot be read is told by the settings
        if self._written is None or self._written.digest != digest:
            self._written = Written(digest, changed_at)
        return self._written


def _tried(ask: Callable[[], Answer]) -> tuple[Answer | None, str]:
    """The answer, or the sentence why there is none."""
    try:
        return ask(), ""
    except HealthArchiveError as error:
        return None, str(error)
