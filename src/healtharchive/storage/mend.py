"""The child that mends a mount: one system call on one path, and one JSON line about it.

Run as a script: `python -I -S mend.py ORDER`, ORDER being JSON with a `verb`. It may hang for ever;
its parent does not.
"""

import contextlib
import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable

MNT_DETACH = 2  # umount2(2): it is gone from the tree at once, also with open files
UMOUNT_NOFOLLOW = 8
MS_BIND = 4096  # mount(2)
HELD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


def unmount(path: str) -> None:
    """Take the topmost mount at the path away. The dead file system is never asked."""
    above, name = os.path.split(os.path.normpath(path))
    os.fchdir(_held(above))
    _call("umount2", os.fsencode(name), MNT_DETACH | UMOUNT_NOFOLLOW)


def abort(file: str) -> None:
    """Write to a FUSE connection's `abort`, which belongs to whoever made the mount."""
    with open(file, "w", encoding="ascii") as switch:
        switch.write("1")


def prepare(path: str) -> None:
    """Make the directory that something is to be mounted on; ENOTEMPTY if that would hide files."""
    os.close(_held(path, make=True))
    hides_nothing(path)


def hides_nothing(path: str) -> None:
    """ENOTEMPTY if a mount at the path would hide files; a directory that is not there has none.

    Empty directories below it hide nothing: a crawl that lost its mount leaves such behind.
    """
    for directory, _, files in os.walk(path):
        if files:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), directory)


def bind(backing: str, path: str) -> None:
    """Show the directory `backing`, which is made if missing, at the path too.

    EACCES where this user could not make files: no mount of his hides what is another's.
    """
    source = f"/proc/self/fd/{_held(backing, make=True)}"
    prepare(path)
    place = f"/proc/self/fd/{_held(path)}"
    if not os.access(place, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
    _call("mount", os.fsencode(source), os.fsencode(place), None, MS_BIND, None)


def identify(root: str, target: str, identity: str) -> None:
    """Mark the root as the target's."""
    # Under -I -S nothing of ours is found by itself.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from healtharchive.storage.identity import write_identity

    write_identity(root, target, identity)


def _held(path: str, *, make: bool = False) -> int:
    """A handle on a directory that no symbolic link leads to, ENOTDIR where one would.

    What is checked is then what is mounted on, whoever else may rename things meanwhile. With
    `make`, what is missing is made.
    """
    handle = os.open("/", HELD)
    for part in os.path.normpath(path).split("/")[1:]:
        if part:
            above, handle = handle, _entered(handle, part, path, make=make)
            os.close(above)
    return handle


def _entered(above: int, name: str, path: str, *, make: bool) -> int:
    try:
        return os.open(name, HELD, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    except NotADirectoryError:
        sentence = f"'{name}' is a symbolic link or a file, where a directory should be"
        raise OSError(errno.ENOTDIR, sentence, path) from None
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    return _entered(above, name, path, make=False)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in arguments]
    if getattr(libc, name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


VERBS: dict[str, Callable[..., None]] = {
    "unmount": unmount,
    "prepare": prepare,
    "hides_nothing": hides_nothing,
    "bind": bind,
    "abort": abort,
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
