"""A search index of the format before the present one, as the program of that time left it."""

from __future__ import annotations

import shutil
from pathlib import Path

import tantivy

from healtharchive.search import fields as fields_of
from healtharchive.search import formats
from healtharchive.search.fields import EXACT, FACETED, LANGUAGES, NUMBERS
from healtharchive.search.index import IndexedPage, SearchIndex, stored_page

MOST = 10_000


def schema_v2() -> tantivy.Schema:
    """The fields of v2, in their order."""
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
    return builder.build()


def all_pages(home: Path) -> dict[str, IndexedPage]:
    """Every page of the index that answers, by its key."""
    searcher = SearchIndex(home).searcher()
    found = searcher.search(tantivy.Query.all_query(), limit=MOST)
    pages = [stored_page(searcher.doc(address)) for _, address in found.hits]
    return {each.key: each for each in pages}


def make_old(home: Path) -> dict[str, IndexedPage]:
    """Put an index of v2 in the place of the one that answers; the pages as they were before."""
    pages = all_pages(home)
    shutil.rmtree(home / formats.FORMAT)
    directory = home / "v2"
    directory.mkdir(parents=True)
    index = tantivy.Index(schema_v2(), str(directory), False)
    for name, analyzer in fields_of.analyzers().items():
        index.register_tokenizer(name, analyzer)
    writer = index.writer(num_threads=1)
    for page in pages.values():
        writer.add_document(page.document(sections=False))
    writer.commit()
    writer.wait_merging_threads()
    return pages
