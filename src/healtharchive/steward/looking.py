"""One confirmed look at one target: what it is like now, and all that a plan needs to know."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from healtharchive.model.shipments import InspectOrder, ObjectInspection, TargetOrder
from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import (
    Target,
    change_target,
    get_target,
    list_targets,
    places_wanted,
    writers_of,
)
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.recovery import Seen
from healtharchive.storage.evidence import ask_server
from healtharchive.storage.inspection import Inspection
from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import Mount, mount_at, read_mounts
from healtharchive.storage.mounting import identify
from healtharchive.storage.prober import Prober
from healtharchive.storage.register import note_look

AGAIN_SECONDS = 0.3  # between the looks that confirm a bad one
CONFIRMING = 0.5  # the part of the deadline that such a look has
PATHS_LOOKED_AT = 8  # output directories on one target in one round
ANSWERS = ("answers", "accepts")
# An ssh server speaks first: one that takes a connection and says nothing hangs.
GREETING = ("fuse.sshfs", "sshfs")


@dataclass(slots=True)
class Watcher:
    """Looks at one target again and again; one thread at a time."""

    means: StewardMeans
    name: str
    prober: Prober

    def look(self) -> Seen:
        """What the target is like, written to its row; a bad look is repeated to confirm it."""
        for number in range(self.means.breaker.strikes):
            if number:
                self.means.stop.wait(AGAIN_SECONDS)
            seen = self._look_once(CONFIRMING if number else 1.0)
            if seen.inspection.healthy or (number and seen.target.state is TargetState.OPEN):
                break
        return seen

    def _look_once(self, patience: float) -> Seen:
        with self.means.database.read() as connection:
            target = get_target(connection, self.name)
            parent = get_target(connection, target.parent) if target.parent else None
            places = places_wanted(connection, self.name, PATHS_LOOKED_AT)
        mounts = read_mounts()
        inspection = self._inspect(target, parent, mounts, patience)
        if inspection.healthy and not target.identity:
            inspection = self._adopt(target, inspection)
        if inspection.healthy:
            inspection = self._places(inspection, target, places)
        if target.name == SPOOL:
            inspection = self._judge_space(inspection)
        return self._note(target, parent, inspection, mounts)

    def _inspect(
        self,
        target: Target,
        parent: Target | None,
        mounts: tuple[Mount, ...],
        patience: float,
    ) -> Inspection:
        settings = self.means.settings
        if target.kind is TargetKind.OBJECT:
            return self._inspect_object(target)
        return self.prober.look(
            target.definition,
            deadline_seconds=settings.probe_deadline_seconds * patience,
            identity=target.identity or "",
            user="" if target.name == SPOOL else settings.crawler_user,
            mounts=mounts,
            parent=parent.definition if parent else None,
        )

    def _inspect_object(self, target: Target) -> Inspection:
        order = TargetOrder(
            target.definition,
            InspectOrder(),
            identity=target.identity or "",
            timeout_seconds=self.means.settings.probe_deadline_seconds * 3,
        )
        found: ObjectInspection | None = None
        for report in carry(order, self.means.stop, stall_seconds=order.timeout_seconds + 5.0):
            found = report.inspection or found
        root = target.definition.root
        if found is None:
            return Inspection(
                target.name, root, Verdict.HUNG, detail="a look at it did not end in time"
            )
        return Inspection(
            target.name,
            root,
            found.verdict,
            errno=found.errno,
            step=found.step,
            detail=found.detail,
            elapsed_seconds=found.elapsed_seconds,
            disk_bytes=found.disk_bytes,
            free_bytes=found.free_bytes,
            identity=found.identity,
        )

    def _adopt(self, target: Target, inspection: Inspection) -> Inspection:
        """A healthy target that has no identity yet gets one: from now on it must show it."""
        if target.kind is TargetKind.BIND or target.name == SPOOL:
            return inspection
        identity = inspection.identity or uuid.uuid4().hex
        problem = self._write_identity(target.definition, identity)
        if problem:
            return replace(inspection, verdict=Verdict.WRONG_MOUNT, detail=problem)
        with self.means.database.begin() as connection:
            change_target(
                self.means.database,
                connection,
                target.name,
                None,
                actor=self.means.actor,
                columns={"identity": identity},
            )
        return inspection

    def _write_identity(self, definition: TargetDefinition, identity: str) -> str:
        if definition.kind is not TargetKind.OBJECT:
            step = identify(definition, identity)
            return "" if step.ok else step.detail
        order = TargetOrder(definition, InspectOrder(adopt=True), identity=identity)
        for report in carry(order, self.means.stop, stall_seconds=order.timeout_seconds):
            if report.inspection is not None:
                healthy = report.inspection.verdict is Verdict.HEALTHY
                return "" if healthy else report.inspection.detail
        return "a look at it did not end in time"

    def _places(self, inspection: Inspection, target: Target, places: list[str]) -> Inspection:
        """The output directories of jobs that run or could be claimed next, on this target."""
        for place in places:
            seen = self.prober.look_at_path(
                place,
                deadline_seconds=self.means.settings.probe_deadline_seconds,
                target=target.name,
                write=False,
            )
            if seen.verdict not in (Verdict.HEALTHY, Verdict.MISSING):
                return replace(seen, detail=f"{place}: {seen.detail}")
        return inspection

    def _judge_space(self, inspection: Inspection) -> Inspection:
        soft = self.means.settings.spool_soft_percent
        used = used_percent(inspection)
        if not inspection.healthy or used < soft:
            return inspection
        detail = f"{used:.0f} % of the disk under {inspection.path} is used"
        return replace(inspection, verdict=Verdict.FULL, detail=detail)

    def _note(
        self,
        target: Target,
        parent: Target | None,
        inspection: Inspection,
        mounts: tuple[Mount, ...],
    ) -> Seen:
        with self.means.database.begin() as connection:
            note_look(
                self.means.database,
                connection,
                self.name,
                inspection.verdict,
                error=inspection.detail,
                evidence=evidence_of(inspection),
                policy=self.means.breaker,
                actor=self.means.actor,
            )
            return self._seen(connection, parent, inspection, mounts)

    def _seen(
        self,
        connection: Connection,
        parent: Target | None,
        inspection: Inspection,
        mounts: tuple[Mount, ...],
    ) -> Seen:
        target = get_target(connection, self.name)
        definition = target.definition
        at = None if target.kind is TargetKind.OBJECT else mount_at(mounts, definition.root)
        sick = not inspection.healthy
        hot_paths = tuple(_hot_paths(connection, self.name))
        bound = {each.name for each in hot_paths if mount_at(mounts, each.root) is not None}
        return Seen(
            target=target,
            inspection=inspection,
            mounted=at is not None,
            device=at.device if at is not None else "",
            writers=tuple(writers_of(connection, self.name)),
            server_answers=_server_answers(definition) if sick else None,
            mount_pid=mount_process(mounts, definition)
            if sick and target.kind is TargetKind.MOUNT
            else None,
            hot_paths=hot_paths,
            bound=frozenset(bound),
            parent=parent,
        )


def used_percent(inspection: Inspection) -> float:
    """How full the file system of a look is."""
    if not inspection.disk_bytes:
        return 0.0
    return 100.0 * (inspection.disk_bytes - inspection.free_bytes) / inspection.disk_bytes


def evidence_of(inspection: Inspection) -> dict[str, object]:
    """The facts of a look that its target's row and the journal keep."""
    facts: dict[str, object] = {
        "path": inspection.path,
        "errno": inspection.errno,
        "step": inspection.step,
        "detail": inspection.detail,
        "elapsed_seconds": round(inspection.elapsed_seconds, 3),
        "device": inspection.device,
        "filesystem": inspection.filesystem,
        "source": inspection.source,
        "waiting": inspection.waiting,
        "used_percent": round(used_percent(inspection), 1) or None,
        "free_bytes": inspection.free_bytes or None,
        "disk_bytes": inspection.disk_bytes or None,
        "files_free": inspection.files_free or None,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _server_answers(definition: TargetDefinition) -> bool | None:
    asked = ask_server(definition.server)
    if asked is None:
        return None
    wanted = ANSWERS[:1] if definition.filesystem in GREETING else ANSWERS
    return asked["result"] in wanted


def _hot_paths(connection: Connection, name: str) -> Iterator[TargetDefinition]:
    for each in list_targets(connection):
        if each.parent == name:
            yield each.definition
