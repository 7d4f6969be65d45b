"""Places: bytes on a target, the same for a directory, an SFTP server and an S3 bucket.

Only short-lived children with a deadline use a place: any call may hang.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from healtharchive.model.blame import EngineMissing
from healtharchive.model.errors import INSTALL_PACKAGES, BadInput, SetupError
from healtharchive.model.target import TargetDefinition, TargetKind

PIECE_BYTES = 1 << 20
# Called with the size of each piece that was, or is to be, moved: it may wait, and it may raise.
Watch = Callable[[int], None]

_PARTIAL = re.compile(r"(?P<final>.+)\.part(\.[A-Za-z0-9_-]+)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a directory; `name` is its last part."""

    name: str
    is_directory: bool
    size_bytes: int


class Place(Protocol):
    """Bytes under names: relative, with forward slashes. Directories make themselves.

    Errors are OSErrors with an errno (FileNotFoundError for a name that is not there).
    """

    def size(self, name: str) -> int | None:
        """Bytes of a file, or of a partial; None when there is none."""

    def agreed(self, partial: str, source: BinaryIO, watch: Watch) -> int:
        """How many bytes of the source the partial already has; 0 when it must be begun anew."""

    def write(self, partial: str, pieces: Iterable[bytes], start: int) -> None:
        """Append to a partial that has `start` bytes (0: begin anew), and make it durable.

        When `pieces` raises, what was written so far stays for the next attempt.
        """

    def publish(self, partial: str, final: str) -> None:
        """Give a complete partial its final name in one step, over a file that has it already."""

    def read(
        self, name: str, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> Iterator[bytes]:
        """A file's bytes in pieces; `fresh` past the caches of this machine."""

    def replace(self, name: str, content: bytes) -> None:
        """Make a small file have this content: readers see the old or the new one, no mixture."""

    def entries(self, directory: str) -> list[Entry]:
        """What lies in a directory, sorted by name; nothing when it is not there."""

    def remove(self, name: str) -> None:
        """Take a file or a partial away; it may be gone already."""

    def space(self) -> tuple[int, int]:
        """(all, free) bytes; zeros where nobody can tell."""

    def close(self) -> None:
        """Let go of the connection."""


def place_for(
    definition: TargetDefinition, environ: Mapping[str, str], timeout_seconds: float = 30.0
) -> Place:
    """The place a target's definition describes, connected.

    OSError when it cannot be reached (ENODEV: a mount that is not mounted), EngineMissing when a
    library is not installed, SetupError or BadInput when the definition cannot be used.
    """
    if definition.kind is not TargetKind.OBJECT:
        from healtharchive.storage.local_place import LocalPlace

        mounted = definition.kind in (TargetKind.MOUNT, TargetKind.BIND)
        return LocalPlace(definition.root, mounted=mounted, filesystem=definition.filesystem)
    options = resolved(definition, environ)
    url = urlsplit(definition.root)
    if url.scheme == "sftp":
        from healtharchive.storage.sftp_place import SftpPlace

        if not url.hostname:
            raise BadInput(f"Target {definition.name}: {definition.root!r} names no server.")
        user = unquote(url.username or "")
        return SftpPlace(url.hostname, url.port or 22, user, url.path, options, timeout_seconds)
    if url.scheme == "s3":
        from healtharchive.storage.s3_place import S3Place

        return S3Place(url.netloc, url.path.strip("/"), options, timeout_seconds)
    raise BadInput(
        f"Target {definition.name}: {definition.root!r} is no object target.",
        "It begins with sftp:// or s3://.",
    )


def resolved(definition: TargetDefinition, environ: Mapping[str, str]) -> dict[str, str]:
    """The target's options with each `env:NAME` read. SetupError when NAME is not set."""
    options = {}
    for key, value in definition.options.items():
        reference, _, variable = value.partition("env:")
        if reference or not variable:
            options[key] = value
        elif variable in environ:
            options[key] = environ[variable]
        else:
            what = f"Target {definition.name}: its option {key} needs {variable}, which is not set."
            raise SetupError(what, f"Set {variable} in the environment file.")
    return options


def engine(module: str) -> Any:
    """A library that only some targets need; EngineMissing with the cure when it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        library = missing.name or module
        raise EngineMissing(f"{library} is not installed. Run: {INSTALL_PACKAGES}") from missing


def checked(name: str) -> str:
    """The name, if it stays inside its place; BadInput when it does not."""
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise BadInput(f"{name!r} is no name inside a target.")
    return name


def parent(name: str) -> str:
    """The directory a name lies in; empty for the place's root."""
    return name.rpartition("/")[0]


def partial_name(final: str, token: str = "") -> str:
    """Under which name a file is written before it is complete."""
    name = f"{final}.part.{token}" if token else f"{final}.part"
    if not _PARTIAL.fullmatch(name):
        raise BadInput(f"{token!r} is no token of letters, digits, '-' and '_'.")
    return name


def final_name(partial: str) -> str | None:
    """Which file a partial becomes; None when the name is not a partial's."""
    match = _PARTIAL.fullmatch(partial)
    return match["final"] if match else None


def common_prefix(pieces: Iterable[bytes], source: BinaryIO, watch: Watch) -> int:
    """How many bytes `pieces` have if the source begins with all of them; else 0."""
    source.seek(0)
    same = 0
    for piece in pieces:
        watch(len(piece))
        if source.read(len(piece)) != piece:
            return 0
        same += len(piece)
    return same


def digest(place: Place, name: str, watch: Watch) -> tuple[str, int]:
    """SHA-256 (hex) and size of a file, by reading every byte of it again."""
    seen, size = hashlib.sha256(), 0
    for piece in place.read(name, fresh=True):
        watch(len(piece))
        seen.update(piece)
        size += len(piece)
    return seen.hexdigest(), size


def content(place: Place, name: str) -> bytes | None:
    """All of a small file; None when it is not there."""
    try:
        return b"".join(place.read(name, fresh=True))
    except FileNotFoundError:
        return None
