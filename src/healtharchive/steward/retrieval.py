"""Everything back from one target: its files, verified, and the rows that they need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from healtharchive.model import wire
from healtharchive.model.copies import CopyState, note_copy
from healtharchive.model.errors import SetupError
from healtharchive.model.kept_list import KEPT_NAME, parse_list
from healtharchive.model.layout import MANIFEST_NAME
from healtharchive.model.local_readings import note_reading
from healtharchive.model.restoration import KeptJob, restore_kept_job
from healtharchive.model.segments import segment_files_of
from healtharchive.model.shipments import (
    FetchOrder,
    Listing,
    ListOrder,
    ReadOrder,
    ShipReport,
    TargetOrder,
    Wanted,
)
from healtharchive.model.source import SourceDefinition
from healtharchive.model.suppression import Suppression
from healtharchive.model.targets import Target, get_target
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What came back. `missing` are files that the target's manifests promise and that it lacks.

    `fetched` are the names of those that were read there, whole and right.
    """

    jobs: int
    fetched: tuple[str, ...]
    missing: tuple[str, ...]


def retrieve(means: StewardMeans, name: str, tell: Tell) -> Retrieved:
    """Bring back every job that the target holds; what is there already is left as it is.

    SetupError when the target cannot be read: what came back until then stays, and the next call
    goes on from there. `tell` hears a line for each job.
    """
    with means.database.read() as connection:
        target = get_target(connection, name)
    found = _listings(means, target)
    if not found:
        raise SetupError(
            f"Target '{name}' holds no job: nothing was brought back.",
            "`healtharchive storage probe` shows whether it is the right place.",
        )
    fetched: list[str] = []
    missing: list[str] = []
    for listing in sorted(found, key=lambda each: str(each.facts.get("created_at") or "")):
        tell(f"{listing.directory}: {len(listing.lines)} WARC files")
        got, lost = _fetch(means, target, listing)
        fetched += got
        missing += lost
        _restore(means, listing)
    return Retrieved(len(found), tuple(fetched), tuple(missing))


def note_copies(means: StewardMeans, name: str, fetched: Collection[str]) -> int:
    """Write that the segments which were fetched have their copy on the target; how many.

    What was here already was not read there: shipping or fixity finds out how it is.
    """
    noted = 0
    read = frozenset(fetched)
    with means.database.begin() as connection:
        for segment in segment_files_of(connection):
            if segment.name not in read:
                continue
            good, actor, why = CopyState.VERIFIED, means.actor, f"it was fetched from {name}"
            note_copy(means.database, connection, segment, name, good, actor=actor)
            note_reading(means.database, connection, segment, good, actor=actor, why=why)
            noted += 1
    return noted


def kept_suppressions(means: StewardMeans, name: str) -> list[Suppression]:
    """What the archive whose bytes lie on the target did not show. SetupError, BadInput."""
    with means.database.read() as connection:
        target = get_target(connection, name)
    reports = _carried(means, target, ReadOrder((KEPT_NAME,)))
    texts = [each.text for each in reports if each.kind == "read"]
    return [each for text in texts for each in parse_list(text.encode(), f"{name}: {KEPT_NAME}")]


def _listings(means: StewardMeans, target: Target) -> list[Listing]:
    reports = _carried(means, target, ListOrder())
    return [each.listing for each in reports if each.listing is not None]


def _fetch(means: StewardMeans, target: Target, listing: Listing) -> tuple[list[str], list[str]]:
    """Fetch what is not there with the right size; the names, and what the target has not."""
    root = means.settings.jobs_root / listing.directory
    root.mkdir(parents=True, exist_ok=True)
    wanted = tuple(
        Wanted(
            f"{listing.directory}/{line['name']}",
            int(line["size_bytes"]),
            str(line["sha256"]),
            str(root / line["name"]),
        )
        for line in listing.lines
        if not _has_size(root / line["name"], int(line["size_bytes"]))
    )
    lost: list[str] = []
    fetched: list[str] = []
    if wanted:
        for report in _carried(means, target, FetchOrder(wanted)):
            if report.kind == "fetched":
                fetched.append(report.name)
            elif report.kind == "failed":
                lost.append(f"{report.name}: {report.reason}")
    _write_manifest(root / MANIFEST_NAME, listing)
    return fetched, lost


def _restore(means: StewardMeans, listing: Listing) -> None:
    """The job's row from the facts beside its files; a rebuild makes a plainer one without them."""
    facts = listing.facts
    if not facts.get("definition"):
        return
    kept = KeptJob(
        source=wire.from_plain(SourceDefinition, facts["definition"]),
        campaign=facts.get("campaign"),
        campaign_kind=facts.get("campaign_kind") or "",
        campaign_year=facts.get("campaign_year"),
        output_dir=str(means.settings.jobs_root / listing.directory.rpartition("/")[0]),
        fence=max((int(line.get("fence") or 0) for line in listing.lines), default=0),
        config=facts.get("config") or {},
        outcome=facts.get("outcome"),
        counts={name: int(value) for name, value in (facts.get("counts") or {}).items()},
        created_at=_moment(facts.get("created_at")),
        started_at=_moment(facts.get("started_at")),
        finished_at=_moment(facts.get("finished_at")),
    )
    with means.database.begin() as connection:
        restore_kept_job(means.database, connection, kept, actor=means.actor)


def _carried(
    means: StewardMeans, target: Target, work: ListOrder | FetchOrder | ReadOrder
) -> list[ShipReport]:
    order = TargetOrder(target.definition, work, target.identity or "")
    reports = list(carry(order, means.stop, stall_seconds=means.settings.ship_stall_seconds))
    end = reports[-1]
    if end.outcome != "complete":
        raise SetupError(
            f"Target '{target.name}' cannot be read: {end.reason}.",
            "Mend it and repeat the command: it goes on where it was.",
            playbook="targetdown",
        )
    return reports


def _write_manifest(path: Path, listing: Listing) -> None:
    fresh = path.with_name(f"{path.name}.fetched")
    with fresh.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in listing.lines)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, path)


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.exists() and path.stat().st_size == size_bytes


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
