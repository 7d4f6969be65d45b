"""Source files: the shipped ones are right, and a mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.crawl.sources import load_all, load_file, of_one_site
from healtharchive.model.errors import BadInput

GOOD = """code = "city"
name = "City"

[[seeds]]
url = "https://city.example/"

[scope]
hosts = ["city.example"]
exclude = ["/print/"]

[limits]
pages = 10
"""


def test_the_shipped_sources_cover_both_languages() -> None:
    shipped = load_all(None)
    assert sorted(shipped) == ["cihr", "hc", "phac"]
    for definition in shipped.values():
        assert {seed.language for seed in definition.seeds} == {"en", "fr"}
        assert definition.politeness.delay_seconds >= 1.0


def test_an_operators_file_adds_a_source_or_replaces_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "city.toml").write_text(GOOD)
    (tmp_path / "hc.toml").write_text(GOOD.replace('"city"', '"hc"', 1))
    found = load_all(tmp_path)
    assert found["city"].limits.pages == 10
    assert found["hc"].name == "City"


@pytest.mark.parametrize(
    ("wrong", "right", "line", "reason"),
    [
        ('code = "City!"', 'code = "city"', 1, "small letters"),
        ('name = "City', 'name = "City"', 2, "Illegal character"),
        ('nane = "City"', 'name = "City"', 2, "nane"),
        ('url = "https://other.example/"', 'url = "https://city.example/"', 5, "out of scope"),
        ('url = "ftp://city.example/"', 'url = "https://city.example/"', 5, "not a URL"),
        ("hosts = []", 'hosts = ["city.example"]', 7, "no hosts"),
        ('exclude = ["(open"]', 'exclude = ["/print/"]', 9, "regular expression"),
        ('pages = "ten"', "pages = 10", 12, "integer"),
        ("page = 10", "pages = 10", 12, "page"),
    ],
)
def test_a_mistake_is_named_with_its_file_line_and_reason(
    tmp_path: Path, wrong: str, right: str, line: int, reason: str
) -> None:
    file = tmp_path / "city.toml"
    file.write_text(GOOD.replace(right, wrong, 1))
    with pytest.raises(BadInput) as error:
        load_file(file)
    said = str(error.value)
    assert f"{file}, line {line} " in said
    assert reason in said
    assert "\n" not in said


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_file(tmp_path / "missing.toml")


def test_a_site_by_its_url_is_a_source_of_that_host() -> None:
    source = of_one_site("Example.org/path", pages=5)
    assert source.scope.hosts == ("example.org",)
    assert source.seeds[0].url == "https://example.org/path"
    assert source.limits.pages == 5
    with pytest.raises(BadInput, match="not the URL"):
        of_one_site("mailto:someone")


@pytest.mark.parametrize("seconds", ["-1.0", "604801.0"])
def test_a_bound_for_polite_waits_is_within_a_week(tmp_path: Path, seconds: str) -> None:
    file = tmp_path / "city.toml"
    file.write_text(f"{GOOD}\n[politeness]\nmax_retry_after_seconds = {seconds}\n")
    with pytest.raises(BadInput, match="it must be from 0 to 604800"):
        load_file(file)
    file.write_text(f"{GOOD}\n[politeness]\nmax_retry_after_seconds = 7200.0\n")
    assert load_file(file).politeness.max_retry_after_seconds == 7200.0
