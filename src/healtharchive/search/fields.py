"""The fields of the index: what a snapshot becomes as a document, and how its words are cut."""

from __future__ import annotations

import hashlib
import re
from zlib import crc32

import tantivy

LONGEST_TOKEN = 60
STEMMED = {"en": "english", "fr": "french"}
LANGUAGES = (*STEMMED, "xx")
EXACT = ("key", "page", "edition", "source", "campaign", "language", "kind", "digest")
FACETED = ("source", "campaign", "language", "kind")
NUMBERS = ("status", "captured", "first", "until", "until_in_edition", "capture_id", "snapshot_id")
DEEPEST_PATH = 12
MOST_LIKENED = 20_000  # characters; the likeness of longer texts is that of their beginning
BITS = (1 << 64) - 1
SPREAD = 0x9E3779B97F4A7C15
MASKS = (0x9E3779B97F4A7C15, 0x85EBCA6BC2B2AE35, 0x27D4EB2F165667C5)
# Archived URLs may be anything; urlsplit refuses some.
URL = re.compile(r"[a-z][a-z0-9+.-]*://(?P<netloc>[^/?#]*)(?P<path>[^?#]*)", re.IGNORECASE)
# A page's standing among pages that match alike: near the top of its site, captured lately.
DEPTH_COST = 0.02
RECENCY_GAIN_A_YEAR = 0.01
YEAR_MICROSECONDS = 31_557_600_000_000


def schema() -> tantivy.Schema:
    """The fields. A change here takes another `formats.FORMAT`; new ones come last."""
    builder = tantivy.SchemaBuilder()
    for name in EXACT:
        builder.add_text_field(
            name, stored=True, fast=name in FACETED, tokenizer_name="raw", index_option="basic"
        )
    for name in NUMBERS:
        builder.add_integer_field(name, stored=True, indexed=True, fast=True)
    for name in ("url", "mime"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("host", "path"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("likeness", fast=True)
    builder.add_float_field("standing", fast=True)
    builder.add_text_field("words_of_url", tokenizer_name="words_xx")
    builder.add_text_field("spelling", tokenizer_name="spelling", index_option="basic")
    for language in LANGUAGES:
        for name in (f"title_{language}", f"text_{language}"):
            builder.add_text_field(name, stored=True, tokenizer_name=f"words_{language}")
    for language in LANGUAGES:
        builder.add_text_field(
            f"headings_{language}", stored=True, tokenizer_name=f"words_{language}"
        )
    return builder.build()


def analyzers() -> dict[str, tantivy.TextAnalyzer]:
    """Words in lower case, stemmed, and only then without accents, which the stemmers need.

    `spelling` has whole words with their accents: what a suggestion may say.
    """
    found = {}
    for language in LANGUAGES:
        builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        builder = builder.filter(tantivy.Filter.remove_long(LONGEST_TOKEN))
        builder = builder.filter(tantivy.Filter.lowercase())
        if language in STEMMED:
            builder = builder.filter(tantivy.Filter.stemmer(STEMMED[language]))
        found[f"words_{language}"] = builder.filter(tantivy.Filter.ascii_fold()).build()
    # Not by a regular expression: to compile one takes longer than to search.
    spelling = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    spelling = spelling.filter(tantivy.Filter.remove_long(LONGEST_TOKEN))
    found["spelling"] = spelling.filter(tantivy.Filter.lowercase()).build()
    return found


def hosts(url: str) -> list[str]:
    """What `site:` can name a URL's host by: itself, with and without its port, and its parents."""
    netloc = _part(url, "netloc").rpartition("@")[2]
    labels = netloc.partition(":")[0].split(".")
    parents = [".".join(labels[at:]) for at in range(len(labels))]
    return list(dict.fromkeys((netloc, *parents)))


def paths(url: str) -> list[str]:
    """The path's beginnings in lower case: /en, /en/public-health."""
    parts = [each for each in _part(url, "path").split("/") if each][:DEEPEST_PATH]
    return ["/" + "/".join(parts[: at + 1]) for at in range(len(parts))]


def standing(url: str, captured: int) -> float:
    """What a page's score is multiplied by; 1 for a home page at the beginning of 1970."""
    depth = max(len(paths(url)) - 1, 0) + ("?" in url)
    return (1 + RECENCY_GAIN_A_YEAR * captured / YEAR_MICROSECONDS) / (1 + DEPTH_COST * depth)


def likeness(text: str) -> int:
    """Equal, most often, for texts that share nearly all their runs of three words.

    Three minima of hashes: two texts that share a part p of their runs agree with chance p³.
    """
    words = [crc32(word.encode()) for word in text[:MOST_LIKENED].lower().split()]
    # The sums are spread over 64 bits first: minima of unmixed ones would be those of short words.
    runs = {
        ((a + 3 * b + 7 * c) * SPREAD) & BITS
        for a, b, c in zip(words, words[1:], words[2:], strict=False)
    } or set(words[:1] or (0,))
    minima = [min(map(mask.__xor__, runs)) for mask in MASKS]
    digest = hashlib.blake2b(repr(minima).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _part(url: str, name: str) -> str:
    found = URL.match(url)
    return found[name].lower() if found else ""
