"""What may be asked of the mounter, as one line of JSON, and what it makes of it. Pure.

An order names a declared target, or a job's directory on one; it never has a path or a command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from healtharchive.model.errors import BadInput
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.mountinfo import MOUNTED, backing_path

ORDER_BYTES = 1024
# jobs_root/SOURCE/DIRECTORY, as jobs are laid out: two names, neither hidden nor a way up.
JOB = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}/[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")


class Verb(StrEnum):
    """What the mounter can do."""

    MOUNT = "mount"
    UNMOUNT = "unmount"
    ABORT = "abort"
    END = "end"


@dataclass(frozen=True, slots=True)
class Grant:
    """What root has declared: whose the archive is, where its jobs are, and its targets."""

    user: str
    jobs_root: str
    targets: Mapping[str, TargetDefinition]


@dataclass(frozen=True, slots=True)
class Order:
    """Do this to a target; with `job`, to that job's directory, which lies on the target."""

    verb: Verb
    target: str
    job: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """An order as it is granted: every path and command in it is root's own."""

    verb: Verb
    definition: TargetDefinition
    parent: TargetDefinition | None = None


def to_line(order: Order) -> bytes:
    """The order as it is sent."""
    words = {"verb": order.verb, "target": order.target, "job": order.job}
    return json.dumps(words).encode() + b"\n"


def from_line(line: bytes) -> Order:
    """The order that a line is. BadInput in one sentence when it is none."""
    if len(line) > ORDER_BYTES:
        raise BadInput(f"The order is longer than {ORDER_BYTES} bytes.")
    try:
        words = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput("The order is no JSON.") from None
    if not isinstance(words, dict) or set(words) != {"verb", "target", "job"}:
        raise BadInput("An order has a verb, a target and a job, and nothing else.")
    if not all(isinstance(word, str) for word in words.values()):
        raise BadInput("The words of an order are texts.")
    if words["verb"] not in list(Verb):
        raise BadInput(f"The mounter cannot {words['verb']!r}: it can {', '.join(Verb)}.")
    return Order(Verb(words["verb"]), words["target"], words["job"])


def granted(order: Order, grant: Grant) -> Task:
    """What is to be done. BadInput in one sentence when root has not declared it."""
    target = grant.targets.get(order.target)
    if target is None or target.kind is TargetKind.OBJECT:
        raise BadInput(
            f"The mounter knows no target {order.target!r}.",
            "Declare it in the targets file, then `healtharchive install` as root.",
        )
    task = _of_job(order, target, grant) if order.job else _of_target(order, target, grant)
    if order.verb in (Verb.ABORT, Verb.END) and task.definition.kind is not TargetKind.MOUNT:
        raise BadInput(f"No process serves {task.definition.root}: nothing can be ended there.")
    if order.verb is Verb.END and not task.definition.unit:
        raise BadInput(f"What serves {task.definition.root} is {grant.user}'s own to end.")
    return task


def _of_target(order: Order, target: TargetDefinition, grant: Grant) -> Task:
    if target.kind not in MOUNTED:
        raise BadInput(f"Target {target.name!r} is not mounted: it is {target.kind}.")
    return Task(order.verb, target, grant.targets.get(target.parent))


def _of_job(order: Order, target: TargetDefinition, grant: Grant) -> Task:
    if not JOB.fullmatch(order.job):
        raise BadInput(f"{order.job!r} is no directory of a job.")
    source, name = order.job.split("/")
    root = str(PurePosixPath(grant.jobs_root, source, name))
    hot = TargetDefinition(
        "hot", TargetKind.BIND, root, parent=target.name, backing=f"{source}/{name}"
    )
    return Task(order.verb, hot, target)


def order_for(
    verb: Verb, definition: TargetDefinition, parent: TargetDefinition | None, jobs_root: Path
) -> Order:
    """The order for a target as the steward knows it: a hot path that `tier` made is its job's."""
    path = PurePosixPath(definition.root)
    if definition.kind is TargetKind.BIND and parent is not None and path.is_relative_to(jobs_root):
        job = str(path.relative_to(jobs_root))
        if backing_path(definition, parent) == str(PurePosixPath(parent.root, job)):
            return Order(verb, parent.name, job)
    return Order(verb, definition.name)
