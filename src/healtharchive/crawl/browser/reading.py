"""What gather.js said of a frame, taken only as far as it is what it should be."""

from __future__ import annotations

TEXT_CHARACTERS = 2_000_000
MOST_LINKS = 20_000
LONGEST_URL = 8192
LIMITS = {"text": TEXT_CHARACTERS, "links": MOST_LINKS, "url": LONGEST_URL, "depth": 1500}


def string_in(read: object, name: str) -> str:
    """A string of what a page said of itself, which may be anything."""
    value = read.get(name) if isinstance(read, dict) else None
    return value[:TEXT_CHARACTERS] if isinstance(value, str) else ""


def text_in(read: object) -> str:
    """The text a frame shows."""
    return string_in(read, "text")


def links_in(read: object) -> list[str]:
    """The links of a frame."""
    found = read.get("links") if isinstance(read, dict) else None
    if not isinstance(found, list):
        return []
    return [
        each
        for each in found[:MOST_LINKS]
        if isinstance(each, str)
        and len(each) <= LONGEST_URL
        and each.startswith(("http://", "https://"))
    ]


def elements_in(read: object) -> int:
    """How many elements a frame has."""
    found = read.get("elements") if isinstance(read, dict) else None
    return found if isinstance(found, int) and found > 0 else 0
