"""The crawler's own state: what Browsertrix saves of its queue, and what it continues from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healtharchive.model.blame import EngineMissing
from healtharchive.model.errors import INSTALL_PACKAGES
from healtharchive.warc.segment import fsync_directory

COPY_NAME = "crawler-state.yaml"
BROKEN_SUFFIX = ".broken"
STATE_BYTES = 1 << 30
NEEDED = ("queued", "pending", "failed", "errors")  # in the order in which they are written


class BrokenState(Exception):
    """A state file that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A state file that was read. The queue's entries are JSON texts, as the crawler has them.

    `finished` are pages that it is done with; what it had begun or left out is not among them.
    """

    config: dict[str, Any] = field(default_factory=dict)
    finished: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def queued_urls(self) -> Iterator[str]:
        """The pages that it has still to visit."""
        return filter(None, map(url_of, self.queued))

    @property
    def failed_urls(self) -> Iterator[str]:
        """The pages that it gave up."""
        return filter(None, map(url_of, self.failed))


def load(path: Path) -> Saved:
    """Read a state file. BrokenState when it is none, or cut off."""
    try:
        if path.stat().st_size > STATE_BYTES:
            raise BrokenState("it is too large to be one")
        return _saved(_parse(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise BrokenState(f"it cannot be read: {first}") from error


def newest(paths: Iterable[Path]) -> tuple[Saved | None, Path | None, list[tuple[Path, str]]]:
    """The first state that can be used, its file, and the broken ones before it with reasons."""
    broken: list[tuple[Path, str]] = []
    for path in paths:
        try:
            return load(path), path, broken
        except BrokenState as error:
            broken.append((path, str(error)))
        except OSError:
            continue
    return None, None, broken


def keep_copy(path: Path, state_dir: Path) -> None:
    """Copy a state file to where the job's frontier is, durably, replacing the one before."""
    final = state_dir / COPY_NAME
    fresh = final.with_name(f"{COPY_NAME}.new")
    with fresh.open("wb") as stream:
        stream.write(path.read_bytes())
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(fresh, final)
    fsync_directory(state_dir)


def set_aside(path: Path) -> None:
    """Rename a broken state file so that nobody takes it for a state again."""
    try:
        os.rename(path, path.with_name(path.name + BROKEN_SUFFIX))
    except OSError:
        return  # it is another user's: it will be found broken again


def resume_config(
    saved: Saved, is_settled: Callable[[str], bool], waiting: Iterable[str]
) -> dict[str, Any]:
    """What the crawler is to continue from: its own state, put right by our frontier.

    A page that it calls finished, but of which we hold no record, goes back to its queue, as does
    what waits in our frontier and is unknown to it. Nothing that is done is visited again.
    """
    finished: list[str] = []
    lost: list[str] = []
    for url in saved.finished:
        (finished if is_settled(url) else lost).append(url)
    failed = [entry for entry in saved.failed if is_settled(url_of(entry))]
    known = {*saved.finished, *saved.queued_urls, *map(url_of, failed)}
    lost += [url for url in dict.fromkeys(waiting) if url not in known]
    retried = [url_of(entry) for entry in saved.failed if entry not in set(failed)]
    lost += [url for url in retried if url and url not in set(lost)]
    state = dict(saved.config.get("state") or {})
    state.update(
        finished=finished,
        queued=[*saved.queued, *map(entry_for, lost)],
        pending=[],
        failed=failed,
        errors=list(state.get("errors") or []),
    )
    # Older versions of the crawler count from `done` what newer ones count from `finished`.
    state.pop("done", None)
    return {**saved.config, "state": state}


def entry_for(url: str) -> str:
    """A queue entry for a page of which we know no more than its URL."""
    return json.dumps({"url": url, "seedId": 0, "depth": 1, "extraHops": 0})


def write_config(config: dict[str, Any], path: Path) -> None:
    """Write it as JSON, which is YAML too; readable for whoever runs in the container."""
    path.write_text(json.dumps(config), encoding="utf-8")
    path.chmod(0o644)


def url_of(entry: object) -> str:
    """The URL of a queue entry, which is JSON text or, in some versions, a mapping."""
    if isinstance(entry, str):
        try:
            entry = json.loads(entry)
        except ValueError:
            return ""
    return str(entry.get("url", "")) if isinstance(entry, dict) else ""


def _parse(text: str) -> object:
    if text.lstrip().startswith("{"):
        return json.loads(text)
    try:
        import yaml  # type: ignore[import-untyped]  # late: only this engine needs it
    except ImportError as error:
        raise EngineMissing(
            f"PyYAML is not installed; the crawler's state is YAML. Run: {INSTALL_PACKAGES}"
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _saved(document: object) -> Saved:
    if not isinstance(document, dict) or not isinstance(document.get("state"), dict):
        raise BrokenState("it holds no state")
    state = document["state"]
    # A file that was cut off between two lines is good YAML, and a queue without its end.
    missing = [name for name in NEEDED if name not in state]
    if missing:
        raise BrokenState(f"it is cut off: it has no {missing[0]}")
    queued, pending = _texts(state, "queued"), _texts(state, "pending")
    # It counts a page as seen from its discovery on: what it has begun, left out or given up is
    # listed among the finished ones too.
    begun = {*map(url_of, pending), *_texts(state, "excluded")}
    finished = tuple(url for url in _texts(state, "finished") if url not in begun)
    return Saved(document, finished, (*queued, *pending), _texts(state, "failed"))


def _texts(state: dict[str, Any], name: str) -> tuple[str, ...]:
    entries = state.get(name)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise BrokenState(f"its {name} is no list")
    return tuple(each if isinstance(each, str) else json.dumps(each) for each in entries)
