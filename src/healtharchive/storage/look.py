"""The child of a look: touches one directory, or asks one server, and prints one JSON line.

Run as a script: `python -I -S look.py ORDER`, ORDER being JSON: either `path` with `make`, `write`,
`user` and `identity`, or `server`. It may hang for ever; its parent does not.
"""

import contextlib
import errno
import json
import os
import pwd
import socket
import sys
from typing import Any

SERVER_SECONDS = 1.0
GREETING_BYTES = 64


def look(order: dict[str, Any]) -> dict[str, object]:
    """The facts of a directory; the step and the errno where one failed.

    A step "identity" without errno means: another's identity, or none. Nothing was written then.
    """
    # Imported while we are still root: another user may not be able to read this program's files.
    from healtharchive.storage.identity import read_identity

    path = order["path"]
    seen: dict[str, object] = {}
    step = "become user"
    try:
        if order.get("user"):
            _become(order["user"])
        if order.get("make"):
            step = "make directory"
            os.makedirs(path, exist_ok=True)
        step = "list"
        with os.scandir(path) as entries:
            next(entries, None)
        step = "stat"
        os.stat(path)
        step = "statvfs"
        seen |= _space(path)
        step = "identity"
        if "identity" in order:
            found = read_identity(path)
            seen["identity"] = found.id if found else ""
            if order["identity"] and order["identity"] != seen["identity"]:
                return {**seen, "ok": False, "step": step}
        step = "write"
        if order.get("write"):
            _write_and_read(path)
    except OSError as error:
        return {**seen, "ok": False, "errno": error.errno, "step": step}
    return {**seen, "ok": True}


def _become(name: str) -> None:
    """Go on as this user: root may write where modes forbid it to everybody else."""
    if os.geteuid() != 0:
        return  # then this process is started by the crawler's user already
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise PermissionError(errno.EPERM, f"there is no user {name}") from None
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _space(path: str) -> dict[str, object]:
    disk = os.statvfs(path)
    # As df counts: what is kept for root is neither used nor free.
    return {
        "disk_bytes": (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "files_total": disk.f_files,
        "files_free": disk.f_favail,
    }


def _write_and_read(directory: str) -> None:
    # The name is random: one left behind by a killed look must not be in the way of a later one.
    path = os.path.join(directory, f".probe-{os.getpid()}-{os.urandom(4).hex()}")
    written = os.urandom(64)
    try:
        with open(path, "xb") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        with open(path, "rb") as file:
            if file.read() != written:
                raise OSError(errno.EIO, "what was written is not what is read")
    finally:
        if os.path.lexists(path):
            os.unlink(path)


def ask(server: str) -> dict[str, str]:
    """Whether a server (host:port) accepts connections, and its first words.

    `result` is answers (it greets), accepts (it says nothing), refused, unreachable or timeout.
    """
    host, _, port = server.rpartition(":")
    try:
        address = (host.strip("[]"), int(port))
        with socket.create_connection(address, timeout=SERVER_SECONDS) as connection:
            greeting = b""
            with contextlib.suppress(OSError):
                greeting = connection.recv(GREETING_BYTES)
    except ConnectionRefusedError:
        return {"result": "refused", "said": ""}
    except TimeoutError:
        return {"result": "timeout", "said": ""}
    except OSError as error:
        return {"result": "unreachable", "said": str(error)}
    said = greeting.decode("ascii", "backslashreplace").strip()
    return {"result": "answers" if said else "accepts", "said": said}


def main() -> None:
    # Under -I -S nothing of ours is found by itself.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    order = json.loads(sys.argv[1])
    answer = ask(order["server"]) if "server" in order else look(order)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
