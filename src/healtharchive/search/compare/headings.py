"""The headings of an HTML page, so that its text can be read by sections."""

from __future__ import annotations

from resiliparse.parse.html import HTMLTree

from healtharchive.search.compare.document import Heading

MOST_HEADINGS = 2_000
SELECTOR = "h1, h2, h3, h4, h5, h6"


def headings_in(page: str) -> list[Heading]:
    """The headings with their levels, in the page's order; none when it cannot be parsed."""
    try:
        tree = HTMLTree.parse(page)
    except ValueError:
        return []
    found = tree.document.query_selector_all(SELECTOR) if tree.document else []
    headings = []
    for node in list(found)[:MOST_HEADINGS]:
        text = " ".join((node.text or "").split())
        if text and node.tag:
            headings.append(Heading(int(node.tag[1:]), text))
    return headings
