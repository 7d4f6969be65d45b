"""What a page says of itself: bounded over all its frames, and nothing taken on trust."""

from __future__ import annotations

import pytest

from healtharchive.crawl.browser.reading import MOST_LINKS, TEXT_CHARACTERS, Reading


def said(text: object = "", links: object = (), elements: object = 1, title: object = "") -> object:
    return {"text": text, "links": links, "elements": elements, "title": title}


def test_frames_are_added_up_and_the_title_is_the_top_ones() -> None:
    reading = Reading()
    reading.begin(said("above", ["http://a.example/1"], 3, "Top"))
    reading.add(said("below", ["http://a.example/2", "http://a.example/1"], 2, "Inner"))
    reading.add(said(""))
    assert (reading.title, reading.text, reading.elements) == ("Top", "above\nbelow", 6)
    assert list(reading.links) == ["http://a.example/1", "http://a.example/2"]


def test_the_bounds_are_for_all_frames_together() -> None:
    reading = Reading()
    for frame in range(4):
        limits = reading.limits
        assert limits["text"] <= TEXT_CHARACTERS - len(reading.text)
        assert limits["links"] == MOST_LINKS - len(reading.links)
        links = [f"http://a.example/{frame}/{n}" for n in range(MOST_LINKS * 2 // 5)]
        reading.add(said("x" * (TEXT_CHARACTERS * 2 // 5), links))
    assert len(reading.text) == TEXT_CHARACTERS
    assert len(reading.links) == MOST_LINKS
    assert (reading.limits["text"], reading.limits["links"]) == (0, 0)


@pytest.mark.parametrize(
    "odd", [None, 7, [], {"text": 1, "links": {"a": 1}, "elements": "x"}, said(None, [1], -5)]
)
def test_what_is_not_as_it_should_be_is_nothing(odd: object) -> None:
    reading = Reading()
    reading.begin(odd)
    assert reading == Reading()
    reading.add(said("x", ["javascript:1", "http://a.example/" + "x" * 9_000, None]))
    assert reading.links == {}
