"""Which language a page is taken to be in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search.language import language_in_url, language_of

ENGLISH = (
    "The vaccine is given to children who are at the age of one, and it is safe for them. You can "
    "ask your doctor when they should have it, and what to do if they were ill."
)
FRENCH = (
    "Le vaccin est donné aux enfants qui ont un an, et il est sûr pour eux. Vous pouvez demander à "
    "votre médecin quand ils doivent le recevoir, et ce que vous devez faire dans ce cas."
)


def test_words_tell_english_and_french() -> None:
    assert language_of(ENGLISH) == "en"
    assert language_of(FRENCH) == "fr"


def test_a_wrong_declaration_of_the_other_language_is_overruled() -> None:
    assert language_of(FRENCH, "en-CA") == "fr"
    assert language_of(ENGLISH, "fr") == "en"


def test_a_short_text_is_what_it_says_to_be() -> None:
    assert language_of("Contact", "fr-CA") == "fr"
    assert language_of("Contact", "EN") == "en"
    assert language_of("Contact") == ""


def test_a_declared_third_language_is_kept() -> None:
    assert language_of("ᐃᓄᒃᑎᑐᑦ " * 30, "iu") == "iu"


def test_an_undeclared_third_language_is_detected() -> None:
    spanish = (
        "La vacuna se administra a los niños cuando tienen un año de edad, y es muy segura para "
        "ellos. Pregunte al médico cuándo deben recibirla, y qué hacer si estaban enfermos ayer."
    )
    assert language_of(spanish) not in ("en", "fr")


def test_a_text_that_is_half_and_half_is_what_it_says_to_be() -> None:
    assert language_of(f"{ENGLISH} {FRENCH}", "fr") == "fr"


@pytest.mark.parametrize(
    ("url", "language"),
    [
        ("https://www.canada.ca/en/health-canada.html", "en"),
        ("https://www.canada.ca/fr/sante-canada", "fr"),
        ("https://cihr-irsc.gc.ca/e/193.html", "en"),
        ("https://cihr-irsc.gc.ca/f/193.html", "fr"),
        ("https://example.gc.ca/page-fra.html", "fr"),
        ("https://example.gc.ca/fr", "fr"),
        ("https://example.gc.ca/page.html?lang=/fr/", ""),
        ("https://example.org/fresh/entry", ""),
    ],
)
def test_a_bilingual_sites_address_names_the_language(url: str, language: str) -> None:
    assert language_in_url(url) == language


@given(st.text(), st.text(max_size=20))
def test_any_text_has_an_answer(text: str, declared: str) -> None:
    assert len(language_of(text, declared)) <= 8
