"""Pages of the front site that are whole without scripts, some of which look as if they were not.

Automatic choice has to leave them to the plain engine: those that only count visits by a script,
those that hold the empty root of some widget, those that say little.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

COUNT = 40
INDEX = "/plain/"
# Pages that only a rendered page leads to, by what has to be looked into.
HIDDEN = {
    "/plain/only-from-shadow.html": "Whoever looked into the shadow found the copper ladder",
    "/plain/only-from-frame.html": "Whoever looked through the window met the ferryman",
    "/plain/only-from-scroll.html": "Whoever scrolled to the end may rest on the green bench",
}
SUBJECTS = ("The clinic", "A pharmacist", "The laboratory", "Every midwife", "The inspector")
VERBS = ("records", "reviews", "publishes", "compares", "explains", "orders")
OBJECTS = ("the vaccine lots", "the water samples", "the recall notices", "the care plans")
WHENS = ("before noon", "each Thursday", "after the flood", "without delay", "in both languages")
FRENCH = (
    ("La clinique", "Une pharmacienne", "Le laboratoire", "L'inspecteur", "La sage-femme"),
    ("consigne", "examine", "publie", "compare", "explique", "commande"),
    ("les lots de vaccins", "les échantillons d'eau", "les avis de rappel", "les soins"),
    ("avant midi", "chaque jeudi", "après la crue", "sans tarder", "en deux langues"),
)
ENGLISH = (SUBJECTS, VERBS, OBJECTS, WHENS)
NO_SCRIPT = "Our chat needs JavaScript."
THINGS = ("kettles", "ledgers", "violets", "barometers", "stretchers", "lanterns", "thimbles")


@dataclass(frozen=True, slots=True)
class PlainPage:
    """A page with its unique sentence and its whole HTML."""

    target: str
    phrase: str
    language: str
    html: str


def plain_pages() -> list[PlainPage]:
    """The forty pages, and those that only a rendered page leads to."""
    numbered = [_numbered(number) for number in range(1, COUNT + 1)]
    hidden = [
        PlainPage(target, phrase, "en", _document("Found", "en", f"<p>{phrase}.</p>"))
        for target, phrase in HIDDEN.items()
    ]
    return [index_page(), *numbered, *hidden]


def index_page() -> PlainPage:
    """A list of the forty pages."""
    phrase = "All plain pages of the harbour in one plain list"
    items = "".join(
        f"<li><a href='{target_of(number)}'>Plain page {number}</a></li>"
        for number in range(1, COUNT + 1)
    )
    html = _document("Plain pages", "en", f"<p>{phrase}.</p><ul>{items}</ul>")
    return PlainPage(INDEX, phrase, "en", html)


def target_of(number: int) -> str:
    """Where the n-th page is."""
    return f"/plain/{number:02}.html"


def paragraphs(seed: str, count: int, words: tuple[tuple[str, ...], ...] = ENGLISH) -> list[str]:
    """Paragraphs of plausible sentences, the same for the same seed."""
    chance = random.Random(seed)
    return [
        " ".join(" ".join(chance.choice(part) for part in words) + "." for _ in range(5))
        for _ in range(count)
    ]


def _numbered(number: int) -> PlainPage:
    language = "fr" if number % 5 == 0 else "en"
    thing = THINGS[number % len(THINGS)]
    phrase = (
        f"L'armoire numéro {number} garde {number + 100} {thing} sous clé"
        if language == "fr"
        else f"Cupboard number {number} keeps {number + 100} {thing} under lock"
    )
    look = LOOKS[number % len(LOOKS)]
    html = look(f"Plain page {number}", language, f"<p>{phrase}.</p>", str(number), _around(number))
    return PlainPage(target_of(number), phrase, language, html)


def _around(number: int) -> str:
    links = [f"<a href='{INDEX}'>All</a>"]
    links += [
        f"<a href='{target_of(n)}'>{n}</a>" for n in (number - 1, number + 1) if 1 <= n <= COUNT
    ]
    return "<nav>" + " ".join(links) + "</nav>"


def _text(language: str, seed: str, count: int) -> str:
    words = FRENCH if language == "fr" else ENGLISH
    return "".join(f"<p>{each}</p>" for each in paragraphs(f"plain {seed}", count, words))


def _whole(title: str, language: str, first: str, seed: str, links: str) -> str:
    body = f"{links}{first}{_text(language, seed, 6)}<img src='/images/plain.png' alt=''>"
    return _document(title, language, body)


def _measured(title: str, language: str, first: str, seed: str, links: str) -> str:
    head = "<script src='/scripts/measure.js' async></script>"
    return _document(title, language, f"{links}{first}{_text(language, seed, 4)}", head)


def _with_empty_root(title: str, language: str, first: str, seed: str, links: str) -> str:
    body = (
        f"<div id='root'></div>{links}{first}{_text(language, seed, 3)}"
        f"<noscript>{NO_SCRIPT}</noscript>"
        "<script>window.chat = { root: document.getElementById('root'), open: false }</script>"
    )
    return _document(title, language, body)


def _short(title: str, language: str, first: str, seed: str, links: str) -> str:
    return _document(title, language, first + links)


LOOKS: tuple[Callable[[str, str, str, str, str], str], ...] = (
    _whole,
    _measured,
    _with_empty_root,
    _short,
)


def _document(title: str, language: str, body: str, head: str = "") -> str:
    return (
        f"<!doctype html>\n<html lang='{language}'><head><meta charset='utf-8'>"
        f"<title>{title}</title><link rel='stylesheet' href='/styles/plain.css'>{head}</head>"
        f"<body><h1>{title}</h1>{body}</body></html>\n"
    )
