"""What gather.js said of a page's frames, taken only as far as it is what it should be."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXT_CHARACTERS = 2_000_000
MOST_LINKS = 20_000
LONGEST_URL = 8192
DEEPEST = 1500


@dataclass(slots=True)
class Reading:
    """A page as far as it has been read, frame by frame; the bounds are for all frames together.

    `text` has one block a line.
    """

    title: str = ""
    text: str = ""
    elements: int = 0
    links: dict[str, None] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, int]:
        """How much the next frame may still say, in gather.js's words."""
        return {
            "text": self._room,
            "links": max(0, MOST_LINKS - len(self.links)),
            "url": LONGEST_URL,
            "depth": DEEPEST,
        }

    @property
    def _room(self) -> int:
        return max(0, TEXT_CHARACTERS - len(self.text) - bool(self.text))

    def begin(self, read: object) -> None:
        """Take in the top frame, whose title is the page's."""
        self.title = string_in(read, "title")
        self.add(read)

    def add(self, read: object) -> None:
        """Take in a frame."""
        text = string_in(read, "text")[: self._room]
        if text:
            self.text = f"{self.text}\n{text}" if self.text else text
        self.links |= dict.fromkeys(links_in(read)[: MOST_LINKS - len(self.links)])
        self.elements += elements_in(read)


def string_in(read: object, name: str) -> str:
    """A string of what a page said of itself, which may be anything."""
    value = read.get(name) if isinstance(read, dict) else None
    return value[:TEXT_CHARACTERS] if isinstance(value, str) else ""


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
