"""A backup fetched from a target, in a child: the machine that made it may be gone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from healtharchive.model.blame import classify
from healtharchive.model.errors import BadInput, HealthArchiveError, NotFound, SetupError
from healtharchive.model.wire import from_line
from healtharchive.steward.backup_files import (
    FACTS_END,
    NAME,
    REMOTE_DIRECTORY,
    Backup,
    FetchOrder,
    read_facts,
)
from healtharchive.steward.backup_making import (
    alone_in,
    digest_of,
    make_directory,
    publish,
    remove_partials,
    require_room,
    writing,
)
from healtharchive.steward.backup_retired import fetch_retired
from healtharchive.steward.delegating import Tell
from healtharchive.storage.object_look import require_identity
from healtharchive.storage.places import Place, content, place_for


def fetch(order: FetchOrder, tell: Tell) -> dict[str, Any]:
    """Have the backup in the directory, whole; its name and where it lay.

    NotFound and BadInput when it cannot be told which is meant; SetupError when it cannot be had.
    """
    try:
        with contextlib.closing(place_for(order.target, os.environ)) as place:
            require_identity(place, order.target, order.identity)
            archive = _archive(place, order)
            backup = _wanted(place, order, archive)
            beside = f"{REMOTE_DIRECTORY}/{archive}"
            came = _brought(place, f"{beside}/{backup.name}", backup, order, tell)
            retired = Path(order.retired)
            files = fetch_retired(place, beside, retired, tell) if order.retired else 0
    except HealthArchiveError:
        raise
    except OSError as error:
        reason = f"{classify(error).reason}: {error.strerror or error}"
        raise SetupError(
            f"Target '{order.target.name}' did not give its backup: {reason}.",
            "`healtharchive storage status` shows how it is.",
        ) from error
    return {
        "name": backup.name,
        "archive": archive,
        "rows": backup.facts.rows,
        "came": came,
        "retired_files": files,
    }


def _archive(place: Place, order: FetchOrder) -> str:
    """Whose backups are meant: those asked for, else our own, else the only ones."""
    found = [each.name for each in place.entries(REMOTE_DIRECTORY) if each.is_directory]
    target = order.target.name
    if not found:
        raise NotFound(
            f"There is no backup on target '{target}'.",
            "`healtharchive storage probe` shows whether it is the right place.",
        )
    listed = ", ".join(found)
    if order.archive and order.archive not in found:
        raise NotFound(
            f"Target '{target}' has no backups of '{order.archive}'.", f"It has those of: {listed}."
        )
    if order.archive or order.own in found:
        return order.archive or order.own
    if len(found) > 1:
        raise BadInput(
            f"Target '{target}' has backups of several archives: {listed}.",
            "Name one of them with `--archive`.",
        )
    return found[0]


def _wanted(place: Place, order: FetchOrder, archive: str) -> Backup:
    """The backup asked for, else the newest, as the file beside it describes it."""
    directory = f"{REMOTE_DIRECTORY}/{archive}"
    there = sorted(each.name for each in place.entries(directory) if NAME.fullmatch(each.name))
    if not there or (order.name and order.name not in there):
        what = f"no backup '{order.name}'" if order.name else "no backup"
        raise NotFound(
            f"Target '{order.target.name}' has {what} of '{archive}'.",
            f"It has: {', '.join(there) or 'none'}.",
        )
    name = order.name or there[-1]
    text = content(place, f"{directory}/{name}{FACTS_END}")
    try:
        backup = from_line(Backup, text or b"")
    except ValueError:
        backup = None
    if backup is None or backup.name != name:
        raise SetupError(
            f"Beside {name} on target '{order.target.name}' it is not written what is in it.",
            f"Name another of: {', '.join(there)}.",
        )
    return backup


def _brought(place: Place, source: str, backup: Backup, order: FetchOrder, tell: Tell) -> bool:
    """Have the backup in the directory under its name; False when it was there, and whole."""
    directory = Path(order.directory)
    make_directory(directory)
    with alone_in(directory):
        if _is_there(directory, backup, tell):
            return False
        _refuse_another(directory, backup, tell)
        remove_partials(directory)
        require_room(directory, backup.size_bytes)
        part = directory / f"{backup.name}.part"
        try:
            found = _copy(place, source, part, tell)
            if found != backup.sha256:
                raise SetupError(
                    f"The backup {backup.name} on target '{order.target.name}' is damaged: its "
                    f"SHA-256 is {found}, it was made with {backup.sha256}.",
                    "Fetch it from another target, or name an older one.",
                )
            publish(part, backup)
        finally:
            remove_partials(directory)
    return True


def _is_there(directory: Path, backup: Backup, tell: Tell) -> bool:
    path = directory / backup.name
    return path.is_file() and digest_of(path, tell, "read") == backup.sha256


def _refuse_another(directory: Path, backup: Backup, tell: Tell) -> None:
    """A good backup of another archive, made in the same second, is not replaced."""
    own = read_facts(directory, backup.name)
    path = directory / backup.name
    if own is None or own.sha256 == backup.sha256 or not path.is_file():
        return
    if digest_of(path, tell, "read") == own.sha256:
        raise SetupError(
            f"{path} is another backup of this name, and whole.",
            "Move it elsewhere, with the two files beside it, and repeat the command.",
        )


def _copy(place: Place, source: str, part: Path, tell: Tell) -> str:
    """Write the file that lies there; the SHA-256 of what came."""
    with writing(part) as (file, seen):
        for piece in place.read(source, fresh=True):
            seen.update(piece)
            file.write(piece)
            tell(f"fetch: {file.tell()} bytes")
    return seen.hexdigest()
