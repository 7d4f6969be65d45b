"""What a captured page says: its title, its text and its language."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

from healtharchive.search.language import language_of

HTML_TYPES = ("text/html", "application/xhtml+xml")
PDF_TYPES = ("application/pdf", "application/x-pdf")
TEXT_TYPES = ("text/plain", "text/markdown")
LARGEST_HTML_BYTES = 10_000_000
MOST_TEXT_CHARS = 500_000
MOST_TITLE_CHARS = 500
SNIFFED_BYTES = 1 << 16
CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
# Menus and footers repeat on every page of a site: they would make each match the same words.
BOILERPLATE = [
    "nav",
    "header",
    "footer",
    "[role=navigation]",
    "[role=banner]",
    "[role=contentinfo]",
]
HEADINGS = "h1, h2, h3"
MOST_HEADINGS = 200
MOST_HEADING_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class PageText:
    """`kind` is html, pdf or text. `problem` says what could not be read.

    `headings` are those of its sections, one a line.
    """

    kind: str
    title: str
    text: str
    language: str
    problem: str = ""
    headings: str = ""

    @property
    def digest(self) -> str:
        """Equal for two captures that say the same."""
        told = f"{self.title}\0{self.text}".encode()
        return f"sha256:{hashlib.sha256(told).hexdigest()}"


def kind_of(mime: str | None) -> str:
    """html, pdf or text for a media type that can be searched; empty for all others."""
    for kind, types in (("html", HTML_TYPES), ("pdf", PDF_TYPES), ("text", TEXT_TYPES)):
        if mime in types:
            return kind
    return ""


def page_text(
    data: bytes, kind: str, content_type: str = "", content_language: str = ""
) -> PageText:
    """The text of a body without its content codings. Never raises for what is in it.

    `content_type` and `content_language` are the whole header values.
    """
    if kind == "pdf":
        return _of_pdf(data, content_language)
    text, problem = characters(data, content_type)
    if kind == "html":
        return _of_html(text, content_language, problem)
    body = tidy(text)
    title = body.lstrip().partition("\n")[0][:MOST_TITLE_CHARS].strip()
    return PageText("text", title, body, language_of(body, content_language), problem)


def _of_html(page: str, content_language: str, problem: str) -> PageText:
    try:
        tree = HTMLTree.parse(page)
    except ValueError as error:
        return PageText("html", "", "", "", f"the HTML cannot be parsed: {error}")
    root = tree.document.query_selector("html") if tree.document else None
    declared = (root.getattr("lang") or root.getattr("xml:lang") or "") if root else ""
    title = " ".join(tidy(tree.title or "", MOST_TITLE_CHARS).split()) or _heading(tree)
    text = extract_plain_text(tree, alt_texts=False, skip_elements=BOILERPLATE)
    if not text.strip():  # a page that is all header, or wrong mark-up that swallowed the rest
        text = extract_plain_text(tree, alt_texts=False)
    text = tidy(text)
    language = language_of(text, declared or content_language)
    return PageText("html", title, text, language, problem, _headings(tree))


def _headings(tree: HTMLTree) -> str:
    """The headings of a page's first sections, each once."""
    if not tree.document:
        return ""
    # A slice: to go through such a collection takes time with the square of its size.
    elements = tree.document.query_selector_all(HEADINGS)[:MOST_HEADINGS]
    found = (" ".join((each.text or "").split()) for each in elements)
    return tidy("\n".join(dict.fromkeys(each for each in found if each)), MOST_HEADING_CHARS)


def _heading(tree: HTMLTree) -> str:
    heading = tree.document.query_selector("h1") if tree.document else None
    return " ".join((heading.text or "").split())[:MOST_TITLE_CHARS] if heading else ""


def _of_pdf(data: bytes, content_language: str) -> PageText:
    from healtharchive.search.pdf import pdf_text  # pypdf; who searches or serves reads no PDF

    found = pdf_text(data)
    text = tidy(found.text)
    title = " ".join(tidy(found.title, MOST_TITLE_CHARS).split())
    if not title:
        title = text.lstrip().partition("\n")[0][:MOST_TITLE_CHARS].strip()
    language = language_of(text, found.language or content_language)
    return PageText("pdf", title, text, language, found.problem)


def characters(data: bytes, content_type: str) -> tuple[str, str]:
    """A body as text, and what was not read: by byte order mark, header, meta (HTML §13.2.3)."""
    problem = ""
    if len(data) > LARGEST_HTML_BYTES:
        problem = f"only the first {LARGEST_HTML_BYTES} bytes were read"
        data = data[:LARGEST_HTML_BYTES]
    named = CHARSET.search(content_type)
    encoding = map_encoding_to_html5(named.group(1), fallback_utf8=False) if named else None
    if data.startswith(BYTE_ORDER_MARKS) or not encoding:
        encoding = detect_encoding(data[:SNIFFED_BYTES], from_html_meta=True)
    return str(bytes_to_str(data, encoding or "utf-8", errors="replace")), problem


def tidy(text: str, limit: int = MOST_TEXT_CHARS) -> str:
    """Without control characters, which PostgreSQL and XML refuse, and lone surrogates."""
    printable = UNPRINTABLE.sub(" ", text[:limit])
    return printable.encode("utf-8", "replace").decode()
