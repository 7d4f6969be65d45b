"""Citations: each style's form, in both languages, and nothing in a title that breaks a file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.web.citing import Cited, citations
from healtharchive.web.language import Language

URL = "https://www.canada.ca/en/public-health/measles.html?v=1_2"
CITED = Cited(
    author="Public Health Agency of Canada",
    title="Measles: What you should know",
    url=URL,
    permanent_url=f"https://archive.example/en/at/20260301062801/{URL}",
    captured_at=datetime(2026, 3, 1, 6, 28, 1, tzinfo=UTC),
    read_on=date(2026, 11, 26),
    language=Language.EN,
)


def test_apa() -> None:
    assert citations(CITED)["apa"] == (
        "Public Health Agency of Canada. (n.d.). Measles: What you should know. Archived "
        f"March 1, 2026, by HealthArchive. {CITED.permanent_url} (original page: {URL})"
    )


def test_mla() -> None:
    assert citations(CITED)["mla"] == (
        "Public Health Agency of Canada. “Measles: What you should know.” www.canada.ca, "
        f"{URL}. HealthArchive, archived 1 Mar. 2026, {CITED.permanent_url}."
    )


def test_vancouver() -> None:
    assert citations(CITED)["vancouver"] == (
        "Public Health Agency of Canada. Measles: What you should know [Internet]. Public Health "
        "Agency of Canada; [date unknown] [archived 2026 Mar 1; cited 2026 Nov 26]. "
        f"Available from: {CITED.permanent_url}"
    )


def test_french_styles() -> None:
    french = citations(replace(CITED, language=Language.FR, title="Rougeole"))
    assert "(s. d.). Rougeole. Archivé le 1er mars 2026 par HealthArchive." in french["apa"]
    assert "«\u00a0Rougeole.\u00a0» www.canada.ca" in french["mla"]
    assert "archivé le 1 mars 2026" in french["mla"]
    assert "Rougeole [En ligne]." in french["vancouver"]
    assert "language = {french}" in french["bibtex"]


def test_bibtex_says_its_special_characters() -> None:
    entry = citations(replace(CITED, title=r"50% of A & B_C {x} \y #1 ~ $5"))["bibtex"]
    assert entry.startswith("@misc{www-canada-ca-20260301062801,\n")
    assert r"title = {{50\% of A \& B\_C \{x\} \textbackslash y \#1 \textasciitilde  \$5}}" in entry
    assert r"howpublished = {\url{https://archive.example/en/at/20260301062801/" in entry


def test_ris_has_one_field_a_line() -> None:
    entry = citations(replace(CITED, title="Two\r\nER  - lines"))["ris"]
    lines = entry.split("\r\n")
    assert lines[0] == "TY  - ELEC"
    assert "TI  - Two ER - lines" in lines
    assert "DA  - 2026/03/01" in lines
    assert lines[-2:] == ["ER  -", ""]


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_title_breaks_a_style(title: str, author: str) -> None:
    written = citations(replace(CITED, title=title, author=author))
    assert set(written) == {"apa", "mla", "vancouver", "bibtex", "ris"}
    for line in written["ris"].split("\r\n")[:-1]:
        assert re.fullmatch(r"[A-Z][A-Z0-9]  -( .*)?", line)
    depth = 0
    for mark in re.sub(r"\\[{}]", "", written["bibtex"]):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
    assert depth == 0
