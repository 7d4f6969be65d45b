"""Sitemaps of every kind, and what only looks like one."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl import sitemaps
from healtharchive.crawl.sitemaps import Sitemap, newest_first, parse

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
URLSET = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset {NAMESPACE} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc> https://e.org/a?b=1&amp;c=2 </loc><lastmod>2026-01-02</lastmod>
    <image:image><image:loc>https://e.org/i.png</image:loc></image:image></url>
  <url><lastmod>2026-02-03T04:05:06Z</lastmod><loc><![CDATA[https://e.org/d]]></loc></url>
  <!-- <url><loc>https://e.org/left-out</loc></url> -->
  <url><loc>https://e.org/sant&#233;</loc><changefreq>daily</changefreq></url>
  <url><loc/><lastmod>2026-03-04</lastmod></url>
  <url><loc>javascript:alert(1)</loc></url>
</urlset>
""".encode()
PAGES = (
    ("https://e.org/a?b=1&c=2", "2026-01-02"),
    ("https://e.org/d", "2026-02-03T04:05:06Z"),
    ("https://e.org/santé", None),
)
# Pieces that mean something to the reader, to be put together in any order.
PIECES = (
    b"<urlset>~<loc>~http://~]]>~</url>~\x1f\x8b\x08~&#x110000;~<sitemapindex ~>~</loc>~\xff\xfe~"
    b"encoding='utf-16'~&#99999;~<![CDATA[~<link href=~<!--~-->~<rss>~<lastmod>"
).split(b"~")


READER = """
import sys, tempfile
from datetime import UTC, datetime
from pathlib import Path
from healtharchive.crawl.batch import Kind, QueuedUrl
from healtharchive.crawl.discovery import Discovery
from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.sources import of_one_site

with tempfile.TemporaryDirectory() as directory:
    body, number = SpooledBody(Path(directory)), 0
    body.write("<urlset><!-- \U0001f600: as text each character would take four bytes -->".encode())
    while body.size_bytes < 100_000_000:
        some = range(number, number + 500)
        entries = (f"<url><loc>https://e.org/{n}</loc></url>{' ' * 2000}" for n in some)
        body.write("".join(entries).encode())
        number += 500
    url, now = "https://e.org/sitemap.xml", datetime.now(UTC)
    answer = Exchange(
        url, b"", b"", body, 200, (), False, "", body.size_bytes, "", "", "", "", now, 0.0, ""
    )
    queued = QueuedUrl(1, url, Kind.SITEMAP, 0, 0, 0)
    found = Discovery(of_one_site("https://e.org/")).of_answer(queued, answer)
    body.close()
# Not ru_maxrss: that begins with the peak of the process that started this one.
facts = dict(each.split(":", 1) for each in open("/proc/self/status") if ":" in each)
peak = facts["VmHWM"].split()[0]
print(len(found.found), *found.remarks, peak, sep="|")
"""


def test_pages_come_with_their_dates() -> None:
    assert parse(URLSET) == Sitemap(pages=PAGES)


def test_an_index_names_further_sitemaps() -> None:
    index = f"""<sitemapindex {NAMESPACE}><sitemap><loc>https://e.org/1.xml.gz</loc>
      <lastmod>2026-01-01</lastmod></sitemap><sitemap><loc>https://e.org/2.xml</loc></sitemap>
      </sitemapindex>"""
    assert parse(index.encode()) == Sitemap(
        sitemaps=("https://e.org/1.xml.gz", "https://e.org/2.xml")
    )


def test_a_prefix_of_the_namespace_is_understood() -> None:
    prefixed = URLSET.replace(b"<url", b"<s:url").replace(b"</url", b"</s:url")
    prefixed = prefixed.replace(b"<loc", b"<s:loc").replace(b"<lastmod", b"<s:lastmod")
    assert parse(prefixed).pages == PAGES


@pytest.mark.parametrize("times", [1, 2])
def test_gzip_comes_off(times: int) -> None:
    body = URLSET
    for _ in range(times):
        body = gzip.compress(body)
    assert parse(body) == Sitemap(pages=PAGES)


