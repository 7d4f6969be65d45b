"""Files in which a person declares things, as TOML: a mistake is named with its file and line."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from healtharchive.model.errors import BadInput

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One file: `noun` is what it is called in sentences, such as `source file`."""

    noun: str
    path: Path
    text: str
    table: dict[str, Any]

    def record(self, kind: type[T], table: dict[str, Any], header: str = "") -> T:
        """The record that a table describes; BadInput names what does not fit.

        `header` is the table's name: its line is named where something is missing.
        """
        from pydantic import TypeAdapter, ValidationError

        self.refuse_unknown(kind, table)
        try:
            return TypeAdapter(kind).validate_python(table)
        except ValidationError as error:
            first = error.errors()[0]
            names = [str(each) for each in first["loc"]]
            inside = [each for each in first["loc"] if isinstance(each, str)]
            line = self.line_of([header, *inside] if header else inside)
            reason = f"{'.'.join(names)}: {first['msg'][0].lower()}{first['msg'][1:]}"
            raise self.bad(line, reason) from error

    def refuse_unknown(self, kind: type[Any], table: dict[str, Any]) -> None:
        """BadInput for a name that the record does not have."""
        known = {field.name for field in dataclasses.fields(kind)}
        for name in table:
            if name not in known:
                raise self.bad(self.line_of([name]), f"there is no setting '{name}'")

    def line_of(self, names: list[str]) -> int | None:
        """The line on which the last of these names is set, or its table begins."""
        for name in reversed(names):
            pattern = re.compile(
                rf"^\s*(?:{re.escape(name)}\s*=|\[+\s*(?:\w+\.)?{re.escape(name)}\s*\]+)"
            )
            for number, line in enumerate(self.text.splitlines(), 1):
                if pattern.match(line):
                    return number
        return None

    def line_with(self, words: str) -> int | None:
        """The first line that has these words."""
        for number, line in enumerate(self.text.splitlines(), 1):
            if words and words in line:
                return number
        return None

    def bad(self, line: int | None, reason: str) -> BadInput:
        """The sentence about this file."""
        return bad_file(self.noun, self.path, line, reason)


def read(noun: str, path: Path) -> Declared:
    """A declaration file; BadInput when it cannot be read or is no TOML."""
    return parse(noun, path, read_text(noun, path))


def read_text(noun: str, path: Path) -> str:
    """A declaration file's text; BadInput when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise bad_file(noun, path, None, f"it cannot be read: {reason}") from error


def parse(noun: str, path: Path, text: str) -> Declared:
    """What the text of a declaration file declares; BadInput when it is no TOML."""
    try:
        return Declared(noun, path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else None
        raise bad_file(noun, path, line, str(error).partition(" (at ")[0]) from error


def bad_file(noun: str, path: Path, line: int | None, reason: str) -> BadInput:
    """The sentence about a file that cannot be used."""
    where = f"{path}, line {line}" if line else str(path)
    return BadInput(f"The {noun} {where} cannot be used: {reason}.", "Correct it and try again.")
