"""Edits of real pages, each of a kind that is known: what a ranking of changes is judged by."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from healtharchive.search.compare.document import common_blocks
from healtharchive.search.extract import page_text
from tests.lab import docs
from tests.lab.health import pages

PARAGRAPH = re.compile(r"<p>([^<>]{50,})</p>")
NUMBER = re.compile(r"(?<![\w.,-])\d{1,4}(?![\w-])")
SENTENCES = re.compile(r"(?<=[.!?]) +")
VERBS = {
    "en": {" is ": " is not ", " are ": " are not ", " can ": " cannot ", " must ": " must not "},
    "fr": {" est ": " n’est pas ", " sont ": " ne sont pas ", " ont ": " n’ont pas "},
}
ADVICE = {
    "en": {"should": "may", "must": "can", "may ": "must ", "recommended": "allowed"},
    "fr": {"devraient": "pourraient", "devez": "pouvez", "Évitez": "Limitez"},
}
WORDS = {
    "en": {"the ": "this ", "which": "that", "used": "employed", " all ": " each ", "when": "if"},
    "fr": {"les ": "ces ", "Environ": "À peu près", "Faites": "Allez faire", "avec": "par"},
}
ADDED = {
    "en": " This part describes a further case that readers have asked about.",
    "fr": " Cette partie décrit un autre cas que des lecteurs ont demandé.",
}
MENU = '<ul role="navigation"><li><a href="#">A new entry of the menu</a></li></ul>'
COOKIES = '<div class="cc"><p>We use cookies to make this site better. Accept all cookies</p></div>'
NOTICE = '<div class="alert"><p>Scheduled maintenance of this site on Saturday night</p></div>'
STAMP = "<p>Last updated on {}.</p>"


@dataclass(frozen=True, slots=True)
class Source:
    """A real page's mark-up."""

    name: str
    language: str
    html: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A page and what became of it. `common` are the blocks most pages of its edition have."""

    kind: str
    name: str
    old: str
    new: str
    language: str
    common: frozenset[str] = frozenset()

    @property
    def real(self) -> bool:
        """Whether the content was edited."""
        return self.kind in REAL


Edit = Callable[[random.Random, Source], tuple[str, str] | None]


def _in_paragraph(change: Callable[[random.Random, str, str], str | None]) -> Edit:
    def edit(chance: random.Random, source: Source) -> tuple[str, str] | None:
        found = list(PARAGRAPH.finditer(source.html))
        chance.shuffle(found)
        for paragraph in found:
            text = change(chance, paragraph.group(1), source.language)
            if text is not None and text != paragraph.group(1):
                start, end = paragraph.span(1)
                return source.html, source.html[:start] + text + source.html[end:]
        return None

    return edit


def _number(chance: random.Random, text: str, _: str) -> str | None:
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    one = chance.choice(found)
    return f"{text[: one.start()]}{int(one.group()) + chance.randint(1, 9)}{text[one.end() :]}"


def _replaced(table: dict[str, dict[str, str]]) -> Callable[[random.Random, str, str], str | None]:
    def change(chance: random.Random, text: str, language: str) -> str | None:
        known = [(old, new) for old, new in table[language].items() if old in text]
        return text.replace(*chance.choice(known), 1) if known else None

    return change


def _removed(chance: random.Random, text: str, _: str) -> str | None:
    sentences = SENTENCES.split(text)
    if len(sentences) < 2:
        return None
    del sentences[chance.randrange(len(sentences))]
    return " ".join(sentences)


def _added(_: random.Random, text: str, language: str) -> str | None:
    return text + ADDED[language] if text.endswith(".") else None


def _after_body(piece: str) -> Edit:
    def edit(_: random.Random, source: Source) -> tuple[str, str] | None:
        begin = source.html.find(">", source.html.find("<body")) + 1
        return source.html, source.html[:begin] + piece + source.html[begin:]

    return edit


def _stamped(_: random.Random, source: Source) -> tuple[str, str] | None:
    end = source.html.rfind("</p>") + len("</p>")
    old, new = (STAMP.format(day) for day in ("March 1, 2026", "April 12, 2026"))
    return tuple(source.html[:end] + each + source.html[end:] for each in (old, new))  # type: ignore[return-value]


def _marked_up(_: random.Random, source: Source) -> tuple[str, str] | None:
    return source.html, source.html.replace("<p>", '<p class="text" data-v="2">\n').replace(
        "<li>", "<li >"
    )


REAL: dict[str, Edit] = {
    "number": _in_paragraph(_number),
    "negation": _in_paragraph(_replaced(VERBS)),
    "advice": _in_paragraph(_replaced(ADVICE)),
    "sentence removed": _in_paragraph(_removed),
    "sentence added": _in_paragraph(_added),
    "wording": _in_paragraph(_replaced(WORDS)),
}
FRAME: dict[str, Edit] = {
    "navigation": _after_body(MENU),
    "footer date": _stamped,
    "cookie banner": _after_body(COOKIES),
    "site notice": _after_body(NOTICE),
    "mark-up": _marked_up,
}


def sources(documents: int, seed: int) -> list[Source]:
    """So many pages of a real documentation, and the lab's pages about health."""
    files = [file for file in docs.pick(documents, seed).values() if file.suffix == ".html"]
    found = [Source(file.name, "en", file.read_text("utf-8")) for file in files]
    return found + [Source(each.title, each.language, each.html()) for each in pages()]


def pairs(given: Sequence[Source], each: int, seed: int) -> Iterator[Pair]:
    """Up to `each` pairs of every kind, in a fixed order."""
    with_notice = common_blocks(
        page_text(_both(NOTICE, source).encode(), "html").text for source in given
    )
    for kind, edit in (REAL | FRAME).items():
        chance = random.Random(f"{seed} {kind}")
        left = each
        for source in chance.sample(list(given), len(given)):
            edited = edit(chance, source) if left else None
            if edited is not None:
                left -= 1
                yield Pair(kind, source.name, *edited, source.language, with_notice)


def _both(piece: str, source: Source) -> str:
    edited = _after_body(piece)(random.Random(0), source)
    assert edited is not None
    return edited[1]
