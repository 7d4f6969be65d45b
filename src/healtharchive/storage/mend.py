"""The child that mends a mount: one system call on one path, and one JSON line about it.

Run as a script: `python -I -S mend.py ORDER`, ORDER being JSON with a `verb`. It may hang for ever;
its parent does not.
"""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable

MNT_DETACH = 2  # umount2(2): it is gone from the tree at once, also with open files
UMOUNT_NOFOLLOW = 8
MS_BIND = 4096  # mount(2)


def unmount(path: str) -> None:
    """Take the topmost mount at the path away. The dead file system is never asked."""
    _call("umount2", os.fsencode(path), MNT_DETACH | UMOUNT_NOFOLLOW)


def prepare(path: str) -> None:
    """Make the directory that something is to be mounted on; ENOTEMPTY if that would hide files.

    Empty directories below it hide nothing: a crawl that lost its mount leaves such behind.
    """
    os.makedirs(path, exist_ok=True)
    for directory, _, files in os.walk(path):
        if files:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), directory)


def bind(backing: str, path: str) -> None:
    """Show the directory `backing`, which is made if missing, at the path too."""
    os.makedirs(backing, exist_ok=True)
    prepare(path)
    _call("mount", os.fsencode(backing), os.fsencode(path), None, MS_BIND, None)


def identify(root: str, target: str, identity: str) -> None:
    """Mark the root as the target's."""
    # Under -I -S nothing of ours is found by itself.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from healtharchive.storage.identity import write_identity

    write_identity(root, target, identity)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in arguments]
    if getattr(libc, name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


VERBS: dict[str, Callable[..., None]] = {
    "unmount": unmount,
    "prepare": prepare,
    "bind": bind,
    "identify": identify,
}


def main() -> None:
    order = json.loads(sys.argv[1])
    try:
        VERBS[order.pop("verb")](**order)
        answer = {"errno": 0, "detail": ""}
    except OSError as error:
        answer = {"errno": error.errno, "detail": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
