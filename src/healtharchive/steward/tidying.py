"""The child that finds and removes what the archive made and needs no more.

Run as a script: `python -I -S tidying.py`, with its order as JSON on stdin. {"look": {"wacz":
DIRECTORY, "evidence": DIRECTORY, "logs": [FILE …]}, "now": SECONDS, "older": {"wacz": SECONDS …},
"most": N} prints {"found": [{"kind", "path", "size_bytes"} …]}; {"remove": [PATH …], "kind": KIND}
prints {"removed": N, "freed_bytes": N, "trouble": TEXT}. Only names that the archive itself gives
are found or removed.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator

LAYOUT_NAME = "layout.json"
NAMES = {
    "wacz": re.compile(r"/(job|source|campaign)-[^/]+/[0-9a-f]{32}"),
    "evidence": re.compile(r"/[a-z][a-z0-9-]*-\d{8}T\d{6}Z-(before|after)\.json(\.part)?"),
    "logs": re.compile(r"/crawl(er)?\.log(\.1)?"),
}


def find(order: dict[str, object]) -> list[dict[str, object]]:
    """What is old enough, the oldest first."""
    look, now, older = order["look"], order["now"], order["older"]
    assert isinstance(look, dict)
    assert isinstance(now, float | int)
    assert isinstance(older, dict)
    found: list[tuple[float, dict[str, object]]] = []
    for kind, paths in (
        ("wacz", states_in(look["wacz"])),
        ("evidence", files_in(look["evidence"])),
        ("logs", iter(look["logs"])),
    ):
        for path in paths:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                used_at, size = facts_of(path, read_too=kind == "wacz")
                if is_ours(kind, path) and now - used_at >= older[kind]:
                    found.append((used_at, {"kind": kind, "path": path, "size_bytes": size}))
    found.sort(key=lambda each: each[0])
    return [each for _, each in found][: int(str(order["most"]))]


def states_in(directory: str) -> Iterator[str]:
    """The prepared states of every collection that are whole."""
    for home in entries(directory):
        for state in entries(home):
            if os.path.isfile(os.path.join(state, LAYOUT_NAME)):
                yield state


def files_in(directory: str) -> Iterator[str]:
    """The files of a directory."""
    return (each for each in entries(directory) if os.path.isfile(each))


def entries(directory: str) -> list[str]:
    """The paths in a directory; none when it is not there. Links are left out."""
    try:
        with os.scandir(directory) as found:
            return sorted(each.path for each in found if not each.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []


def facts_of(path: str, *, read_too: bool) -> tuple[float, int]:
    """When a file, or any file of a directory, was last written (or read); and all their bytes."""
    files = entries(path) if os.path.isdir(path) else [path]
    looks = [os.stat(each) for each in files]
    times = [each.st_mtime for each in [os.stat(path), *looks]]
    # A directory is read by every look at it; only its files tell when somebody used it.
    times += [each.st_atime for each in looks] if read_too else []
    return max(times), sum(each.st_size for each in looks)


def is_ours(kind: str, path: str) -> bool:
    """Whether the end of a path is a name that the archive gives to this kind of thing."""
    number = 2 if kind == "wacz" else 1
    end = "/" + "/".join(path.split("/")[-number:])
    return NAMES[kind].fullmatch(end) is not None


def remove(kind: str, paths: list[str]) -> dict[str, object]:
    """Take these away; how many and how many bytes. The first trouble ends it."""
    removed = freed = 0
    for path in paths:
        if not is_ours(kind, path) or os.path.islink(path):
            return {"removed": removed, "freed_bytes": freed, "trouble": f"{path} is not ours"}
        try:
            _, size = facts_of(path, read_too=False)
            if kind == "wacz":
                # Without its layout it is nobody's: whoever asks now prepares it anew.
                os.unlink(os.path.join(path, LAYOUT_NAME))
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            return {"removed": removed, "freed_bytes": freed, "trouble": f"{path}: {error}"}
        removed += 1
        freed += size
    return {"removed": removed, "freed_bytes": freed, "trouble": ""}


def main() -> None:
    order = json.load(sys.stdin)
    answer = remove(order["kind"], order["remove"]) if "remove" in order else {"found": find(order)}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
