"""The mounter: one order from the steward, carried out with root's power, and one answer.

systemd starts it for each connection to its socket, as `python -I -m healtharchive.storage.mounter`
with what root has declared. It reads no setting, no environment and no file that is not root's.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import socket
import stat
import struct
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from healtharchive.model.errors import BadInput, HealthArchiveError, SetupError
from healtharchive.storage import mounting
from healtharchive.storage.declared import load_targets
from healtharchive.storage.mount_orders import (
    ORDER_BYTES,
    Grant,
    Task,
    Verb,
    from_line,
    granted,
)
from healtharchive.storage.mount_process import end_mount_process, mount_process
from healtharchive.storage.mountinfo import mount_at, read_mounts
from healtharchive.storage.mounting import OWN, Powers, Step

ORDER_SECONDS = 5.0
CREDENTIALS = struct.Struct("3i")  # unix(7), struct ucred: pid, uid, gid
ROOT = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """The process at the other end of a Unix socket."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(found)
    return Peer(pid, uid)


def read_order(connection: socket.socket, seconds: float = ORDER_SECONDS) -> bytes:
    """What the peer has sent until it ended its line, or one byte more than an order may have."""
    ends_at = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n") and len(line) <= ORDER_BYTES:
        connection.settimeout(max(ends_at - time.monotonic(), 0.001))
        try:
            more = connection.recv(ORDER_BYTES + 1 - len(line))
        except TimeoutError:
            raise BadInput(f"No order came within {seconds:g} s.") from None
        except OSError as error:
            raise BadInput(f"No order came: {error.strerror}.") from error
        if not more:
            break
        line += more
    return line


def read_grant(user: str, jobs_root: str, targets: Path) -> Grant:
    """What root has declared. SetupError when somebody else could have written it."""
    try:
        found = targets.stat()
    except OSError as error:
        raise SetupError(
            f"{targets} cannot be read: {error.strerror}.", "`healtharchive install` writes it."
        ) from error
    if found.st_uid != ROOT or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SetupError(
            f"{targets} is not root's alone to write: nothing is mounted by it.",
            f"chown root {targets}; chmod 640 {targets}",
        )
    return Grant(user, jobs_root, {each.name: each for each in load_targets(targets)})


def powers_for(user: str) -> Powers:
    """What is done for the user is done as the user: with the power to mount, or with none.

    A target's own command gets none, and with it nothing that the user can change, such as what
    ssh reads in a home directory. It mounts through `fusermount3`.
    """
    account = pwd.getpwnam(user)
    become = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups")
    return Powers(
        user=user,
        mending=(*become, "--inh-caps=-all,+sys_admin", "--ambient-caps=-all,+sys_admin"),
        mounting=(*become, "--inh-caps=-all", "--ambient-caps=-all", "--reset-env"),
    )


def do(task: Task, user: str, deadline_seconds: float) -> Step:
    """Carry a task out; what was done."""
    definition, powers = task.definition, powers_for(user)
    if task.verb is Verb.MOUNT:
        return mounting.mount(definition, deadline_seconds, parent=task.parent, powers=powers)
    if task.verb is Verb.UNMOUNT:
        return mounting.unmount_all(definition.root, powers=powers)[-1]
    mounts = read_mounts()
    if task.verb is Verb.ABORT:
        at = mount_at(mounts, definition.root)
        if at is None or not at.is_fuse:
            detail = "nothing to do: no FUSE mount is there"
            return Step("abort connection", definition.root, True, detail)
        # A connection is of whoever made the mount: of root, where a unit did.
        return mounting.abort_connection(at.device, powers=OWN if definition.unit else powers)
    pid = mount_process(mounts, definition)
    if pid is None:
        return Step("end process", definition.root, True, "nothing to do: no process serves it")
    return end_mount_process(pid, definition.root)


def answer(
    connection: socket.socket, user: str, jobs_root: str, targets: Path, deadline_seconds: float
) -> bytes:
    """The answer to whoever is connected: what was done, or the sentence why nothing was."""
    peer = peer_of(connection)
    try:
        if peer.uid not in (ROOT, pwd.getpwnam(user).pw_uid):
            raise BadInput(f"User {peer.uid} may not ask the mounter: only {user} and root may.")
        order = from_line(read_order(connection))
        task = granted(order, read_grant(user, jobs_root, targets))
        step = do(task, user, deadline_seconds)
    except HealthArchiveError as error:
        print(f"refused process {peer.pid}, user {peer.uid}: {error}", flush=True)
        return _line({"refused": str(error)})
    outcome = "done" if step.ok else "failed"
    asked = f"{order.verb} {order.target} {order.job}".strip()
    # What a mount's own command has said is the user's: it shall make no line of its own.
    said = ascii(" ".join(step.detail.split()))
    print(f"{asked} for process {peer.pid}, user {peer.uid}: {outcome}, {said}", flush=True)
    return _line(asdict(step))


def _line(words: dict[str, object]) -> bytes:
    return json.dumps(words).encode() + b"\n"


def main() -> int:
    """Answer the connection that is our stdin."""
    parser = argparse.ArgumentParser(description="Mounts for the steward, for one order.")
    parser.add_argument("--user", required=True)
    parser.add_argument("--jobs-root", required=True)
    parser.add_argument("--targets", required=True, type=Path)
    parser.add_argument("--deadline-seconds", required=True, type=float)
    told = parser.parse_args()
    with socket.socket(fileno=os.dup(0)) as connection:
        try:
            said = answer(
                connection, told.user, told.jobs_root, told.targets, told.deadline_seconds
            )
        except Exception as error:  # the outermost loop of this process
            traceback.print_exc()
            said = _line({"refused": f"A bug in the mounter: {type(error).__name__}: {error}."})
        connection.settimeout(ORDER_SECONDS)
        try:
            connection.sendall(said)
        except OSError as error:
            print(f"nobody waits for the answer any more: {error.strerror}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
