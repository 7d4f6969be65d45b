"""The `[stall]` table of a source's file: what is left out is a setting's, a mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.crawl.sources import load_file
from healtharchive.model import wire
from healtharchive.model.errors import BadInput
from healtharchive.model.source import SourceDefinition, StallRules
from tests.unit.test_sources import GOOD


def test_what_is_left_out_is_the_settings_business(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text(GOOD)
    assert load_file(file).stall == StallRules()
    file.write_text(f"{GOOD}\n[stall]\nseconds = 7200.0\npages_per_hour = 5\n")
    stall = load_file(file).stall
    assert (stall.seconds, stall.pages_per_hour, stall.restarts_per_day) == (7200.0, 5.0, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("second = 5", "there is no setting 'second'"),
        ("seconds = 5", "stall.seconds is 5, but it must be from 10 to 604800"),
        ("error_share = 1.5", "stall.error_share is 1.5, but it must be from 0 to 1"),
        ('restarts_per_day = "many"', "integer"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "city.toml"
    file.write_text(f"{GOOD}\n[stall]\n{line}\n")
    with pytest.raises(BadInput) as error:
        load_file(file)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_definition_that_was_stored_before_there_were_stall_rules_is_read(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text(GOOD)
    stored = wire.to_plain(load_file(file))
    del stored["stall"]
    assert wire.from_plain(SourceDefinition, stored).stall == StallRules()
