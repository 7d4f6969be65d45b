"""Named fields: the `Name: value` lines of a WARC record's header or of an HTTP message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# The empty line after the fields. Servers and old tools also write bare line feeds.
END_OF_FIELDS = re.compile(rb"\n\r?\n")


class NamedFields(Mapping[str, str]):
    """Fields in their order, looked up without regard to case; of a repeated one, the first.

    `pairs` has every field as it was written, repeated ones too; `malformed` the lines that are
    no fields.
    """

    __slots__ = ("_first", "malformed", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...], malformed: tuple[str, ...] = ()) -> None:
        self.pairs = pairs
        self.malformed = malformed
        # Reversed, so that the first of a repeated field is the one that stays.
        self._first = {name.lower(): value for name, value in reversed(pairs)}

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self.pairs))

    def __len__(self) -> int:
        return len(self._first)

    def __repr__(self) -> str:
        return f"NamedFields({self.pairs!r})"

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may be repeated, in order."""
        wanted = name.lower()
        return tuple(value for each, value in self.pairs if each.lower() == wanted)


def parse(head: bytes) -> tuple[str, NamedFields]:
    """The first line (a version, a status or a request line) and the fields after it.

    Never raises: a line that is no field is listed as malformed. A line that begins with a blank
    continues the one before (WARC 1.1 §4, RFC 9112 §5.2).
    """
    first, *lines = decode(head).split("\n")
    pairs: list[tuple[str, str]] = []
    malformed: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and pairs:
            before, begun = pairs[-1]
            pairs[-1] = (before, f"{begun} {line.strip()}".strip())
        elif colon and name.strip():
            pairs.append((name.strip(), value.strip()))
        elif line.strip():
            malformed.append(line.strip())
    return first.strip(), NamedFields(tuple(pairs), tuple(malformed))


def decode(head: bytes) -> str:
    """Header bytes as text: UTF-8, and Latin-1 for the lines that are not."""
    try:
        return head.decode()
    except UnicodeDecodeError:
        return "\n".join(_decode_line(line) for line in head.split(b"\n"))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
