"""The end of a crawl's log, for the operations pages: run as a script, killed when it is late.

The job's directory may lie on a mount that hangs. Standard library only: it is there in 15 ms.
Run by `python -I -S`, with '{"frontier": PATH, "log": PATH, "crawler": PATH, "lines": 40}'.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from typing import Any

TAIL_BYTES = 64_000
DONE = (
    "SELECT c.captured_at, c.status, c.mime, u.url FROM captures c JOIN urls u ON u.id = c.url_id"
    " ORDER BY c.id DESC LIMIT ?"
)
FAILED = "SELECT url, reason FROM urls WHERE state = 3 ORDER BY id DESC LIMIT ?"


def main() -> None:
    order = json.loads(sys.argv[1])
    tails = {name: tail(order[name], order["lines"]) for name in ("log", "crawler")}
    print(json.dumps({**frontier(order), **tails}))


def frontier(order: dict[str, Any]) -> dict[str, Any]:
    """The captures that were confirmed last, and the URLs that failed, newest first."""
    path, lines = order["frontier"], order["lines"]
    if not os.path.exists(path):
        return {"captured": [], "failed": []}
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)
    try:
        return {
            "captured": connection.execute(DONE, (lines,)).fetchall(),
            "failed": connection.execute(FAILED, (lines,)).fetchall(),
        }
    finally:
        connection.close()


def tail(path: str, lines: int) -> list[str]:
    """The last lines of a file; none when there is no such file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    main()
