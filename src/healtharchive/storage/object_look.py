"""A look at a target through its place: connect, identity, list, and write, read, delete."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace

from healtharchive.model.blame import classify
from healtharchive.model.shipments import ObjectInspection
from healtharchive.model.target import TargetDefinition, Verdict
from healtharchive.storage.identity import FILE_NAME
from healtharchive.storage.inspection import VERDICTS
from healtharchive.storage.places import Place, content

CONNECTION_VERDICTS = {errno.ETIMEDOUT: Verdict.HUNG}


def inspect_place(
    connect: Callable[[], Place], definition: TargetDefinition, identity: str, adopt: bool
) -> ObjectInspection:
    """Whether the target can be used, and if not, at which step it failed.

    `connect` gives the place. A target with another identity than the expected one, or with none,
    is not written to; one with none gets ours with `adopt`. It raises only what is no OSError.
    """
    began = time.monotonic()
    found = ObjectInspection(Verdict.HEALTHY, step="connect")
    try:
        place = connect()
        with contextlib.closing(place):
            for step, look in (("identity", _identity), ("list", _list), ("write", _write)):
                found = replace(found, step=step)
                found = look(place, definition, identity, adopt, found)
                if found.verdict is not Verdict.HEALTHY:
                    break
    except OSError as error:
        number = error.errno or errno.EIO
        verdict = VERDICTS.get(number) or CONNECTION_VERDICTS.get(number) or Verdict.IO_ERROR
        reason = f"{found.step}: {classify(error).reason} ({error.strerror})"
        found = replace(found, verdict=verdict, errno=number, detail=reason)
    return replace(found, elapsed_seconds=time.monotonic() - began)


def identity_in(place: Place) -> str:
    """The id in the target's identity file; empty when it has none, or none that we wrote."""
    try:
        return str(json.loads(content(place, FILE_NAME) or b"{}")["id"])
    except (ValueError, TypeError, KeyError):
        return ""


def require_identity(place: Place, definition: TargetDefinition, identity: str) -> None:
    """OSError (ENODEV) when this is not the target it should be. Anything goes without identity."""
    if identity and (shown := identity_in(place)) != identity:
        what = f"not this target: its identity is {shown or 'missing'}, expected {identity}"
        raise OSError(errno.ENODEV, what, definition.root)


def _identity(
    place: Place, definition: TargetDefinition, identity: str, adopt: bool, found: ObjectInspection
) -> ObjectInspection:
    marked = content(place, FILE_NAME) is not None
    if identity and adopt and not marked:
        text = json.dumps({"target": definition.name, "id": identity}) + "\n"
        place.replace(FILE_NAME, text.encode())
    shown = identity_in(place)
    if identity in ("", shown):
        return replace(found, identity=shown)
    detail = f"identity: it is {shown or 'missing'}, expected {identity}"
    return replace(found, identity=shown, verdict=Verdict.WRONG_MOUNT, detail=detail)


def _list(
    place: Place, definition: TargetDefinition, identity: str, adopt: bool, found: ObjectInspection
) -> ObjectInspection:
    place.entries("")
    disk_bytes, free_bytes = place.space()
    return replace(found, disk_bytes=disk_bytes, free_bytes=free_bytes)


def _write(
    place: Place, definition: TargetDefinition, identity: str, adopt: bool, found: ObjectInspection
) -> ObjectInspection:
    name, written = f".probe-{os.getpid()}-{os.urandom(4).hex()}", os.urandom(64)
    try:
        place.replace(name, written)
        if content(place, name) != written:
            raise OSError(errno.EIO, "what was written is not what is read", name)
    finally:
        with contextlib.suppress(OSError):
            place.remove(name)
    return found
