"""The pages as a browser lays them out: on a phone and a desk, by day and night, for every reader.

axe-core (WCAG 2.2 AA) is the judge of contrast, names, roles and target sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest
from playwright.sync_api import Request

from tests.lab.axe import violations
from tests.lab.looks import LANGUAGES, PAGES, SCHEMES, SIZES, Looks, looks

FIRST_LOAD_BYTES = 100_000
ARCHIVED = ("/raw/", "/at/")  # what was archived is as large as it is; so is what replays it
WIDER = "() => document.scrollingElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looks]:
    with looks(tmp_path_factory.mktemp("archive")) as made:
        yield made


def in_pairs(language: str) -> list[tuple[str, str]]:
    """Schemes and sizes of which, over both languages, any two values of two kinds meet once."""
    sizes = list(SIZES)
    return list(zip(SCHEMES, sizes if language == LANGUAGES[0] else sizes[::-1], strict=True))


def judge(
    seen: Looks, axe: str, name: str, language: str, looks: Iterable[tuple[str, str]]
) -> None:
    for scheme, size in looks:
        with seen.reader(scheme, size) as someone:
            page = seen.visit(someone, language, name)
            assert page.evaluate(WIDER) <= 0, f"{scheme} {size}: it scrolls sideways"
            assert violations(page, axe, iframes=False) == [], f"{scheme} {size}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_and_can_be_read_by_everybody(
    seen: Looks, axe: str, name: str, language: str
) -> None:
    judge(seen, axe, name, language, in_pairs(language))


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_so_it_is_in_every_scheme_on_every_screen(
    seen: Looks, axe: str, name: str, language: str
) -> None:
    rest = [each for each in itertools.product(SCHEMES, SIZES) if each not in in_pairs(language)]
    judge(seen, axe, name, language, rest)


@pytest.mark.parametrize(
    "language", ["en", *(pytest.param(each, marks=pytest.mark.long) for each in LANGUAGES[1:])]
)
@pytest.mark.parametrize("name", PAGES)
def test_a_first_visit_is_light_and_asks_nobody_else(seen: Looks, name: str, language: str) -> None:
    with seen.reader("light", "phone") as someone:
        finished: list[Request] = []
        someone.context.on("requestfinished", lambda request: finished.append(request))
        page = seen.visit(someone, language, name)
        page.wait_for_load_state("networkidle")
        assert someone.left == []
        sizes = {
            request.url: request.sizes()["responseBodySize"]
            for request in finished
            if not request.url.removeprefix(seen.served.site).startswith(
                (*ARCHIVED, seen.served.replay)
            )
        }
        assert sizes
        assert sum(sizes.values()) <= FIRST_LOAD_BYTES, sizes


def test_the_judge_sees_what_is_wrong(seen: Looks, axe: str) -> None:
    with seen.reader("light", "desk") as someone:
        page = seen.visit(someone, "en", "results")
        page.evaluate("() => { document.querySelector('.hits .url').style.color = '#bbbbbb' }")
        page.evaluate("() => { document.querySelector('label').remove() }")
        found = {each["rule"] for each in violations(page, axe, iframes=False)}
        assert {"color-contrast", "label"} <= found
        page.evaluate("() => { document.querySelector('h1').style.width = '200vw' }")
        page.evaluate("() => { document.querySelector('h1').style.maxWidth = 'none' }")
        assert page.evaluate(WIDER) > 0


def test_a_calendar_on_paper_is_black_on_white_and_without_what_cannot_be_clicked(
    seen: Looks,
) -> None:
    with seen.reader("dark", "desk") as someone:
        page = seen.visit(someone, "en", "history")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator(".calendar table").count() == 12
        assert page.locator("h1").is_visible()
        assert not page.locator(".masthead nav").is_visible()
        assert not page.locator("footer").is_visible()
        colours = page.evaluate(
            "() => [getComputedStyle(document.documentElement).backgroundColor, "
            "getComputedStyle(document.body).color]"
        )
        assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]


def test_the_thumbnails_are_drawn(seen: Looks) -> None:
    with seen.reader("light", "desk") as someone:
        page = seen.visit(someone, "en", "results")
        page.wait_for_load_state("networkidle")
        widths = page.evaluate(
            "() => [...document.querySelectorAll('.hits img')].map((each) => each.naturalWidth)"
        )
        assert widths
        assert set(widths) == {320}
