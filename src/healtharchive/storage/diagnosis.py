"""Why a target is sick, as far as the evidence tells. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from healtharchive.model.target import TargetKind, Verdict
from healtharchive.storage.evidence import Evidence

KILLED_BY_OOM = re.compile(r"killed process (\d+) \(([^)]+)\)", re.I)
LOCAL = (Verdict.FULL, Verdict.READ_ONLY, Verdict.NOT_WRITABLE)
NO_ANSWER = (Verdict.STALE, Verdict.HUNG, Verdict.IO_ERROR)
CLD_KILLED, CLD_DUMPED = "2", "3"  # ExecMainCode, as in siginfo's si_code (sigaction(2))


class CauseKind(StrEnum):
    """What can be the matter with a target."""

    MOUNT_PROCESS_GONE = "mount_process_gone"
    SERVER_UNREACHABLE = "server_unreachable"
    SERVER_REFUSED = "server_refused"
    KEEPALIVE_TIMEOUT = "keepalive_timeout"
    SERVER_DIRECTORY_GONE = "server_directory_gone"
    BIND_LEFT_BEHIND = "bind_left_behind"
    NOT_MOUNTED = "not_mounted"
    WRONG_MOUNT = "wrong_mount"
    LOCAL_RESOURCE = "local_resource"
    HUNG_PROCESS = "hung_process"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause in one sentence, and the lines of evidence it rests on."""

    kind: CauseKind
    sentence: str
    because: tuple[str, ...]


def diagnose(evidence: Evidence) -> Cause:
    """The most likely cause of what the evidence shows; `unknown` rather than a guess."""
    if evidence.verdict == Verdict.HEALTHY:
        return _cause(evidence, CauseKind.UNKNOWN, "Nothing is wrong with it now.")
    for rule in RULES:
        cause = rule(evidence)
        if cause is not None:
            return cause
    return _cause(evidence, CauseKind.UNKNOWN, "The evidence does not tell why.")


def _local_resource(evidence: Evidence) -> Cause | None:
    sentences = {
        Verdict.FULL: "No space, no inodes or no quota is left there.",
        Verdict.READ_ONLY: "The file system is mounted read-only.",
        Verdict.NOT_WRITABLE: "The crawler's user may not write there.",
    }
    verdict = Verdict(evidence.verdict)
    if verdict in LOCAL:
        return _cause(evidence, CauseKind.LOCAL_RESOURCE, sentences[verdict])
    if evidence.kind == TargetKind.LOCAL and verdict in (Verdict.IO_ERROR, Verdict.MISSING):
        return _cause(
            evidence, CauseKind.LOCAL_RESOURCE, "The local disk or directory itself fails."
        )
    return None


def _not_the_declared_mount(evidence: Evidence) -> Cause | None:
    if evidence.verdict != Verdict.WRONG_MOUNT:
        return None
    if evidence.kind != TargetKind.LOCAL and not evidence.mounted:
        sentence = "It is an ordinary local directory: nothing is mounted there."
        return _cause(evidence, CauseKind.NOT_MOUNTED, sentence)
    if evidence.bind is not None and not evidence.bind["base_mounted"]:
        sentence = "It shows an ordinary local directory: its parent is not mounted."
        return _cause(evidence, CauseKind.NOT_MOUNTED, sentence)
    if evidence.bind is not None and not evidence.bind["matches"]:
        return _left_behind(evidence)
    sentence = "Another file system than the declared one is there."
    return _cause(evidence, CauseKind.WRONG_MOUNT, sentence)


def _bind_left_behind(evidence: Evidence) -> Cause | None:
    if evidence.bind is None or not evidence.bind["device"]:
        return None
    if evidence.bind["matches"] or not evidence.bind["base_mounted"]:
        return None  # then it is as dead as its base, for the same reason
    return _left_behind(evidence)


def _left_behind(evidence: Evidence) -> Cause:
    sentence = (
        "It is still bound to an earlier session of its base, which has been mounted anew since."
    )
    return _cause(evidence, CauseKind.BIND_LEFT_BEHIND, sentence)


