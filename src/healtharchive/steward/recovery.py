"""What would mend a target: a plan made of what was seen. Pure; `apply` in `mending` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healtharchive.model.states import TargetState
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import Target
from healtharchive.storage.inspection import Inspection

# A mount that is full, read-only, or somebody else's is not mended by mounting it again.
REMOUNT = (Verdict.STALE, Verdict.HUNG, Verdict.IO_ERROR)


@dataclass(frozen=True, slots=True)
class Seen:
    """One target as it was found: the row, the look, the mount table, and who writes there.

    `mounted` says whether anything is mounted at its root, `server_answers` whether who serves it
    does (None: nobody said who that is). `hot_paths` are the binds that lie on it; at the paths
    of those named in `bound` something is mounted.
    """

    target: Target
    inspection: Inspection
    mounted: bool
    device: str = ""
    writers: tuple[int, ...] = ()
    server_answers: bool | None = None
    mount_pid: int | None = None
    hot_paths: tuple[TargetDefinition, ...] = ()
    bound: frozenset[str] = frozenset()
    parent: Target | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: unmount, abort, end_process, mount or bind; to what, and why."""

    what: str
    subject: str  # a path, a device or a pid
    why: str
    definition: TargetDefinition | None = None

    @property
    def sentence(self) -> str:
        """The step for a person."""
        return f"{self.what} {self.subject}: {self.why}"


@dataclass(frozen=True, slots=True)
class Repair:
    """The steps that would mend a target, in order; or why there are none (`hold`)."""

    target: str
    verdict: Verdict
    steps: tuple[Step, ...] = ()
    hold: str = ""


def plan(seen: Seen) -> Repair | None:
    """What to do about a target; None when nothing is wrong with it."""
    verdict = seen.inspection.verdict
    if verdict is Verdict.HEALTHY:
        return None
    name = seen.target.name
    hold = _why_not(seen)
    if hold:
        return Repair(name, verdict, hold=hold)
    steps = _rebind(seen) if seen.target.kind is TargetKind.BIND else _remount(seen)
    return Repair(name, verdict, tuple(steps))


def _why_not(seen: Seen) -> str:
    """Why mounting again would not help; empty when it would."""
    target, look = seen.target, seen.inspection
    if target.state is not TargetState.OPEN:
        return "it is not confirmed yet"
    if target.kind not in (TargetKind.MOUNT, TargetKind.BIND):
        return "it is not a mount of ours: it must be mended where it is"
    if not target.definition.can_be_mounted:
        return "nobody said how it is mounted"
    if target.kind is TargetKind.BIND:
        if seen.parent is not None and _unseen(seen.parent, target):
            return f"its target {target.parent} was not looked at since"
        if seen.parent is not None and _sick(seen.parent):
            return f"its target {target.parent} comes first"
        return "" if look.verdict in (*REMOUNT, Verdict.WRONG_MOUNT) else _manual(look)
    gone = look.verdict is Verdict.WRONG_MOUNT and not seen.mounted
    if look.verdict not in REMOUNT and not gone:
        return _manual(look)
    if seen.server_answers is False:
        return f"its server {target.definition.server} does not answer"
    return ""


def _unseen(parent: Target, target: Target) -> bool:
    """Whether nobody has looked at the parent since its hot path failed."""
    tripped_at = target.tripped_at
    return tripped_at is not None and (parent.probed_at is None or parent.probed_at < tripped_at)


def _sick(target: Target) -> bool:
    """Whether a target is neither closed nor, by its last look, well again."""
    return target.state is not TargetState.CLOSED and target.verdict is not Verdict.HEALTHY


def _manual(look: Inspection) -> str:
    return f"mounting again does not mend '{look.verdict}'"


def _remount(seen: Seen) -> list[Step]:
    """Inside-out: the hot paths, what hangs, the mount; then all of it again, outside-in."""
    definition = seen.target.definition
    # Also where the mount itself is gone already: its binds stay, tied to what it was.
    steps = [
        Step("unmount", hot.root, "it is tied to the dead session", hot)
        for hot in seen.hot_paths
        if hot.name in seen.bound
    ]
    if seen.mounted:
        if seen.inspection.verdict is Verdict.HUNG and seen.device:
            steps.append(Step("abort", seen.device, "whoever hangs there is let go"))
        if seen.mount_pid is not None:
            steps.append(Step("end_process", str(seen.mount_pid), "it serves the dead mount"))
        steps.append(Step("unmount", definition.root, "it is dead", definition))
    steps.append(Step("mount", definition.root, "it is needed", definition))
    steps += [Step("bind", hot.root, "it shows the new mount", hot) for hot in seen.hot_paths]
    return steps


def _rebind(seen: Seen) -> list[Step]:
    definition = seen.target.definition
    steps: list[Step] = []
    if seen.mounted:
        steps.append(
            Step("unmount", definition.root, "it is tied to a session that is gone", definition)
        )
    steps.append(Step("bind", definition.root, "its target is healthy", definition))
    return steps


def sentences(repairs: Sequence[Repair]) -> list[str]:
    """The plan as `--dry-run` prints it."""
    lines: list[str] = []
    for repair in repairs:
        if repair.hold:
            lines.append(f"{repair.target} is {repair.verdict}: nothing to do, {repair.hold}")
            continue
        lines.append(f"{repair.target} is {repair.verdict}:")
        lines += [f"  {number}. {step.sentence}" for number, step in enumerate(repair.steps, 1)]
    return lines
