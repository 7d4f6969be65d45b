"""What is to be judged: pages that an engine finds and nobody has read, in no engine's order."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.bench.search_corpus import Page
from tests.bench.search_judged import Judged
from tests.bench.search_peers import Engine

POOLED = 15
HEAD_CHARS = 90
PASSAGES = 2
PASSAGE_CHARS = 230
STEM_CHARS = 5
WORD = re.compile(r"\w+")


def pool(engines: Sequence[Engine], query: Judged) -> list[str]:
    """The unjudged pages among the first of every engine, in an order that tells nothing."""
    found = {
        url
        for engine in engines
        for url in engine.find(query.text, query.language, POOLED)
        if url not in query.grades
    }
    return random.Random(query.id).sample(sorted(found), len(found))


def sheet(query: Judged, urls: Iterable[str], pages: Mapping[str, Page]) -> Iterator[str]:
    """The lines that a judge reads: the query, and of each page what bears on it."""
    yield f"## {query.id} {query.text} ({query.wanted})"
    stems = {_stem(word) for word in WORD.findall(query.text)}
    for number, url in enumerate(urls):
        page = pages[url]
        yield f"{number} {url} | {page.title} | {len(page.text):,} characters"
        yield f"  {' '.join(page.text[:HEAD_CHARS].split())}"
        for passage in passages(page.text, stems):
            yield f"  … {passage}"


def passages(text: str, stems: set[str]) -> list[str]:
    """The stretches of a text with the most of the words asked for, as they follow each other."""
    words = list(WORD.finditer(text))
    hits = [(found.start(), stem) for found in words if (stem := _stem(found[0])) in stems]
    best: list[tuple[int, int]] = []  # how many different words, and where
    for at, (start, _) in enumerate(hits):
        near = {stem for place, stem in hits[at : at + 40] if place < start + PASSAGE_CHARS}
        best.append((len(near), start))
    chosen: list[int] = []
    for _, start in sorted(best, key=lambda each: -each[0]):
        if all(abs(start - other) > PASSAGE_CHARS for other in chosen):
            chosen.append(start)
        if len(chosen) == PASSAGES:
            break
    return [" ".join(text[max(at - 30, 0) : at + PASSAGE_CHARS].split()) for at in sorted(chosen)]


def _stem(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.lower())
    return "".join(c for c in plain if not unicodedata.combining(c))[:STEM_CHARS]
