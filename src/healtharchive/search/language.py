"""Which language a page is in: what it says of itself, unless its words clearly say otherwise."""

from __future__ import annotations

import re
from collections import Counter

from resiliparse.parse.lang import detect_fast

SAMPLE_CHARS = 20_000
WORD = re.compile(r"[^\W\d_]+")
TAG = re.compile(r"[a-z]{2,3}", re.IGNORECASE)
# canada.ca has /en/ and /fr/, cihr-irsc.gc.ca /e/ and /f/, older sites page-eng and page-fra.html.
IN_URL = re.compile(r"(?<=[/_-])(en|fr|eng|fra|e|f)(?=[/.]|$)", re.IGNORECASE)
BY_LETTER = {"e": "en", "f": "fr"}

# Words that are frequent in one of the two languages and rare in the other.
ENGLISH_WORDS = """
the of and to in is that for it with as was be by are this from or have an at not which you your
has were can will their they more been its when there who what how we our
"""
FRENCH_WORDS = """
le la les des du de et un une est que qui dans pour pas sur au aux avec ce ces cette il elle vous
votre vos nous notre sont par plus ne se sa ses leur leurs ou où être été ont
"""
ENGLISH = frozenset(ENGLISH_WORDS.split())
FRENCH = frozenset(FRENCH_WORDS.split())
# A vote counts when there are enough of such words and three in four are of one side.
LEAST_VOTES = 12
CLEAR_SHARE = 0.75
# resiliparse: smaller is surer; on short texts its answer is a guess.
SURE_RANK = 900
LEAST_DETECTED_CHARS = 80


def language_of(text: str, declared: str = "") -> str:
    """A language code such as `en` or `fr`, or empty when nothing tells.

    `declared` is what the page says: an HTML lang attribute or a Content-Language. Pages copied
    from a template in the other language say the wrong thing, so a clear vote of words decides.
    """
    found = TAG.match(declared.strip())
    said = found.group().lower() if found else ""
    sample = text[:SAMPLE_CHARS]
    voted = _vote(sample)
    if voted and said in ("", "en", "fr"):
        return voted
    return said or _detected(sample)


def language_in_url(url: str) -> str:
    """The language that a bilingual site's address names, or empty: a last resort."""
    named = IN_URL.search(url.partition("?")[0])
    return BY_LETTER[named.group(1)[0].lower()] if named else ""


def _vote(text: str) -> str:
    words = Counter(WORD.findall(text.lower()))
    english = sum(words[each] for each in ENGLISH)
    french = sum(words[each] for each in FRENCH)
    votes = english + french
    if votes < LEAST_VOTES:
        return ""
    if english >= CLEAR_SHARE * votes:
        return "en"
    return "fr" if french >= CLEAR_SHARE * votes else ""


def _detected(text: str) -> str:
    if len(text) < LEAST_DETECTED_CHARS:
        return ""
    code, rank = detect_fast(text)
    if rank <= SURE_RANK and code != "unknown":
        return str(code)
    return ""
