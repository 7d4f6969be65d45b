"""The child of a probe: touches one directory and prints what it saw as one JSON line.

Run as a script: `python -I -S look.py PATH read|write`. It may hang for ever; its parent does not.
"""

import json
import os
import sys


def look(path: str, write: bool) -> dict[str, object]:
    """The facts of a directory; the step and the errno where one failed."""
    seen: dict[str, object] = {}
    step = ""
    try:
        if write:
            step = "make directory"
            os.makedirs(path, exist_ok=True)
        step = "list"
        with os.scandir(path) as entries:
            next(entries, None)
        step = "statvfs"
        disk = os.statvfs(path)
        seen["disk_bytes"] = disk.f_blocks * disk.f_frsize
        seen["free_bytes"] = disk.f_bavail * disk.f_frsize
        if write:
            step = "write"
            _write_and_read(os.path.join(path, f".probe-{os.getpid()}"))
    except OSError as error:
        return {**seen, "ok": False, "errno": error.errno, "step": step}
    return {**seen, "ok": True}


def _write_and_read(path: str) -> None:
    written = os.urandom(64)
    try:
        with open(path, "xb") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        with open(path, "rb") as file:
            if file.read() != written:
                raise OSError(5, "what was written is not what is read")
    finally:
        if os.path.lexists(path):
            os.unlink(path)


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1], sys.argv[2] == "write")), flush=True)
