"""An archived HTML page made harmless: it shows, but runs nothing and reaches nobody.

The Content-Security-Policy and the sandbox of the answer are the fence; this rewriting makes what
stays inside the fence look right, and keeps working where a reader is older than the fence.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from healtharchive.web import stylesheets
from healtharchive.web.doorway import Doorway


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What runs, embeds, moves the reader, or hides a second document. Compared in lower case: SVG
# keeps its capitals.
REMOVED = _names(
    "script base object embed applet iframe frame portal fencedframe template "
    "set animate animatemotion animatetransform discard"
)
DROPPED = _names(
    "action formaction formtarget method ping cite longdesc manifest profile data codebase code "
    "classid archive srcdoc dynsrc lowsrc integrity nonce crossorigin attributionsrc imagesrcset "
    "imagesizes referrerpolicy target download autofocus autoplay http-equiv"
)
REFERENCES = _names("src href xlink:href poster background")
LINKS = frozenset({"a", "area"})
HREFS = frozenset({"href", "xlink:href"})
CONTROLS = _names("input button select textarea")
# HTML §4.8.4.2.2: a URL may hold commas, its descriptor may not.
SRCSET = re.compile(r"[\s,]*+(\S*[^\s,])(?:,+|\s+([^,]*))?")
TAG_BEGINS = re.compile(r"<(?=[A-Za-z/!?])")
LINK_KINDS = frozenset({"stylesheet", "icon"})


def isolate(html: str, doorway: Doorway) -> str:
    """The page without scripts, forms or frames; images, styles and links lead into the archive.

    Time and memory follow the size and the nesting of `html`: call it where a deadline holds.
    """
    tree = LexborHTMLParser(html)
    base = tree.css_first("base[href]")
    if base is not None:
        doorway = doorway.based_on((base.attributes.get("href") or "").strip())
    doomed: list[LexborNode] = []
    for node in tree.css("*"):
        tag = (node.tag or "").lower()
        if tag in REMOVED or _is_unwanted_head(tag, node.attributes):
            doomed.append(node)
            continue
        _clean_attributes(node, tag, doorway)
        if tag == "style":
            node.inner_html = _without_tags(stylesheets.rewrite(node.text(), doorway))
    for node in doomed:
        node.decompose()
    return tree.html or ""


def _without_tags(css: str) -> str:
    # In SVG a style element's text is parsed as markup; `<` before a letter has no use in CSS, and
    # the marks of an HTML comment are ignored there (CSS Syntax 3 §4.3.1).
    return TAG_BEGINS.sub(r"\\3c ", css.replace("<!--", "").replace("-->", ""))


def _is_unwanted_head(tag: str, attributes: dict[str, str | None]) -> bool:
    if tag == "meta":
        return "http-equiv" in attributes or "charset" in attributes
    if tag == "link":
        kinds = (attributes.get("rel") or "").lower().split()
        return not LINK_KINDS.intersection(kinds)
    return False


def _clean_attributes(node: LexborNode, tag: str, doorway: Doorway) -> None:
    for name, value in node.attributes.items():
        lowered = name.lower()
        if lowered.startswith("on") or lowered in DROPPED:
            del node.attrs[name]
        elif lowered in REFERENCES:
            _point_into_archive(node, tag, name, value or "", doorway)
        elif lowered == "srcset":
            node.attrs[name] = _rewrite_srcset(value or "", doorway)
        elif lowered == "style":
            node.attrs[name] = stylesheets.rewrite(value or "", doorway)
    if tag in LINKS and _leads_elsewhere(node.attributes):
        node.attrs["target"] = "_top"  # it opens the other capture's own page, not the frame
    if tag in CONTROLS:
        node.attrs["disabled"] = "disabled"


def _leads_elsewhere(attributes: dict[str, str | None]) -> bool:
    hrefs = (attributes.get("href"), attributes.get("xlink:href"))
    return any(href and not href.startswith("#") for href in hrefs)


def _point_into_archive(
    node: LexborNode, tag: str, name: str, value: str, doorway: Doorway
) -> None:
    leads = tag in LINKS and name.lower() in HREFS
    address = doorway.page(value) if leads else doorway.requisite(value)
    if address is None:
        del node.attrs[name]
        return
    node.attrs[name] = address


def _rewrite_srcset(value: str, doorway: Doorway) -> str:
    candidates = []
    for reference, descriptor in SRCSET.findall(value):
        address = doorway.requisite(reference)
        if address is not None:
            candidates.append(f"{address} {descriptor.strip()}".strip())
    return ", ".join(candidates)
