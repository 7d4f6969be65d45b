"""Whether a page is a shell that scripts fill: the measure before, the measure after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.browser.rendering import (
    Rendered,
    ShellMeasure,
    is_shell,
    measure_of,
    shell_measure,
)


def test_text_is_what_somebody_would_read() -> None:
    measure = shell_measure(
        "<title>not this</title><style>nor this</style><script>nor()</script>"
        "<body><noscript>Enable it, please.</noscript><template>later</template><p>two\n\n  words"
        "<a href=/a>a</a><a href=/a>b</a><a name=x>c</a><map><area href=/b>"
    )
    assert measure == ShellMeasure(text_length=len("two words a b c"), links=2, scripts=1)


@pytest.mark.parametrize(
    ("html", "empty"),
    [
        ("<div id=root></div>", True),
        ("<div id=app> \n <span></span></div>", True),
        ("<div id=__next><noscript>Enable JavaScript</noscript></div>", True),
        ("<app-root></app-root>", True),
        ("<div id=root>served</div>", False),
        ("<div id=other></div>", False),
        ("", False),
    ],
)
def test_an_empty_root_is_seen(html: str, empty: bool) -> None:
    assert shell_measure(html).empty_root is empty


@pytest.mark.parametrize(
    ("before", "after", "shell"),
    [
        (ShellMeasure(0, 0), ShellMeasure(200, 0), True),
        (ShellMeasure(0, 0), ShellMeasure(199, 4), False),
        (ShellMeasure(5000, 60), ShellMeasure(5600, 75), False),  # a menu was added
        (ShellMeasure(5000, 60), ShellMeasure(10_200, 60), True),
        (ShellMeasure(5000, 10), ShellMeasure(5000, 25), True),  # a list of links was
        (ShellMeasure(5000, 60), ShellMeasure(0, 0), False),  # scripts took the page away
    ],
)
def test_a_shell_gains_most_of_its_text_or_links(
    before: ShellMeasure, after: ShellMeasure, shell: bool
) -> None:
    assert is_shell(before, after) is shell


@given(st.integers(0, 10**7), st.integers(0, 10**5))
def test_a_page_that_gains_nothing_is_no_shell(text: int, links: int) -> None:
    same = ShellMeasure(text, links)
    assert not is_shell(same, same)


@given(st.text(max_size=300))
def test_anything_can_be_measured(html: str) -> None:
    assert shell_measure(html).text_length <= len(html)


def test_the_rendered_page_is_measured_alike() -> None:
    page = Rendered("u", "t", "one\ntwo", ("http://a.test/",), b"", b"", "image/jpeg", 3, (), 0.1)
    assert measure_of(page) == ShellMeasure(len("one two"), 1)


def test_deep_nesting_is_not_measured_to_its_end() -> None:
    # Without the bound it takes minutes.
    assert shell_measure("<div>" * 300_000 + "end").text_length == 0
