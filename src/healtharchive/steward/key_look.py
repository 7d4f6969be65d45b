"""The child that looks at a key's file; no byte of the key leaves it.

Run as a script: `python -I -S key_look.py ORDER`, ORDER being JSON: {"file": PATH, "certificate":
PATH}; the second is the ssh certificate beside the key, empty when there can be none. Prints
{"mode": N, "owner": N, "user": N, "modified_at": N, "certificate": TEXT}, {"absent": true}, or
{"trouble": TEXT}.
"""

import json
import os
import sys
from typing import Any

MOST_CHARACTERS = 100_000


def look(order: dict[str, Any]) -> dict[str, Any]:
    """What the file is like. OSError when it cannot be read."""
    with open(order["file"], "rb") as file:
        file.read(1)
        found = os.fstat(file.fileno())
    return {
        "mode": found.st_mode & 0o777,
        "owner": found.st_uid,
        "user": os.geteuid(),
        "modified_at": found.st_mtime,
        "certificate": beside(order["certificate"]),
    }


def beside(path: str) -> str:
    """The certificate's text; empty when there is none."""
    if not path or not os.path.exists(path):
        return ""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read(MOST_CHARACTERS)


def main() -> None:
    try:
        answer = look(json.loads(sys.argv[1]))
    except FileNotFoundError:
        answer = {"absent": True}
    except OSError as error:
        answer = {"trouble": error.strerror or type(error).__name__}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
