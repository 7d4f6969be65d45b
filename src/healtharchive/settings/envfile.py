"""Reads an environment file as systemd does (EnvironmentFile=), with the line of each value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.errors import SetupError

# systemd.exec(5): quotes count only where a value begins, so `a=b"c"` keeps its quotes; after a
# closing quote another quoted part may follow; a backslash joins two lines.
_ENTRY = re.compile(
    r"""
    (?P<blank>[ \t\r\f\v]*\n)
  | (?P<comment>[ \t]*[#;](?:\\[\s\S]|[^\\\n])*(?:\n|\Z))
  | [ \t]*(?:export[ \t]+)?(?P<name>[^=\n]*?)[ \t]*=
    (?P<quoted>(?:[ \t]*(?:'[^']*'|"(?:\\[\s\S]|[^"\\])*"))*)
    [ \t]*(?P<plain>(?:\\[\s\S]|[^\\\n])*\\?)(?:\n|\Z)
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(r"""'([^']*)'|"((?:\\[\s\S]|[^"\\])*)\"""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PLAYBOOK = "wrong-database"  # which file is read, and by whom


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `NAME=value` of an environment file."""

    name: str
    value: str
    line: int


def read(path: Path) -> list[Assignment]:
    """Every assignment of the file, in order; SetupError when it cannot be read or understood."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(
            f"The environment file {path} cannot be read: {error.strerror}.",
            f"Make it readable for this user (`chmod`, `chown`; it is a file of settings), "
            f"or point HEALTHARCHIVE_ENV_FILE at another one{_hint(path)}.",
            playbook=PLAYBOOK,
        ) from error
    except UnicodeDecodeError as error:
        line = _line_of_byte(path, error.start)
        raise SetupError(
            f"The environment file {path} is not UTF-8 text (line {line}).",
            "Save it as UTF-8.",
            playbook=PLAYBOOK,
        ) from error
    return list(parse(text, path))


def parse(text: str, path: Path) -> Iterator[Assignment]:
    """The assignments of a text; SetupError names the first line that is none."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    position, line = 0, 1
    while position < len(text):
        match = _ENTRY.match(text, position)
        if match is None or match.end() == position:
            if not text[position:].strip():
                return
            raise _broken(path, line, "is not NAME=value")
        if match["name"] is not None:
            yield _assignment(match, path, line)
        line += text.count("\n", position, match.end())
        position = match.end()


def _assignment(match: re.Match[str], path: Path, line: int) -> Assignment:
    name, plain = match["name"], match["plain"]
    if not _NAME.match(name):
        raise _broken(path, line, f"has no proper name before its '=': '{name}'")
    if plain.startswith(("'", '"')):
        raise _broken(path, line, "opens a quote that is never closed")
    parts = [
        _unescape_quoted(double) if double is not None else single
        for single, double in (m.groups() for m in _QUOTED.finditer(match["quoted"]))
    ]
    return Assignment(name, "".join(parts) + _unescape_plain(plain), line)


# One pass from the left: of `\\` before a line's end, the second backslash joins no lines.
def _unescape_plain(text: str) -> str:
    kept = re.match(r"(?:\s*(?:\\[\s\S]|[^\s\\]))*", text)  # blanks at the end count when escaped
    return re.sub(r"\\([\s\S])", _meant, kept[0] if kept else "")


def _unescape_quoted(text: str) -> str:
    return re.sub(r'\\(["\\`$\n])', _meant, text)


def _meant(escape: re.Match[str]) -> str:
    return "" if escape[1] == "\n" else escape[1]


def _broken(path: Path, line: int, what: str) -> SetupError:
    return SetupError(
        f"Line {line} of the environment file {path} {what}.",
        "Write one NAME=value a line, as in a systemd EnvironmentFile.",
        playbook=PLAYBOOK,
    )


def _line_of_byte(path: Path, offset: int) -> int:
    return path.read_bytes()[:offset].count(b"\n") + 1


def _hint(path: Path) -> str:
    return "" if str(path).startswith("/") else " by its absolute path"
