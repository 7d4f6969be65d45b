"""The way from a search to a replayed page by the keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from healtharchive.web import language as words
from healtharchive.web.language import Language
from tests.e2e.test_readers_way import replayed
from tests.lab.clinic import PAGES, Clinic
from tests.lab.reader import reader

MOST_TABS = 80
# What has the focus, whether it can be seen, and whether it is marked.
FOCUSED = """() => {
  const each = document.activeElement;
  const box = each.getBoundingClientRect();
  const style = getComputedStyle(each);
  return {
    text: (each.textContent || each.id).trim(),
    tag: each.tagName,
    id: each.id,
    seen: box.width > 1 && box.bottom > 0 && box.top < innerHeight,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""


def tab_to(page: Page, text: str) -> None:
    """Press Tab until that link or field has the focus; all on the way can be seen, too."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["tag"] in ("BODY", "IFRAME"):
            continue
        assert focused["seen"], focused
        assert focused["marked"], focused
        if text in (focused["text"], focused["id"]):
            return
    raise AssertionError(f"{MOST_TABS} times Tab did not lead to {text}")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_keyboard_leads_from_a_search_to_the_replayed_page(
    clinic: Clinic, browser: Browser, language: str
) -> None:
    sought = PAGES[language]
    with reader(browser, clinic.served) as person:
        page = person.page

        def say(key: str) -> str:
            return words.text(Language(language), key)

        page.goto(f"{clinic.served.site}/{language}/")
        page.keyboard.press("Tab")
        first = page.evaluate(FOCUSED)
        assert first["text"] == say("site.skip")
        assert first["seen"]
        person.picture(f"keyboard-{language}-skip")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.type(sought.query)
        page.keyboard.press("Enter")
        page.locator("#results").wait_for()
        tab_to(page, sought.title)
        page.keyboard.press("Enter")
        page.wait_for_url("**/capture/*")
        tab_to(page, say("replay.open"))
        person.picture(f"keyboard-{language}-focus")
        page.keyboard.press("Enter")
        frame = replayed(person, clinic.url + sought.path)
        frame.get_by_text(sought.scripted).wait_for()
        # Also into the archived page itself, and on from there.
        frame.get_by_role("link", name=sought.next_link).wait_for()
        for _ in range(MOST_TABS):
            page.keyboard.press("Tab")
            if frame.evaluate("document.activeElement.tagName") == "A":
                break
        page.keyboard.press("Enter")
        replayed(person, f"{clinic.url}{sought.next_path}")
        assert person.left == []
