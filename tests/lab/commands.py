"""Commands of the program run in this process, as somebody with an archive's settings runs them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from healtharchive.cli.main import main
from tests.lab.archive import Archive

Run = Callable[..., tuple[int, str, str]]


def in_process(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """What runs one: its exit code, what it printed, what it complained of.

    Further settings are given by name: `run("config", DATA_DIR="/elsewhere")`.
    """

    def command(*words: str, **settings: str) -> tuple[int, str, str]:
        chosen = {f"HEALTHARCHIVE_{name}": value for name, value in settings.items()}
        with monkeypatch.context() as patch:
            for name, value in {**archive.environment, **chosen}.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = main(list(words))
            said = capsys.readouterr()
            return code, said.out, said.err

    return command
