"""A sentence as tokens, in which numbers, doses, dates, negations and advice are told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from healtharchive.search.compare.alignment import in_order

MOST_TOKENS = 2_000  # of a sentence that is compared word by word
PLUS_REACHES = 6  # words from "ne" to its "plus"


class Fact(StrEnum):
    """What a token is, when it is more than a word."""

    DOSE = "dose"  # a number with its unit
    NUMBER = "number"
    DATE = "date"
    NEGATION = "negation"
    ADVICE = "advice"


class Mark(StrEnum):
    """Where a token stands: in both sentences, or only in one of them."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a sentence; those with equal keys say the same."""

    text: str
    key: str
    fact: Fact | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a sentence with one mark; a fact is a run of its own."""

    text: str
    mark: Mark = Mark.SAME
    fact: Fact | None = None


GAP = "[ \u00a0\u202f\u2009]"
MONTHS = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?(?=[ \u00a0]\d)"
    r"|(?i:janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre))"
)
DATE = (
    rf"\d{{4}}-\d{{2}}-\d{{2}}(?!\d)"
    rf"|\d{{1,2}}(?:er|st|nd|rd|th)?{GAP}{MONTHS}(?:,?{GAP}\d{{4}})?(?!\w)"
    rf"|{MONTHS}{GAP}\d{{1,2}}(?:st|nd|rd|th)?,?{GAP}\d{{4}}(?!\w)"
    rf"|{MONTHS}{GAP}\d{{4}}(?!\w)"
    rf"|{MONTHS}{GAP}\d{{1,2}}(?:st|nd|rd|th)?(?![\w.,])"
)
SPELLED = (
    r"(?i:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|once|twice|thrice|half|double"
    r"|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|demie?|moitié)(?!\w)"
)
DIGITS = rf"\d{{1,3}}(?:{GAP}\d{{3}})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,/]\d+)*[½¼¾]?|[½¼¾⅓⅔⅛]"
UNIT = (
    r"(?:(?i:mg|mcg|[µμ]g|ug|kg|g|ml|cl|dl|l|mmol|meq|ui|iu|cm|mm|km|m|kcal|kj|ppm|h|min"
    r"|litres?|liters?|grammes?|grams?|hours?|heures?|minutes?|days?|jours?|weeks?|semaines?|months?"
    r"|mois|years?|ans?|années?|times|fois|doses?|tablets?|comprimés?|drops?|gouttes?|puffs?"
    r"|cuillères?|teaspoons?|tablespoons?|per(?:{g})?cent|pour{g}cent|percent)"
    r"(?:/(?i:kg|l|ml|dl|day|jour|h|m²|m2))?(?!\w)|[%‰€$]|°{g}?[CF](?!\w))"
).replace("{g}", GAP)
NEGATION = (
    r"(?i:not|no|never|none|nor|neither|without|cannot|nothing|nobody|[a-z]+n['’]t"
    r"|ne|pas|jamais|aucun|aucune|rien|sans|ni|non|nul|nulle)(?!\w)|(?i:n['’](?=\w))"
)
ADVICE = (
    r"(?i:recommend\w*|should|must|shall|may|avoid\w*|contraindicated|required?|advised?|warnings?"
    r"|caution|safe|unsafe|stop|seek|emergency|maximum|minimum|only|always|immediately|approved"
    r"|prohibited|banned|recalled|recommand\w*|devez|doit|doivent|devrait|devraient|devriez|devra"
    r"|évite[rz]?|contre-indiqué\w*|interdit\w*|obligatoire\w*|nécessaires?|consultez|urgence|peut"
    r"|peuvent|avertissements?|prudence|sécuritaires?|dangereu\w+|cesse[rz]|arrête[rz]|seulement"
    r"|toujours|immédiatement|approuvée?s?|rappelée?s?)(?!\w)"
)
TOKEN = re.compile(
    rf"(?P<date>{DATE})"
    rf"|(?P<dose>\$(?:{DIGITS})|(?:{DIGITS}|{SPELLED}){GAP}?{UNIT})"
    rf"|(?P<number>{DIGITS}|{SPELLED})"
    rf"|(?P<negation>{NEGATION})"
    rf"|(?P<advice>{ADVICE})"
    r"|(?P<word>[^\W\d_][\w]*(?:[-][\w]+)*['’]?)"
    r"|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
FACTS = {fact.value: fact for fact in Fact}
NE = ("ne", "n'")
GROUPED = re.compile(r"(?<=\d)[ \u00a0\u202f\u2009](?=\d{3})")
ENGLISH_GROUPS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
SPACES = re.compile(r"\s+")


def tokens(text: str, language: str = "") -> list[Token]:
    """A sentence's tokens, one after the other: their texts make the sentence again.

    `language` says how a comma in a number is read; all else is recognised in both languages.
    """
    found: list[Token] = []
    since_ne = PLUS_REACHES + 1
    for match in TOKEN.finditer(text):
        said = match.group()
        fact = FACTS.get(match.lastgroup or "")
        key = _key(said, fact, language)
        if match.lastgroup != "space":
            since_ne = 0 if key in NE else since_ne + 1
        if key == "plus" and since_ne <= PLUS_REACHES:
            fact = Fact.NEGATION
        found.append(Token(said, key, fact))
    return found


def plain_runs(text: str, language: str, mark: Mark = Mark.SAME) -> tuple[Run, ...]:
    """A whole sentence with one mark, its facts as runs of their own."""
    return _joined([(token, mark) for token in tokens(text, language)])


def compared_runs(old: str, new: str, language: str) -> tuple[Run, ...]:
    """Both sentences in one: what only the old one says stands before what is new."""
    before, after = tokens(old, language), tokens(new, language)
    if max(len(before), len(after)) > MOST_TOKENS:
        whole = [(each, Mark.REMOVED) for each in before] + [(each, Mark.ADDED) for each in after]
        return _joined(whole)
    links = in_order([each.key for each in before], [each.key for each in after])
    marked: list[tuple[Token, Mark]] = []
    i = j = 0
    for next_i, next_j in [*links, (len(before), len(after))]:
        marked += [(each, Mark.REMOVED) for each in before[i:next_i]]
        marked += [(each, Mark.ADDED) for each in after[j:next_j]]
        marked += [(each, Mark.SAME) for each in after[next_j : next_j + 1]]
        i, j = next_i + 1, next_j + 1
    return _joined(marked)


def _joined(marked: list[tuple[Token, Mark]]) -> tuple[Run, ...]:
    found: list[Run] = []
    for token, mark in marked:
        last = found[-1] if found else None
        if last and last.mark is mark and last.fact is None and token.fact is None:
            found[-1] = Run(last.text + token.text, mark)
        else:
            found.append(Run(token.text, mark, token.fact))
    return tuple(found)


def _key(said: str, fact: Fact | None, language: str) -> str:
    key = SPACES.sub(" ", said).casefold().replace("’", "'")
    if fact not in (Fact.NUMBER, Fact.DOSE):
        return said if fact is None else key
    key = GROUPED.sub("", key)
    if language != "fr":
        key = ENGLISH_GROUPS.sub("", key)
    return DECIMAL_COMMA.sub(".", key).replace(" ", "")