def test_of_a_cut_off_gzip_comes_what_there_is() -> None:
    entries = "".join(f"<url><loc>https://e.org/{n * n}</loc></url>" for n in range(5000))
    packed = gzip.compress(f"<urlset>{entries}</urlset>".encode())
    sitemap = parse(packed[: len(packed) // 2])
    assert sitemap.problem == "cut off"
    assert 1000 < len(sitemap.pages) < 5000


def test_cut_off_xml_gives_its_whole_entries() -> None:
    sitemap = parse(URLSET[: URLSET.index(b"&#233;")])
    assert sitemap.pages[:2] == PAGES[:2]
    assert sitemap.problem == "it is cut off"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_other_encodings_are_read(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><urlset><url><loc>https://e.org/é</loc></url></urlset>'
    assert parse(text.encode(encoding)).pages == (("https://e.org/é", None),)


def test_text_sitemaps_have_a_url_a_line() -> None:
    text = b"\xef\xbb\xbfhttps://e.org/a\r\nhttps://e.org/b?c=d&e\n\nnot a url\n"
    assert parse(text) == Sitemap(
        pages=(("https://e.org/a", None), ("https://e.org/b?c=d&e", None))
    )


def test_feeds_are_sitemaps_too() -> None:
    rss = b"""<rss version="2.0"><channel><link>https://e.org/</link><item><link>https://e.org/a</link>
      <pubDate>Mon, 02 Jan 2026 00:00:00 GMT</pubDate></item></channel></rss>"""
    assert parse(rss).pages == (
        ("https://e.org/", None),
        ("https://e.org/a", "Mon, 02 Jan 2026 00:00:00 GMT"),
    )
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="https://e.org/a"/>
      <updated>2026-01-02T00:00:00Z</updated></entry></feed>"""
    assert parse(atom).pages == (("https://e.org/a", "2026-01-02T00:00:00Z"),)


def test_entities_are_never_expanded() -> None:
    lines = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    bomb = f"""<!DOCTYPE urlset [<!ENTITY e0 "lol">{lines}<!ENTITY x SYSTEM "file:///etc/passwd">]>
      <urlset><url><loc>https://e.org/&e9;&x;</loc></url></urlset>"""
    assert parse(bomb.encode()).pages == (("https://e.org/&e9;&x;", None),)


def test_a_gzip_bomb_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "LIMIT_BYTES", 10_000)
    sitemap = parse(gzip.compress(URLSET + bytes(5_000_000)))
    assert sitemap.pages == PAGES
    assert sitemap.problem == "longer than 10000 bytes"


def test_too_many_entries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MAX_ENTRIES", 2)
    assert parse(URLSET) == Sitemap(pages=PAGES[:2], problem="more than 2 entries")


@pytest.mark.parametrize(
    "body",
    [b"", b"\x1f\x8b", b"<!doctype html><html><p>Not found</html>", bytes(range(256)), b"hello"],
)
def test_garbage_has_no_pages_but_a_problem(body: bytes) -> None:
    sitemap = parse(body)
    assert not sitemap.pages
    assert not sitemap.sitemaps
    assert sitemap.problem


@pytest.mark.parametrize(
    "piece", ["<loc>", "<!--", "<loc><![CDATA[", "<loc ", "</url", "<link href="]
)
def test_a_hostile_sitemap_is_read_in_linear_time(piece: str) -> None:
    assert parse(b"<urlset>" + piece.encode() * 50_000).pages == ()


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(PIECES))).map(b"".join))
def test_no_bytes_raise(body: bytes) -> None:
    sitemap = parse(body)
    assert all(url.lower().startswith(("http://", "https://")) for url, _ in sitemap.pages)


def test_the_newest_come_first_and_those_without_a_date_last() -> None:
    pages = (
        ("a", None),
        ("b", "2020-01-31"),
        ("c", "2026-02-01T10:00:00Z"),
        ("d", "Tue, 01 Jan 2030"),
        ("e", "2026-02-01"),
    )
    assert [url for url, _ in newest_first(pages)] == ["c", "e", "b", "a", "d"]


def test_a_sitemap_of_100_mb_leaves_room_for_the_rest_of_a_crawl() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READER], capture_output=True, text=True, check=True
    )
    found, remark, peak_kilobytes = done.stdout.split("|")
    assert int(found) > 30_000
    assert "longer than" in remark
    assert int(peak_kilobytes) < 300_000


def test_of_lines_without_end_only_so_many_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MAX_ENTRIES", 2)
    body = b"\n\nhttps://e.org/a\n \nhttps://e.org/b\nhttps://e.org/c\n"
    two = (("https://e.org/a", None), ("https://e.org/b", None))
    assert parse(body) == Sitemap(pages=two, problem="more than 2 lines")
