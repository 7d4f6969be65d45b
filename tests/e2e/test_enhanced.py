"""Searching and turning pages without loading them anew; and the same without any script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, Page

from healtharchive.web import language as words
from healtharchive.web.language import Language
from tests.lab.clinic import PAGES, Clinic
from tests.lab.reader import Reader, reader

LANGUAGES = ["en", "fr"]
WITHOUT = ["scripts", "htmx"]
STAYS = "window.loadedOnce = true"
STAYED = "window.loadedOnce === true"


def search(page: Page, clinic: Clinic, language: str) -> None:
    """Ask for all pages of the clinic in the language of the interface."""
    page.goto(f"{clinic.served.site}/{language}/")
    page.evaluate(STAYS)
    page.get_by_label(words.text(Language(language), "search.q")).fill(PAGES[language].query)
    page.keyboard.press("Enter")
    page.locator("#results").wait_for()


def narrow(page: Page) -> str:
    """Follow the facet of the year; how many results were promised."""
    facet = page.locator(".facets li", has=page.locator("a[href*='2']")).last
    promised = facet.locator(".count").inner_text()
    facet.get_by_role("link").click()
    page.locator(".chips a").first.wait_for()
    return promised


@contextmanager
def watched(person: Reader) -> Iterator[None]:
    """The browser refused nothing of our own pages, and nobody else was asked."""
    said: list[str] = []
    person.page.on("console", lambda message: said.append(message.text))
    person.page.on("pageerror", lambda error: said.append(str(error)))
    yield
    assert [each for each in said if "Content Security Policy" in each or "Error" in each] == []
    assert person.left == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_results_come_without_a_new_page(clinic: Clinic, browser: Browser, language: str) -> None:
    with reader(browser, clinic.served) as person, watched(person):
        page = person.page
        search(page, clinic, language)
        assert page.evaluate(STAYED)
        assert "q=" in page.url
        # What a new page would have said is said, and whoever does not see is led to it.
        found = page.locator("#results").inner_text()
        assert found in page.title()
        page.wait_for_function("document.activeElement.id === 'results'")
        assert "q=" in (page.locator(".switch").get_attribute("href") or "")
        assert "q=" in (page.locator("footer a").first.get_attribute("href") or "")
        searched = page.url
        promised = narrow(page)
        assert page.evaluate(STAYED)
        assert page.locator("#results").inner_text().startswith(promised)
        assert page.url != searched
        person.picture(f"enhanced-{language}")
        page.go_back()
        page.wait_for_url(searched)
        page.locator(".chips").wait_for(state="detached")
        assert page.locator("#results").inner_text() == found
        # An address that was never loaded is a page as any other.
        page.reload()
        assert page.locator("#results").inner_text() == found


def test_a_form_that_is_wrong_is_told_so_in_place(clinic: Clinic, browser: Browser) -> None:
    with reader(browser, clinic.served) as person:
        search(person.page, clinic, "en")
        person.page.locator("details summary").first.click()
        person.page.get_by_label("Captured from").fill("2026-05-05")
        person.page.locator("#to").fill("2025-01-01")
        person.page.locator("form.search button").click()
        person.page.locator("#errors").wait_for()
        assert person.page.evaluate(STAYED)


@pytest.mark.parametrize("missing", WITHOUT)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_is_there_without(
    clinic: Clinic, browser: Browser, language: str, missing: str
) -> None:
    with reader(browser, clinic.served, java_script_enabled=missing != "scripts") as person:
        page = person.page
        page.route(re.compile("/static/htmx/"), lambda route: route.abort())
        page.goto(f"{clinic.served.site}/{language}/")
        page.get_by_label(words.text(Language(language), "search.q")).fill(PAGES[language].query)
        page.get_by_role("button", name=words.text(Language(language), "search.submit")).click()
        page.locator("#results").wait_for()
        promised = narrow(page)
        assert page.locator("#results").inner_text().startswith(promised)
        page.locator(".hits a").first.click()
        page.locator("a[href*='/history?']").first.click()
        page.locator(".timeline").wait_for()
        assert person.left == []


def test_scripts_are_ours_alone(clinic: Clinic) -> None:
    site = clinic.served.site

    def policy(path: str) -> str:
        answer = httpx.get(site + path, trust_env=False)
        return answer.headers["content-security-policy"]

    assert "script-src 'self';" in policy("/en/")
    for path in ("/raw/1", f"/at/2026/{clinic.url}/en/measles", "/warc/1", "/en/capture/1"):
        assert "script-src" not in policy(path), path
        assert "default-src 'none'" in policy(path), path
    page = httpx.get(f"{site}/en/", trust_env=False).text
    assert "&#34;allowEval&#34;: false" in page
    assert "unsafe" not in policy("/en/")
