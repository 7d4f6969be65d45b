"""What `doctor` finds: one line a check, and what the checks look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.source import SourceDefinition
from healtharchive.model.target import TargetDefinition
from healtharchive.settings import Settings
from healtharchive.steward.condition import Condition
from healtharchive.storage.errand import run

ASK_SECONDS = 10.0
MERGED = 'exec "$@" 2>&1'  # some programs tell their version on stderr


class Level(StrEnum):
    """How it is. Unknown: the check could not be made here, which is not the same as fine."""

    OK = "OK"
    UNKNOWN = "UNKNOWN"
    WARN = "WARN"
    FAIL = "FAIL"


EXIT_CODES: Mapping[Level, int] = {Level.OK: 0, Level.UNKNOWN: 1, Level.WARN: 1, Level.FAIL: 2}


@dataclass(frozen=True, slots=True)
class Checked:
    """One finding: about what, how it is, the sentence, and the command or words that mend it."""

    about: str
    level: Level
    sentence: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said. `status` is None when it is not there or did not end in time."""

    status: int | None
    text: str

    @property
    def well(self) -> bool:
        """Whether it ended as it should."""
        return self.status == 0


Ask = Callable[[Sequence[str]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the checks look at. `condition` is None where the database cannot be used.

    `user` is who the services run as, empty where nobody knows; `booted` whether systemd runs here.
    """

    settings: Settings
    clock: Clock
    ask: Ask
    database: Database | None
    condition: Condition | None
    sources: Mapping[str, SourceDefinition]
    targets: tuple[TargetDefinition, ...]
    user: str
    booted: bool


Check = Callable[[Surroundings], Iterable[Checked]]


def ask(words: Sequence[str]) -> Answer:
    """What a program says, on stdout and stderr, within a deadline."""
    if shutil.which(words[0]) is None:
        return Answer(None, f"{words[0]} is not installed")
    done = run(["sh", "-c", MERGED, "sh", *words], ASK_SECONDS)
    if not done.in_time:
        return Answer(None, f"{words[0]} did not answer within {ASK_SECONDS:.0f} s")
    return Answer(done.status, done.output.decode("utf-8", "replace").strip())


def fine(about: str, sentence: str) -> Checked:
    """All is well."""
    return Checked(about, Level.OK, sentence)


def unknown(about: str, sentence: str, cure: str = "") -> Checked:
    """It could not be looked at."""
    return Checked(about, Level.UNKNOWN, sentence, cure)


def warn(about: str, sentence: str, cure: str) -> Checked:
    """It works, and will not always."""
    return Checked(about, Level.WARN, sentence, cure)


def fail(about: str, sentence: str, cure: str) -> Checked:
    """It does not work."""
    return Checked(about, Level.FAIL, sentence, cure)


def worst(found: Iterable[Checked]) -> int:
    """The exit code of them all."""
    return max((EXIT_CODES[each.level] for each in found), default=0)
