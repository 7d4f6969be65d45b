"""A page's text as sections of sentences, each known to be content or the page's frame."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from healtharchive.search.compare.wording import DATE

MOST_SENTENCES = 20_000
MOST_SENTENCE_CHARS = 4_000  # a longer one is cut in pieces, which are compared each on its own
LONGEST_GUESSED_HEADING = 90
GUESSED_LEVEL = 2
LEAST_COMMON_PAGES = 5
COMMON_SHARE = 0.5
CUT = "only the beginning was compared: the page is too long"

SPACES = re.compile(r"\s+")
BULLET = re.compile(r"^\s*(?:[•◦▪‣·*–-]\s+|\d{1,3}[.)]\s+(?=\S))")
PLAIN_BULLET = re.compile(r"^\s*[•◦▪‣·]\s+")
END_OF_HEADING = re.compile(r"[\s¶#§:]+$")
ENDS_A_SENTENCE = (".", "!", "?", ";", ",", ":", "…")
BOUNDARY = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][»”\")])) +(?=[A-ZÀ-ÖØ-Þ«“\"(\d•])")
ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Dr|Dre|Mr|Mrs|Ms|M|Mme|St|Ste|No|no|vs|etc|e\.g|i\.e|p\. ?ex|approx|env"
    r"|al|Fig|fig|cf|art|par|p|pp|vol)\.$"
)
ALIKE = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "‑": "-"})
# What a page says of itself: "Date modified: 2026-03-01", with or without its date on the line.
OF_THE_PAGE = re.compile(
    r"(?:date (?:modified|de (?:la dernière )?modification)"
    r"|last (?:updated|modified|reviewed)(?: on)?"
    r"|page (?:last )?(?:updated|modified)(?: on)?|modified|updated|dernière (?:mise à jour"
    r"|modification|révision)(?: le)?|mis(?:e)? à jour(?: le)?|modifiée?(?: le)?|version"
    r"|screen identifier|identificateur de page|copyright|©)\W*",
    re.IGNORECASE,
)
ONLY_A_DATE = re.compile(rf"\W*(?:le )?(?:{DATE}|\d{{4}})[\s,]*(?:\d{{1,2}}[:h]\d{{2}})?\W*")
COOKIES = re.compile(r"\b(?:cookies?|témoins(?: de connexion)?)\b", re.IGNORECASE)
CONSENT = re.compile(
    r"\b(?:accept\w*|consent\w*|agree|we use|nous utilisons|préférences|preferences|refuse[rz]?"
    r"|reject|decline)\b",
    re.IGNORECASE,
)
LONGEST_BANNER = 400


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading as the mark-up has it, from level 1 to 6."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a page; two that say the same have equal keys.

    `opens`: it begins a paragraph, an item or a row. `frame`: it is no part of the content.
    """

    text: str
    key: str
    opens: bool = False
    heading: bool = False
    frame: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading's part of the page. `path` are the headings it stands under, its own the last."""

    path: tuple[str, ...]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A page to be compared. `note` says what was left out."""

    sections: tuple[Section, ...]
    language: str = ""
    note: str = ""

    @property
    def sentences(self) -> list[Sentence]:
        """All of them, in the page's order."""
        return [each for section in self.sections for each in section.sentences]


def document(
    title: str,
    text: str,
    language: str = "",
    headings: Sequence[Heading] = (),
    common: frozenset[str] = frozenset(),
) -> Document:
    """The page with this title and text, a block a line. Never raises for what is in it.

    Lines that are among `headings` begin a section; without any, short lines that stand alone do.
    `common` are the keys of blocks that most pages of the site have.
    """
    waiting = Counter(key_of(each.text) for each in headings)
    levels = {key_of(each.text): each.level for each in headings}
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    sentences = [Sentence(_spaced(title), key_of(title), True, True)] if title.strip() else []
    left = MOST_SENTENCES
    dated = False
    for line in _lines(text):
        key = key_of(line.text)
        level = 0
        frame = key in common or _is_frame(line.text, dated)
        dated = bool(OF_THE_PAGE.fullmatch(line.text))
        if headings:
            if waiting[key] > 0 and not line.item:
                waiting[key] -= 1
                level = levels[key]
        elif line.alone and not frame and _looks_like_a_heading(line.text):
            level = GUESSED_LEVEL
        if level:
            _close(sections, path, sentences)
            sentences = []
            path = [each for each in path if each[0] < level] + [(level, key)]
        found = [
            Sentence(said, key_of(said), number == 0, bool(level), frame)
            for number, said in enumerate(_sentences(line.text))
        ]
        sentences += found[:left]
        left -= len(found)
        if left <= 0:
            break
    _close(sections, path, sentences)
    return Document(tuple(sections), language, CUT if left <= 0 else "")


def common_blocks(texts: Iterable[str]) -> frozenset[str]:
    """The keys of the lines that most of these pages have: a menu, a banner, a notice."""
    seen: Counter[str] = Counter()
    pages = 0
    for text in texts:
        pages += 1
        seen.update({key_of(line.text) for line in _lines(text)})
    least = max(LEAST_COMMON_PAGES, COMMON_SHARE * pages)
    return frozenset(key for key, count in seen.items() if count >= least)


def key_of(text: str) -> str:
    """What makes two blocks the same: not their spaces, nor the shape of quotation marks."""
    plain = unicodedata.normalize("NFC", text).translate(ALIKE)
    return END_OF_HEADING.sub("", _spaced(plain))


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    item: bool
    alone: bool  # an empty line before and after it


def _lines(text: str) -> Iterator[_Line]:
    rows = text.split("\n")
    for at, row in enumerate(rows):
        stripped = _spaced(PLAIN_BULLET.sub("", row))
        if stripped:
            before = at == 0 or not rows[at - 1].strip()
            after = at + 1 < len(rows) and not rows[at + 1].strip()
            yield _Line(stripped, bool(BULLET.match(row)), before and after)


def _looks_like_a_heading(line: str) -> bool:
    short = len(line) <= LONGEST_GUESSED_HEADING
    return short and not line.endswith(ENDS_A_SENTENCE) and line[0].isalpha()


def _close(sections: list[Section], path: list[tuple[int, str]], sentences: list[Sentence]) -> None:
    if sentences:
        sections.append(Section(tuple(name for _, name in path), tuple(sentences)))


def _is_frame(line: str, dated: bool) -> bool:
    """A line about the page itself. `dated`: the line before it announced a date."""
    if dated and ONLY_A_DATE.fullmatch(line):
        return True
    announced = OF_THE_PAGE.match(line)
    if announced:
        rest = line[announced.end() :]
        return not rest or bool(ONLY_A_DATE.fullmatch(rest))
    short = len(line) <= LONGEST_BANNER
    return short and bool(COOKIES.search(line)) and bool(CONSENT.search(line))


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for boundary in BOUNDARY.finditer(line):
        if not ABBREVIATED.search(line[max(start, boundary.start() - 12) : boundary.start()]):
            yield from _pieces(line[start : boundary.start()])
            start = boundary.end()
    yield from _pieces(line[start:])


def _pieces(sentence: str) -> Iterator[str]:
    for at in range(0, len(sentence), MOST_SENTENCE_CHARS):
        if piece := sentence[at : at + MOST_SENTENCE_CHARS].strip():
            yield piece


def _spaced(text: str) -> str:
    return SPACES.sub(" ", text).strip()
