"""Which pages are rendered: what earlier ones have taught, and what waiting may have changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.browser.choice import (
    ENOUGH_SAMPLES,
    RESAMPLED,
    Choice,
    Wish,
    looks_empty,
    make_of,
)
from healtharchive.crawl.browser.rendering import ShellMeasure, shell_measure
from healtharchive.model.source import BrowserOptions

SITE = "https://a.example"
SHELL = "<body><div id=root></div><script src=/app.1f2e3d.js></script>"
WHOLE = f"<body><main>{'words ' * 100}</main><script src=/menu.js></script>"
PLAIN = "<body><main>few words</main>"
FILLED = ShellMeasure(5_000, 40)
OPTIONS = BrowserOptions(always=("/always/",), never=("/never/",), failures=2)


def choice(*, automatic: bool = True) -> Choice:
    return Choice(OPTIONS, automatic=automatic)


def wish(made: Choice, number: int, html: str) -> Wish:
    return made.wish(f"{SITE}/{number}", html)


def fail(made: Choice, *, times: int = OPTIONS.failures) -> list[bool]:
    return [made.failed(f"{SITE}/bad") for _ in range(times)]


@pytest.mark.parametrize(
    ("path", "html", "automatic", "render"),
    [
        ("/never/x", SHELL, True, False),
        ("/never/x", SHELL, False, False),
        ("/always/x", PLAIN, True, True),
        ("/x", PLAIN, True, False),
        ("/x", PLAIN, False, True),
        ("/x", SHELL, True, True),
        ("/x", WHOLE, True, True),  # the first of its template is a sample
        ("/x", "<body>words<iframe src=/y></iframe>", True, True),
    ],
)
def test_rules_come_first_then_the_engine_then_the_page(
    path: str, html: str, automatic: bool, render: bool
) -> None:
    assert choice(automatic=automatic).wish(SITE + path, html).render is render


def test_whole_pages_are_rendered_as_samples_only() -> None:
    made = choice()
    rendered = [number for number in range(2 * RESAMPLED + 2) if wish(made, number, WHOLE).render]
    assert rendered == [0, RESAMPLED, 2 * RESAMPLED]


def test_when_samples_prove_to_be_shells_all_of_the_template_are_rendered() -> None:
    made = choice()
    made.learn(f"{SITE}/0", wish(made, 0, WHOLE), FILLED)
    assert all(wish(made, number, WHOLE).render for number in range(1, 10))


def test_empty_looking_pages_that_stay_empty_are_rendered_no_more() -> None:
    made = choice()
    for number in range(ENOUGH_SAMPLES):
        each = wish(made, number, SHELL)
        assert each.render
        # Some text more than before, and no shell: one such sample is not enough.
        made.learn(f"{SITE}/{number}", each, ShellMeasure(100, 0))
    assert not wish(made, 9, SHELL).render


def test_who_waits_for_the_first_sample_learns_from_it() -> None:
    made = choice()
    first, second = wish(made, 0, SHELL), wish(made, 1, SHELL)
    assert first.waits
    assert second.waits
    made.learn(f"{SITE}/0", first, shell_measure(SHELL))
    assert not made.again(f"{SITE}/1", second).render
    made = choice()
    first, second = wish(made, 0, SHELL), wish(made, 1, SHELL)
    made.learn(f"{SITE}/0", first, FILLED)
    again = made.again(f"{SITE}/1", second)
    assert (again.render, again.waits) == (True, False)


def test_a_host_is_given_up_after_failures_in_a_row_and_that_is_told_once() -> None:
    made = choice()
    assert fail(made, times=1) == [False]
    made.learn(f"{SITE}/1", wish(made, 1, SHELL), FILLED)
    assert fail(made, times=3) == [False, True, False]
    assert made.is_given_up(SITE)
    assert not made.is_given_up("https://b.example")
    assert not wish(made, 2, SHELL).render
    assert "without a browser" in wish(made, 2, SHELL).why


@pytest.mark.parametrize("automatic", [True, False])
def test_who_has_waited_is_not_rendered_when_its_host_was_given_up_meanwhile(
    automatic: bool,
) -> None:
    made = choice(automatic=automatic)
    waiting = wish(made, 0, SHELL)
    assert made.still(f"{SITE}/0", waiting) is waiting
    fail(made)
    assert not made.still(f"{SITE}/0", waiting).render
    assert not made.again(f"{SITE}/0", waiting).render
    other = made.wish("https://b.example/", SHELL)
    assert made.still("https://b.example/", other).render


def test_a_late_success_of_a_host_that_was_given_up_changes_nothing() -> None:
    made = choice()
    late = wish(made, 0, SHELL)
    fail(made)
    made.learn(f"{SITE}/0", late, FILLED)
    assert made.is_given_up(SITE)
    assert late.template is not None
    assert (late.template.shells, late.template.whole) == (0, 0)
    assert fail(made, times=1) == [False]


def test_builds_of_one_template_are_one() -> None:
    assert make_of(SHELL) == make_of(SHELL.replace("1f2e3d", "00ff99aa"))
    assert make_of(SHELL) != make_of(SHELL.replace("id=root", "id=app"))
    assert looks_empty(shell_measure(SHELL))
    assert not looks_empty(shell_measure(WHOLE))
    assert not looks_empty(shell_measure(PLAIN))


# -- hosts that refuse plain HTTP ------------------------------------------------------------

FEW = BrowserOptions(never=("/never/",), failures=2, refusals=3)


def refuse(made: Choice, *, times: int, last: bool = False) -> list[bool]:
    return [made.refused(f"{SITE}/{number}", last=last) for number in range(times)]


def test_a_host_turns_to_the_browser_after_refusals_in_a_row_and_that_is_told_once() -> None:
    made = Choice(FEW, automatic=True)
    assert refuse(made, times=2) == [False, False]
    made.welcomed(f"{SITE}/")
    assert refuse(made, times=2) == [False, False]
    assert not made.fetches(f"{SITE}/x")
    assert refuse(made, times=3) == [True, False, False]
    assert made.fetches(f"{SITE}/x")
    assert not made.fetches(f"{SITE}/never/x")
    assert not made.fetches("https://b.example/")


def test_a_last_try_turns_a_host_of_which_plain_http_has_got_no_page() -> None:
    made = Choice(FEW, automatic=True)
    assert made.is_doubtful(f"{SITE}/")
    assert refuse(made, times=1, last=True) == [True]
    assert not made.is_doubtful(f"{SITE}/")
    made = Choice(FEW, automatic=True)
    made.welcomed(f"{SITE}/")
    assert not made.is_doubtful(f"{SITE}/")
    assert refuse(made, times=2, last=True) == [False, False]


def test_a_host_comes_back_from_the_browser_for_good() -> None:
    made = Choice(FEW, automatic=True)
    refuse(made, times=3)
    assert made.failed(f"{SITE}/1") is False
    made.worked(f"{SITE}/2")
    assert fail(made) == [False, True]
    assert not made.fetches(f"{SITE}/3")
    made.worked(f"{SITE}/late")
    assert refuse(made, times=9, last=True) == [False] * 9
    assert not made.fetches(f"{SITE}/3")
    assert not made.is_doubtful(f"{SITE}/3")


def test_only_auto_turns_never_to_a_browser_that_was_given_up_nor_against_a_rule() -> None:
    assert refuse(Choice(FEW, automatic=False), times=9, last=True) == [False] * 9
    made = Choice(FEW, automatic=True)
    assert [made.refused(f"{SITE}/never/{each}", last=True) for each in range(9)] == [False] * 9
    fail(made)
    assert refuse(made, times=9, last=True) == [False] * 9


@given(st.lists(st.sampled_from(["refused", "last", "welcomed", "failed", "worked"])))
def test_a_host_never_goes_to_and_fro(events: list[str]) -> None:
    made = Choice(FEW, automatic=True)
    ways = [False]
    for event in events:
        if event in ("refused", "last"):
            made.refused(SITE, last=event == "last")
        else:
            getattr(made, event)(SITE)
        ways.append(made.fetches(SITE))
    changed = [each for each, before in zip(ways[1:], ways, strict=False) if each != before]
    assert changed in ([], [True], [True, False])
