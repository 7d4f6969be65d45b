"""`healtharchive changes` and `healtharchive compare`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from healtharchive.cli.main import main
from healtharchive.model.tables import archive_jobs, changes
from tests.integration.test_changes_on_the_web import LATER, SITE, Archive
from tests.lab.processes import without_settings


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    for name in set(os.environ) - set(without_settings()):
        monkeypatch.delenv(name)
    archive = Archive(tmp_path)
    monkeypatch.setenv("HEALTHARCHIVE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HEALTHARCHIVE_DATABASE_URL", archive.settings.database_url)
    (tmp_path / "backend.env").touch()
    monkeypatch.setenv("HEALTHARCHIVE_ENV_FILE", str(tmp_path / "backend.env"))
    return archive


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_changes_are_listed(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "changes", "--source", "lab", "--order", "score", "--min-score", "0.7")
    assert {each["url"].removeprefix(SITE) for each in found} == {"/dose", "/safety"}
    assert ask(capsys, "changes", "--since", f"{LATER.year + 1}-01-01") == []
    assert main(["changes", "--url", SITE + "/dose"]) == 0
    said = capsys.readouterr().out
    assert "+ Adults take 50 mg once daily with water." in said
    assert "1 changes." in said


def test_they_can_be_computed_anew(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> list[tuple[str, float]]:
        return [(each["url"], each["score"]) for each in ask(capsys, "changes")]

    before = told()
    with archive.database.begin() as connection:
        connection.execute(delete(changes))
    assert main(["changes", "--compute"]) == 0  # all is compared already
    capsys.readouterr()
    assert told() == []
    assert main(["changes", "--compute", "--again", "--source", "lab"]) == 0
    capsys.readouterr()
    assert sorted(told()) == sorted(before)
    with archive.database.read() as connection:
        upto = list(connection.execute(select(archive_jobs.c.compared_upto)).scalars())
    assert all(upto)


def test_two_captures_are_compared(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = archive.pair("/dose")
    assert main(["compare", str(old), str(new)]) == 0
    said = capsys.readouterr().out
    assert "\n\n## Dosage\n" in said
    assert "- Adults take 5 mg once daily with water." in said
    assert "+ Adults take 50 mg once daily with water." in said
    assert ask(capsys, "compare", str(old), str(new))["weight"]["score"] > 0.7


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("compare", "1", "9999"), "There is no capture 9999"),
        (("changes", "--since", "tomorrow"), "'tomorrow' is no day."),
        (("changes", "--source", "nobody"), "nobody"),
        (("changes", "--again"), "Give --compute with it."),
        (("changes", "--min-score", "7"), "min-score"),
    ],
)
def test_bad_input_is_one_sentence(
    archive: Archive, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert main(list(words)) != 0
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
