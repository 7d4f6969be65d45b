"""A spool with sealed segments of random bytes, and a steward that a test turns by hand."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from healtharchive.model import schema
from healtharchive.model.jobs import get_job
from healtharchive.model.journal import Event, read
from healtharchive.model.states import TargetEvent, TargetState
from healtharchive.model.tables import copies, segments
from healtharchive.model.targets import change_target, declare_targets, get_target
from healtharchive.steward.fixity import Fixity
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.shipping import Shipping
from healtharchive.storage.declared import spool as spool_target
from healtharchive.work.stopping import Stop
from tests.lab.objects import Target
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.workers import settings_for

SIZE_BYTES = 400_000


@dataclass
class Spool:
    """A spool with sealed segments, and a steward that a test turns by hand."""

    directory: Path
    clock: SetClock = field(default_factory=SetClock)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = SetDatabase(f"sqlite:///{self.directory / 'archive.sqlite'}", self.clock)
        schema.upgrade(self.database)
        self.means = StewardMeans(
            settings=settings_for(self.directory, **self.settings),
            database=self.database,
            clock=self.clock,
            stop=Stop(self.clock),
            actor=ACTOR,
        )
        self.shipping, self.fixity = Shipping(self.means), Fixity(self.means)
        self.job = add_job(self.database, self.directory / "jobs", "hc")

    def declare(self, *targets: Target) -> None:
        """Ship to these targets."""
        definitions = [
            spool_target(self.directory / "jobs"),
            *(each.definition for each in targets),
        ]
        with self.database.begin() as connection:
            declare_targets(self.database, connection, definitions, actor=ACTOR)

    def seal(
        self, number: int, size: int = SIZE_BYTES, *, age: float = 0.0, indexed: bool = True
    ) -> Path:
        """A segment of random bytes, sealed so many seconds ago; its path."""
        content = content_of(number, size)
        with self.database.begin() as connection:
            output = Path(get_job(connection, self.job).output_dir)
            path = output / "warcs" / f"hc-crawl-job{self.job}-a1-{number:05}.warc.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            connection.execute(
                insert(segments).values(
                    job_id=self.job,
                    name=path.name,
                    state="sealed",
                    path=str(path),
                    fence=1,
                    size_bytes=size,
                    sha256=hashlib.sha256(content).hexdigest(),
                    records=7,
                    sealed_at=self.clock.now() - timedelta(seconds=age),
                    indexed_at=self.clock.now() if indexed else None,
                    unreadable_records=0,
                )
            )
        return path

    def index(self) -> None:
        """Every segment is indexed now."""
        with self.database.begin() as connection:
            connection.execute(update(segments).values(indexed_at=self.clock.now()))

    def states(self) -> list[str]:
        """The state of each segment, in the order they were made."""
        with self.database.read() as connection:
            query = select(segments.c.state).order_by(segments.c.id)
            return [str(each) for each in connection.execute(query).scalars()]

    def copies(self, target: str = "cold") -> list[str]:
        """What is known of each copy on a target."""
        with self.database.read() as connection:
            query = select(copies.c.state).where(copies.c.target == target)
            return [str(each) for each in connection.execute(query.order_by(copies.c.id)).scalars()]

    def told(self, path: Path | None = None) -> list[Event]:
        """The journal of a segment, or of all."""
        with self.database.read() as connection:
            return read(connection, subject="segment", subject_id=path.name if path else None)

    def whats(self, path: Path) -> list[str]:
        """What happened to a segment, in order."""
        return [each.what for each in self.told(path)]

    def breaker(self, target: str, *events: TargetEvent) -> None:
        """Let these things happen to a target."""
        with self.database.begin() as connection:
            for event in events:
                change_target(self.database, connection, target, event, actor=ACTOR, why="the test")

    def state_of(self, target: str) -> TargetState:
        """The state of a target's breaker."""
        with self.database.read() as connection:
            return get_target(connection, target).state


def content_of(number: int, size: int = SIZE_BYTES) -> bytes:
    """What `seal` writes under a number."""
    return random.Random(number).randbytes(size)
