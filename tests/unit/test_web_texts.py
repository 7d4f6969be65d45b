"""The texts of the pages: complete in both languages, and nowhere else."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from healtharchive.model.states import JobStatus, SegmentState
from healtharchive.web import language as words
from healtharchive.web.language import Language
from healtharchive.web.texts import TEXTS

TEMPLATES = sorted((Path(words.__file__).parent / "templates").glob("**/*.html"))
SOURCES = sorted(Path(words.__file__).parent.glob("*.py"))
JINJA = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
HTMX = re.compile(r'\bhx-[a-z-]+="[^"]*"')  # a macro gives them to the element it is written in
SPOKEN_ATTRIBUTES = ("title", "alt", "aria-label", "placeholder", "content", "value")
NEVER_TRANSLATED = {"width=device-width, initial-scale=1", "light dark", "·", "healtharchive"}


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_every_text_with_the_same_fields() -> None:
    for key, (english, french) in TEXTS.items():
        assert english.strip(), key
        assert french.strip(), key
        assert fields_of(english) == fields_of(french), key


def test_french_keeps_its_colons_and_guillemets_together() -> None:
    for key, (_, french) in TEXTS.items():
        assert not re.search(r" [:»]|« |[^\u00a0]:(?= |$)", french), key


def test_counted_texts_come_in_pairs() -> None:
    for key in TEXTS:
        if key.endswith(".one"):
            assert key.removesuffix("one") + "many" in TEXTS


def test_every_key_that_a_template_or_module_names_is_in_the_table() -> None:
    for path in [*TEMPLATES, *SOURCES]:
        content = path.read_text(encoding="utf-8")
        for key in re.findall(r"""\b(?:t|say|fact)\(\s*["']([a-z0-9_.]+)["']\s*[,)]""", content):
            assert key in TEXTS, f"{path.name}: {key}"
        for key in re.findall(r"""counted\(\s*["']([a-z0-9_.]+)["']""", content):
            assert f"{key}.one" in TEXTS, f"{path.name}: {key}"


def test_every_text_is_used_somewhere() -> None:
    speaking = [path for path in SOURCES if not path.name.startswith("texts")]
    everything = "".join(path.read_text(encoding="utf-8") for path in [*TEMPLATES, *speaking])
    for key in TEXTS:
        # Some keys are put together: "status." ~ value, "search." ~ field ~ ".any", "x.one".
        stems = [key, *(key[: at.start() + 1] for at in re.finditer(r"\.", key))]
        stems += [key.rpartition(".")[0]]
        assert any(f'"{stem}"' in everything or f"'{stem}'" in everything for stem in stems), key


@pytest.mark.parametrize("states", [JobStatus, SegmentState])
def test_every_state_has_a_name_for_people(states: type[JobStatus | SegmentState]) -> None:
    prefix = "status." if states is JobStatus else "segment.state."
    assert not [state for state in states if prefix + state not in TEXTS]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_literal_words(path: Path) -> None:
    plain = HTMX.sub(" ", JINJA.sub(" ", path.read_text(encoding="utf-8")))
    tree = LexborHTMLParser(plain)
    for node in tree.css("code"):
        node.decompose()  # commands are the same in both languages
    for text in (tree.text(separator="\n") or "").splitlines():
        assert not re.search(r"[A-Za-zÀ-ÿ]{2}", text), f"{path.name}: {text.strip()}"
    for node in tree.css("*"):
        for name in SPOKEN_ATTRIBUTES:
            value = (node.attributes.get(name) or "").strip()
            known = value in NEVER_TRANSLATED or not re.search(r"[A-Za-z]{2}", value)
            assert known, f"{path.name}: {name}={value}"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Language.EN),
        ("fr-CA,fr;q=0.9,en;q=0.8", Language.FR),
        ("en;q=0.2, fr;q=0.7", Language.FR),
        ("fr;q=0, en;q=0.1", Language.EN),
        ("de, es;q=0.5", Language.EN),
        ("fr;q=nonsense", Language.EN),
        (",;=,fr", Language.FR),
    ],
)
def test_language_follows_the_readers_wish(header: str, expected: Language) -> None:
    assert words.negotiate(header) is expected


def test_numbers_sizes_and_days_are_written_as_each_language_does() -> None:
    moment = datetime(2026, 3, 1, 6, 28, 1, tzinfo=UTC)
    assert words.number(Language.EN, 1234567) == "1,234,567"
    assert words.number(Language.FR, 1234567) == "1\u00a0234\u00a0567"
    assert words.size(Language.EN, 51_240_000) == "51.2\u00a0MB"
    assert words.size(Language.FR, 51_240_000) == "51,2\u00a0Mo"
    assert words.size(Language.EN, 999) == "999\u00a0B"
    assert words.day(Language.EN, moment) == "1\u00a0March 2026"
    assert words.day(Language.FR, moment) == "1er\u00a0mars 2026"
    assert words.clock(moment) == "06:28:01\u00a0UTC"
    assert words.counted(Language.FR, "search.results", 0) == "0 résultat"
    assert words.counted(Language.EN, "search.results", 0) == "0 results"
