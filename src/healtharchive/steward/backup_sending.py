"""A backup on a target, in a child: the database should survive the machine as its WARCs do."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from healtharchive.model.blame import classify
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.layout import MANIFEST_NAME
from healtharchive.model.shipments import Parcel
from healtharchive.steward.backup_files import (
    DIGEST_END,
    FACTS_END,
    SendOrder,
    kept_in,
    read_facts,
)
from healtharchive.steward.backup_retired import send_retired
from healtharchive.steward.delegating import Tell
from healtharchive.storage.manifest import lines_of
from healtharchive.storage.object_look import require_identity
from healtharchive.storage.places import Place, partial_name, place_for
from healtharchive.storage.shipping import ship_one
from healtharchive.storage.throttle import Throttle

TOKEN = "backup"


def send(order: SendOrder, tell: Tell) -> dict[str, Any]:
    """Send the backup, read it back whole, and take older ones away; how many bytes went."""
    directory = Path(order.directory)
    backup = read_facts(directory, order.name)
    if backup is None:
        raise SetupError(f"The backup {order.name} is not in {directory} any more.")
    parcel = Parcel(
        path=str(directory / order.name),
        name=f"{order.place}/{order.name}",
        size_bytes=backup.size_bytes,
        sha256=backup.sha256,
        sealed_at=backup.made_at.isoformat(),
    )
    bucket = Throttle(order.target.bytes_per_second)
    try:
        with contextlib.closing(place_for(order.target, os.environ)) as place:
            require_identity(place, order.target, order.identity)
            receipt = ship_one(
                place,
                parcel,
                token=TOKEN,
                throttle=bucket,
                tell=lambda step, done: tell(f"{step}: {done} bytes"),
            )
            for end in (FACTS_END, DIGEST_END):
                content = (directory / f"{order.name}{end}").read_bytes()
                place.replace(f"{order.place}/{order.name}{end}", content)
            _forget(place, order)
            if order.retired:
                send_retired(place, Path(order.retired), order.place, tell)
            _remove_partials(place, order, [each.name for each in kept_in(directory)])
    except HealthArchiveError:
        raise
    except OSError as error:
        reason = f"{classify(error).reason}: {error.strerror or error}"
        raise SetupError(
            f"Target '{order.target.name}' did not take the backup {order.name}: {reason}.",
            "`healtharchive storage status` shows how it is.",
        ) from error
    return {"sent_bytes": receipt.sent_bytes, "removed": len(order.outdated)}


def _forget(place: Place, order: SendOrder) -> None:
    """Take away older ones, only after the new one was read back; their manifest lines too."""
    gone = set(order.outdated) - {order.name}
    if not gone:
        return
    for name in sorted(gone):
        for end in ("", FACTS_END, DIGEST_END):
            place.remove(f"{order.place}/{name}{end}")
    left = [line for line in lines_of(place, order.place) if line["name"] not in gone]
    text = "".join(json.dumps(line) + "\n" for line in left)
    place.replace(f"{order.place}/{MANIFEST_NAME}", text.encode())


def _remove_partials(place: Place, order: SendOrder, names: Iterable[str]) -> None:
    """What is left of copies that were interrupted, and whose turn a newer backup then took."""
    for name in names:
        if name != order.name:
            place.remove(partial_name(f"{order.place}/{name}", TOKEN))
