"""The commands that the documentation names, and whether the command line has them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.exceptions import TyperException
from typer.main import get_command

from healtharchive.cli.main import app
from tests.lab.processes import ROOT

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
SHELL = ("console", "sh")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")
BETWEEN = re.compile(r"\s(?:\||\|\||&&|;)\s")
PROGRAM = "healtharchive"


@dataclass(frozen=True, slots=True)
class Command:
    """One command that a page names. `mentioned` in a sentence, it may leave out what it needs."""

    page: str
    words: tuple[str, ...]
    mentioned: bool

    def __str__(self) -> str:
        return f"{self.page}: {PROGRAM} {' '.join(self.words)}"


def pages() -> list[Path]:
    """Every page that people read."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def commands_of(page: Path) -> Iterator[Command]:
    """The commands of our program in a page's shell blocks and between its backticks."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    for _, language, block in FENCE.findall(text):
        if language in SHELL:
            for line in block.replace("\\\n", " ").splitlines():
                yield from _in_line(name, line, mentioned=False)
    for span in INLINE.findall(FENCE.sub("", text)):
        yield from _in_line(name, " ".join(span.split()), mentioned=True)


def _in_line(page: str, line: str, *, mentioned: bool) -> Iterator[Command]:
    for part in BETWEEN.split(line.strip().removeprefix("$ ")):
        try:
            words = shlex.split(part, comments=not mentioned)
        except ValueError:
            continue  # an apostrophe of what a command prints
        rest = _after_prefixes(words)
        if rest and rest[0].rpartition("/")[2] == PROGRAM:
            yield Command(page, tuple(rest[1:]), mentioned)


def _after_prefixes(words: list[str]) -> list[str]:
    """A command without `sudo -u USER` and `NAME=value` before it."""
    while words and ("=" in words[0] or words[0] == "sudo"):
        is_sudo = words[0] == "sudo"
        words = words[1:]
        while is_sudo and words and words[0].startswith("-"):
            words = words[2:]
    return words


def objection(command: Command) -> str:
    """What is wrong with a command; empty when the command line takes it."""
    known, words = _root(), [_filled(each) for each in command.words]
    if words[:1] in (["--help"], ["…"]):
        return ""
    while getattr(known, "commands", None) and words and not words[0].startswith("-"):
        if words[0] not in known.commands:
            if known.invoke_without_command and known.params:
                break
            return f"there is no command {words[0]!r}"
        known, words = known.commands[words[0]], words[1:]
    if command.mentioned and not words:
        return ""
    try:
        known.make_context(known.name, words)
    except TyperException as error:
        missing = type(error).__name__ == "MissingParameter"
        return "" if missing and command.mentioned else error.format_message()
    return ""


@cache
def _root() -> Any:
    return get_command(app)


def _filled(word: str) -> str:
    """A word as somebody would type it: `ID` stands for a number."""
    return "1" if PLACEHOLDER.fullmatch(word) else word
