"""Whose archive it is: root works as that user, so that nothing is left that only root can use."""

from __future__ import annotations

import os
import pwd

from healtharchive.model.errors import SetupError
from healtharchive.settings import Settings

ROOT = 0


def act_as_owner(settings: Settings) -> None:
    """Where root runs this, go on as the owner of data_dir; `as_root` still has root's power."""
    if os.geteuid() != ROOT:
        return
    try:
        owner = pwd.getpwuid(settings.data_dir.stat().st_uid)
    except OSError as error:
        raise SetupError(
            f"The data directory {settings.data_dir} cannot be used: {error.strerror}.",
            "Set HEALTHARCHIVE_DATA_DIR, or run `healtharchive install`.",
        ) from error
    except KeyError:
        raise SetupError(
            f"The data directory {settings.data_dir} belongs to nobody of this machine.",
            f"chown healtharchive: {settings.data_dir}",
        ) from None
    if owner.pw_uid == ROOT:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setegid(owner.pw_gid)
    os.seteuid(owner.pw_uid)


def as_root() -> int | None:
    """The user for a child that needs root's power: root where we began as root, else our own."""
    return ROOT if os.getuid() == ROOT else None
