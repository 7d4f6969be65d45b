"""What the test image's crawler writes: WARC files that roll over, and its state in YAML."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab.zimit.web import Exchange


def stamp() -> str:
    """The time as it stands in file names: to the millisecond, digits only."""
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")[:17]


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _record(kind: str, fields: list[tuple[str, str]], block: bytes) -> bytes:
    lines = ["WARC/1.1", f"WARC-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += [f"WARC-Block-Digest: {_digest(block)}", f"Content-Length: {len(block)}", "", ""]
    return gzip.compress("\r\n".join(lines).encode() + block + b"\r\n\r\n", 5)


def _id() -> str:
    return f"<urn:uuid:{uuid.uuid4()}>"


class Writer:
    """One worker's WARC files: the answer first, then its request, as Browsertrix has it."""

    def __init__(self, archive: Path, crawl_id: str, worker: int, rollover: int) -> None:
        self.path = archive
        self._archive = archive
        self._crawl_id = crawl_id
        self._worker = worker
        self._rollover = rollover
        self._size = rollover
        self._lock = threading.Lock()
        self.torn = False

    def write(self, exchange: Exchange) -> None:
        """Append an exchange; OSError when the disk is full."""
        with self._lock:
            if self._size >= self._rollover:
                self._begin()
            response_id, now = _id(), datetime.now(UTC).isoformat().replace("+00:00", "Z")
            shared = [("WARC-Target-URI", exchange.url), ("WARC-Date", now)]
            answer = [
                ("WARC-Record-ID", response_id),
                *shared,
                ("WARC-IP-Address", exchange.ip),
                ("WARC-Payload-Digest", _digest(exchange.body)),
                ("Content-Type", "application/http; msgtype=response"),
            ]
            asked = [
                ("WARC-Record-ID", _id()),
                *shared,
                ("WARC-Concurrent-To", response_id),
                ("Content-Type", "application/http; msgtype=request"),
            ]
            members = _record("response", answer, exchange.response)
            if self.torn:
                self._append(members[: len(members) // 2])
                os._exit(137)  # as if somebody had killed it in the middle of a write
            self._append(members)
            self._append(_record("request", asked, exchange.request))

    def _begin(self) -> None:
        name = f"rec-{self._crawl_id}-{stamp()}-{self._worker}.warc.gz"
        self.path = self._archive / name
        self._size = 0
        block = b"software: the lab's crawler\r\nformat: WARC File Format 1.1\r\n"
        fields = [
            ("WARC-Record-ID", _id()),
            ("WARC-Date", datetime.now(UTC).isoformat().replace("+00:00", "Z")),
            ("WARC-Filename", name),
            ("Content-Type", "application/warc-fields"),
        ]
        self._append(_record("warcinfo", fields, block))

    def _append(self, data: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(data)
        self._size += len(data)


def save_state(path: Path, state: dict[str, list[str]], seeds: list[str], broken: bool) -> None:
    """Write the state as js-yaml does: plain URLs, queue entries as quoted JSON."""
    lines = ["collection: crawl", "seeds:", *(f"  - {_scalar(seed)}" for seed in seeds), "state:"]
    for name, entries in state.items():
        lines.append(f"  {name}:" if entries else f"  {name}: []")
        lines += [f"    - {_scalar(each)}" for each in entries]
    text = "\n".join([*lines, "  sitemapDone: false", ""])
    if broken:
        text = text[: len(text) // 2] + "\n  : [ {"
    path.write_text(text, encoding="utf-8")


def _scalar(text: str) -> str:
    if text.startswith("http"):
        return text
    return "'" + text.replace("'", "''") + "'"


def load_state(path: Path) -> dict[str, Any]:
    """The state of a configuration that HealthArchive wrote, which is JSON."""
    state = json.loads(path.read_text(encoding="utf-8"))["state"]
    for name in ("finished", "queued", "pending", "failed", "errors"):
        if not isinstance(state[name], list):
            raise ValueError(f"{name} is no list")
    return dict(state)
