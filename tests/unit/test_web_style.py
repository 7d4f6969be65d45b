"""The colours of the pages: every text can be read on its ground, by day and by night."""

from __future__ import annotations

import re

import pytest

from healtharchive.web.static_place import STATIC

CSS = (STATIC / "style.css").read_text(encoding="utf-8")
TEXT_ON = [
    ("ink", "ground"),
    ("ink", "raised"),
    ("ink", "note"),
    ("quiet", "ground"),
    ("quiet", "raised"),
    ("accent", "ground"),
    ("accent", "raised"),
    ("accent-ink", "accent"),
    ("good", "ground"),
    ("good", "raised"),
    ("good", "note"),
    ("bad", "ground"),
    ("bad", "raised"),
    ("bad", "note"),
    ("mark-ink", "mark"),
]
LEAST_TEXT = 4.5  # WCAG 2.2 §1.4.3 AA
LEAST_EDGE = 3.0  # §1.4.11: the edges of fields


def colours(scheme: str) -> dict[str, str]:
    root = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[0 if scheme == "light" else 1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", root))


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON)
def test_text_can_be_read_on_its_ground(scheme: str, text: str, ground: str) -> None:
    found = colours(scheme)
    assert contrast(found[text], found[ground]) >= LEAST_TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edges_of_fields_can_be_seen(scheme: str) -> None:
    found = colours(scheme)
    assert contrast(found["edge"], found["raised"]) >= LEAST_EDGE
    assert contrast(found["edge"], found["ground"]) >= LEAST_EDGE


def test_focus_is_visible() -> None:
    assert ":focus-visible" in CSS
