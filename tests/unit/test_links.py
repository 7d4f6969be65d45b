"""Links: every place of a page, style sheet, feed or header that names a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.charsets import known_codec
from healtharchive.crawl.links import BODY_LIMIT_BYTES, Link, links_of
from healtharchive.crawl.stylesheets import urls_in_css
from healtharchive.crawl.urls import canonicalize

BASE = "https://e.org/dir/page.html"
# Pieces that mean something to one of the readers, to be put together in any order.
PIECES = (
    b"<a href=~\"~'~x y~>~<base href=~//~http:~[::1~%zz~</~<link rel=next href=~<img srcset=~,~ 2x~"
    b"<style>~url(~)~@import ~\\~/*~<meta http-equiv=refresh ~content=~charset=utf-16~\0~\xff\xfe~"
    b"<rss>~<link>~<![CDATA[~]]>~\xed\xa0\x80~\xc3\xa9~<iframe srcdoc=~&lt;a href=&#x110000;&gt;"
).split(b"~")
SOUP = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def found(markup: str | bytes, mime: str = "text/html", charset: str | None = None) -> list[Link]:
    return links_of(markup.encode() if isinstance(markup, str) else markup, mime, charset, BASE)


def pages(markup: str | bytes, mime: str = "text/html", charset: str | None = None) -> list[str]:
    links = found(markup, mime, charset)
    assert all(not link.asset for link in links), links
    return [link.url for link in links]


def assets(markup: str | bytes, mime: str = "text/html") -> list[str]:
    links = found(markup, mime)
    assert all(link.asset for link in links), links
    return [link.url for link in links]


@pytest.mark.parametrize(
    "markup",
    [
        '<a href="x">x</a>',
        "<A HREF = x>",
        '<a href=" x ">',
        '<a rel=nofollow href="x#part">',
        "<map><area href=x></map>",
        "<iframe src=x></iframe>",
        "<frameset><frame src=x></frameset>",
        '<link rel="alternate" hreflang=fr href=x>',
        "<link rel=canonical href=x>",
        "<link rel=next href=x>",
        "<link rel=PREV href=x>",
        '<meta http-equiv=Refresh content="5; URL=x">',
        "<meta http-equiv=refresh content=\"0;url='x'\">",
        "<form action=x>",
        "<form action=x method=GET>",
        "<noscript><a href=x></noscript>",
        '<svg><a xlink:href="x"/></svg>',
        '<iframe srcdoc="&lt;a href=x&gt;"></iframe>',
        "<p><table><a href='x'",
    ],
)
def test_what_leads_on_is_a_page(markup: str) -> None:
    if markup.endswith("'x'"):
        markup += ">"
    assert pages(markup) == ["https://e.org/dir/x"]


@pytest.mark.parametrize(
    "markup",
    [
        "<img src=x>",
        '<img data-src="x">',
        '<img srcset="x 2x">',
        "<picture><source srcset='x'></picture>",
        "<script src=x></script>",
        "<link rel=stylesheet href=x>",
        '<link rel="alternate stylesheet" href=x>',
        '<link rel="shortcut icon" href=x>',
        "<link rel=preload as=font href=x>",
        '<link rel=preload as=image imagesrcset="x 1x">',
        "<video src=x></video>",
        "<video poster=x></video>",
        "<audio><source src=x></audio>",
        "<video><track src=x></video>",
        "<object data=x></object>",
        "<embed src=x>",
        "<input type=image src=x>",
        "<body background=x>",
        "<svg><image href=x /></svg>",
        "<svg><use xlink:href='x#part'/></svg>",
        "<p style=\"background: url('x')\">",
        "<style>@import 'x';</style>",
        "<style>p { background: URL( x ) }</style>",
    ],
)
def test_what_a_page_is_made_of_is_an_asset(markup: str) -> None:
    assert assets(markup) == ["https://e.org/dir/x"]


@pytest.mark.parametrize(
    "markup",
    [
        "",
        "<a>",
        "<a href>",
        '<a href="">',
        '<a href="#top">',
        "<a href='javascript:go()'>",
        "<a href=mailto:a@e.org>",
        "<a href=ftp://e.org/>",
        '<img src="data:image/gif;base64,R0lG">',
        "<form action=x method=post>",
        "<link rel=preconnect href=//cdn.e.org>",
        "<link href=x>",
        '<meta http-equiv=refresh content="30">',
        "<!-- <a href=x> -->",
        "<script>var page = '<a href=x>';</script>",
        "<a href='http://[::1/'>",
    ],
)
def test_what_cannot_be_fetched_is_no_link(markup: str) -> None:
    assert found(markup) == []


def test_a_srcset_names_each_candidate() -> None:
    markup = '<img srcset="a.png, b,c.png 2x,d.png 100w , data:image/png;base64,AA 3x,e.png">'
    names = ["a.png", "b,c.png", "d.png", "e.png"]
    assert assets(markup) == [f"https://e.org/dir/{name}" for name in names]


def test_links_come_once_and_in_order() -> None:
    markup = "<a href=b#1><img src=i><a href=a><a href=./b><a href=/dir/b#2><img src='i'>"
    assert found(markup) == [
        Link("https://e.org/dir/b", False),
        Link("https://e.org/dir/a", False),
        Link("https://e.org/dir/i", True),
    ]


def test_a_url_may_be_a_page_and_an_asset() -> None:
    markup = "<a href=big.jpg><img src=big.jpg></a>"
    assert [link.asset for link in found(markup)] == [False, True]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("/other/", "https://e.org/other/x"),
        ("//cdn.e.org", "https://cdn.e.org/x"),
        ("http://o.org/a/b", "http://o.org/a/x"),
        ("javascript:0", "https://e.org/dir/x"),
    ],
)
def test_the_first_base_counts_wherever_it_stands(base: str, url: str) -> None:
    assert pages(f"<a href=x><base target=_top><base href='{base}'><base href=/third/>") == [url]


@pytest.mark.parametrize(
    ("encoding", "header", "before"),
    [
        ("utf-8", None, ""),
        ("utf-8", "UTF-8", "<meta charset=iso-8859-1>"),
        ("utf-8-sig", "iso-8859-1", ""),
        ("iso-8859-1", "ISO-8859-1", ""),
        ("iso-8859-1", None, "<meta charset='latin1'>"),
        (
            "cp1252",
            None,
            '<meta http-equiv=Content-Type content="text/html; charset=windows-1252">',
        ),
        ("cp1252", "no-such-charset", ""),
        ("utf-16", "utf-8", ""),
        ("utf-16-le", "utf-16le", ""),
        ("iso-8859-1", "utf-7", ""),
        ("iso-8859-1", None, "<script charset=utf-8></script><meta charset=latin1>"),
        ("utf-8", None, "<link href=a charset=latin1><form accept-charset=latin1>"),
        ("utf-8", None, "<!-- <meta charset=latin1> --><meta charset=utf-8>"),
        ("iso-8859-1", None, "<meta name=x content='encoding=utf-8'><meta charset=iso88591>"),
        ("iso-8859-1", "unicode_escape", ""),
    ],
)
def test_the_charset_is_found_as_browsers_do(
    encoding: str, header: str | None, before: str
) -> None:
    body = f"{before}<a href='santé'>".encode(encoding)
    assert pages(body, charset=header) == ["https://e.org/dir/sant%C3%A9"]


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("x-sjis", "cp932"),
        ("Windows-31J", "cp932"),
        ("windows-949", "cp949"),
        ("x-gbk", "gb18030"),
        ("windows-874", "cp874"),
        ("x-cp1251", "cp1251"),
        ("iso885915", "iso8859-15"),
        ("ISO-8859-8-I", "iso8859-8"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("x-unicode_escape", None),
        ("nonsense", None),
    ],
)
def test_the_labels_of_browsers_are_known(label: str, codec: str | None) -> None:
    assert known_codec(label) == codec


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("/a//b", "https://e.org/a//b"),
        ("a//", "https://e.org/dir/a//"),
        ("../a/./b/../c", "https://e.org/a/c"),
        ("../../../a", "https://e.org/a"),
        ("?q=1", "https://e.org/dir/page.html?q=1"),
        ("a?u=http://o.org/", "https://e.org/dir/a?u=http://o.org/"),
        ("a;b=1?c", "https://e.org/dir/a;b=1?c"),
        ("//o.org/a", "https://o.org/a"),
        ("\\a\\b", "https://e.org/a/b"),
    ],
)
def test_relative_urls_resolve_as_in_browsers(written: str, url: str) -> None:
    assert pages(f"<a href='{written}'>") == [url]


@given(st.lists(st.sampled_from(["/", "..", "../", "./", "a", "é", "%41", "?", ":", "x=1", "~"])))
def test_short_cuts_to_a_url_lead_to_the_same_one(parts: list[str]) -> None:
    written = "".join(parts)
    if written and "//" not in written:
        url = canonicalize(written, BASE)
        assert pages(f"<a href='{written}'>") == ([url] if url else [])


def test_a_query_is_escaped_in_the_pages_charset() -> None:
    body = "<a href='é?q=é&amp;r=1'>".encode("latin-1")
    assert pages(body, charset="iso-8859-1") == ["https://e.org/dir/%C3%A9?q=%E9&r=1"]


def test_a_style_sheet_names_what_it_loads() -> None:
    sheet = """@charset "utf-8"; @import "a.css"; @import url(b.css) print;
      @namespace svg url(http://www.w3.org/2000/svg);
      /* url(comment.png) */ .a { src: url('c d.png') url( "e\\"f.png" ), url(g\\20 h.png) }
      .b { background: url(data:image/png;base64,AA), URL(i.png) } .c { x: url("""
    names = ["a.css", "b.css", "c%20d.png", "e%22f.png", "g%20h.png", "i.png"]
    assert assets(sheet, "text/css") == [f"https://e.org/dir/{name}" for name in names]


def test_a_hostile_style_sheet_is_read_in_linear_time() -> None:
    for piece in ("url(", 'url("', "@import ", "/*", "url('\\", "url(a", "@namespace ", "\\url( "):
        assert len(list(urls_in_css(piece * 50_000))) <= 50_000


def test_feeds_name_their_entries() -> None:
    rss = """<?xml version="1.0"?><?xml-stylesheet href="feed.xsl" type="text/xsl"?><rss><channel>
      <link>https://e.org/</link><atom:link href="https://e.org/feed" rel="self"/><item>
      <link><![CDATA[https://e.org/a?b=1&c=2]]></link><guid isPermaLink="false">17</guid>
      <enclosure url="https://e.org/talk.mp3"/></item></channel></rss>"""
    assert found(rss, "application/rss+xml") == [
        Link("https://e.org/", False),
        Link("https://e.org/feed", False),
        Link("https://e.org/a?b=1&c=2", False),
        Link("https://e.org/talk.mp3", False),
        Link("https://e.org/dir/feed.xsl", True),
    ]
    atom = '<feed xmlns="http://www.w3.org/2005/Atom"><link href="/a?b=1&amp;c=2"/></feed>'
    assert pages(atom, "application/atom+xml") == ["https://e.org/a?b=1&c=2"]
    assert pages(atom, "text/xml") == ["https://e.org/a?b=1&c=2"]


def test_xhtml_and_unnamed_html_are_read_like_html() -> None:
    for mime in ("application/xhtml+xml", "application/xml", ""):
        assert pages("<html xmlns='http://www.w3.org/1999/xhtml'><a href='x'/></html>", mime)


def test_other_kinds_of_bodies_have_no_links() -> None:
    for mime in ("text/plain", "application/pdf", "application/javascript", "image/png"):
        assert found("<a href=x>", mime) == []
    assert found("GIF89a <a href=x>", "") == []


def test_headers_name_links_too() -> None:
    headers = [
        ("Link", '<a>; rel=next, </b.css>; as=style; rel="preload", <c;d>; title="e, <f>"; rel=up'),
        ("link", "<https://cdn.e.org>; rel=preconnect, <g>"),
        ("REFRESH", "0; url=h"),
        ("Content-Type", "<i>; rel=next"),
    ]
    assert links_of(b"", "", None, BASE, headers) == [
        Link("https://e.org/dir/a", False),
        Link("https://e.org/dir/c;d", False),
        Link("https://e.org/dir/h", False),
        Link("https://e.org/b.css", True),
    ]


def test_a_body_is_read_up_to_the_cap() -> None:
    filler = b" " * BODY_LIMIT_BYTES
    assert pages(b"<a href=first>" + filler + b"<a href=last>") == ["https://e.org/dir/first"]


@pytest.mark.parametrize("tag", ["div", "table", "b", "a href=y", "svg"])
def test_a_very_deep_page_is_read(tag: str) -> None:
    nested = f"<{tag}>" * 50_000 + "<a href=x>" + f"</{tag.split()[0]}>" * 50_000
    assert "https://e.org/dir/x" in pages(nested)


@given(
    st.one_of(st.binary(max_size=300), SOUP),
    st.sampled_from(["text/html", "", "text/css", "application/xml", "application/rss+xml"]),
    st.sampled_from([None, "utf-8", "utf-16", "x\0y", "base64", "iso-2022-jp", "hz", "utf-7"]),
)
def test_no_bytes_raise_and_all_links_are_whole(
    body: bytes, mime: str, charset: str | None
) -> None:
    links = links_of(body, mime, charset, BASE, [("Link", body.decode("latin-1"))])
    assert len(set(links)) == len(links)
    assert all(link.url.startswith(("http://", "https://")) for link in links)