def _hung_process(evidence: Evidence) -> Cause | None:
    process = evidence.process
    if process is None or process["state"] not in ("T", "t"):
        return None
    sentence = f"The mount's process {process['pid']} is stopped (state {process['state']})."
    return _cause(evidence, CauseKind.HUNG_PROCESS, sentence)


def _process_gone(evidence: Evidence) -> Cause | None:
    if not evidence.program or evidence.process is not None or evidence.verdict != Verdict.STALE:
        return None
    how = _how_it_ended(evidence)
    sentence = f"The mount's process ({evidence.program}) is gone{how}."
    return _cause(evidence, CauseKind.MOUNT_PROCESS_GONE, sentence)


def _how_it_ended(evidence: Evidence) -> str:
    for line in evidence.kernel:
        killed = KILLED_BY_OOM.search(line)
        if killed and killed[2][:15] == evidence.program[:15]:
            return f": the kernel killed process {killed[1]} because memory ran out"
    status = evidence.extra.get("exit_status")
    if evidence.unit.get("ExecMainCode") in (CLD_KILLED, CLD_DUMPED):
        status = -int(evidence.unit["ExecMainStatus"])
    if not isinstance(status, int):
        return ""
    return f": ended by {_signal_name(-status)}" if status < 0 else f": exit status {status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _server_away(evidence: Evidence) -> Cause | None:
    result = (evidence.server or {}).get("result", "")
    if result == "refused":
        sentence = "The server is there but refuses the connection."
        return _cause(evidence, CauseKind.SERVER_REFUSED, sentence)
    if result in ("unreachable", "timeout"):
        sentence = "The server cannot be reached."
        return _cause(evidence, CauseKind.SERVER_UNREACHABLE, sentence)
    return None


def _directory_gone(evidence: Evidence) -> Cause | None:
    if evidence.verdict != Verdict.MISSING or not evidence.mounted:
        return None
    sentence = "The mount lives, but its directory on the server is gone."
    return _cause(evidence, CauseKind.SERVER_DIRECTORY_GONE, sentence)


def _keepalive(evidence: Evidence) -> Cause | None:
    if evidence.process is None or evidence.verdict not in NO_ANSWER:
        return None
    now = "It answers now." if (evidence.server or {}).get("result") == "answers" else ""
    sentence = f"The mount's process lives, but its server stopped answering it. {now}".strip()
    return _cause(evidence, CauseKind.KEEPALIVE_TIMEOUT, sentence)


# The first that fits decides: what is certain and near before what is guessed and far.
RULES: tuple[Callable[[Evidence], Cause | None], ...] = (
    _local_resource,
    _not_the_declared_mount,
    _bind_left_behind,
    _hung_process,
    _process_gone,
    _server_away,
    _directory_gone,
    _keepalive,
)


def _cause(evidence: Evidence, kind: CauseKind, sentence: str) -> Cause:
    return Cause(kind, sentence, tuple(_lines(evidence)))


def _lines(evidence: Evidence) -> list[str]:
    """The facts that any of the causes may rest on, one line each."""
    seen = evidence.inspection
    lines = [f"look: {evidence.verdict}" + (f", {seen['detail']}" if seen.get("detail") else "")]
    if evidence.kind != TargetKind.LOCAL:
        lines += [f"mounted: {line}" for line in evidence.mounts] or ["mounted: nothing"]
    if evidence.bind is not None:
        bind = evidence.bind
        lines.append(f"bind: device {bind['device'] or 'none'}, base {bind['base_device']}")
    if evidence.program:
        process = evidence.process
        shown = f"pid {process['pid']}, state {process['state']}" if process else "none"
        lines.append(f"{evidence.program} process: {shown}")
    if evidence.waiting is not None:
        lines.append(f"requests waiting for an answer: {evidence.waiting}")
    if evidence.server is not None:
        lines.append(f"server: {evidence.server['result']} {evidence.server['said']}".strip())
    lines += [f"unit: {name}={value}" for name, value in sorted(evidence.unit.items())]
    lines += [f"kernel: {line}" for line in evidence.kernel if KILLED_BY_OOM.search(line)]
    return lines
