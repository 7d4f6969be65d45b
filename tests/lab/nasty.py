"""What real sites have: the pages beside the corpus, each trouble with a leaf behind it.

A leaf is a page that nothing else links to: when it is missing in an archive, its name says which
trouble was not survived.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass

import brotli

from tests.lab.answers import (
    Answer,
    Page,
    chunked,
    generated,
    gzipped,
    lying,
    plain,
    redirect,
    sha256,
)
from tests.lab.pdf import one_page_pdf

Pages = dict[str, Page]
FRENCH = (
    "La vaccination contre la rougeole protège les enfants et les personnes âgées.",
    "L'eau potable des communautés est analysée par les laboratoires de santé publique.",
    "Les ordonnances électroniques réduisent les erreurs de médication à l'hôpital.",
)


@dataclass(frozen=True, slots=True)
class Proportions:
    """How big and how slow the lab's site is."""

    big_bytes: int = 200_000_000
    slow_seconds: float = 3.0
    retry_after_seconds: int = 1


def html(title: str, links: Iterable[str] = (), more: str = "", language: str = "en") -> str:
    """A page with a title and links."""
    items = "".join(f"<li><a href='{link}'>{link}</a></li>" for link in links)
    return (
        f"<!doctype html><html lang='{language}'><head><meta charset='utf-8'>"
        f"<title>{title}</title></head><body><h1>{title}</h1><p>About {title}.</p>"
        f"<ul>{items}</ul>{more}</body></html>"
    )


def page(title: str, *links: str, more: str = "", also: tuple[str, ...] = ()) -> Page:
    """An honest page; `also` are targets that `more` leads to."""
    return Page((plain(html(title, links, more).encode()),), (*links, *also))


def leaf(name: str) -> tuple[str, Page]:
    """A page at /leaf/name that links nowhere."""
    return f"/leaf/{name}", page(f"leaf of {name}")


def build(base: str, outside: str, size: Proportions) -> Pages:
    """All the pages beside the corpus, by target; /nasty leads to every part."""
    parts = (
        _framing(),
        _redirects(base),
        _troubles(size),
        _character_sets(),
        _french(),
        _sessions_and_cookies(),
        _ways_to_link(base),
        _files(size),
        _duplicates(),
    )
    pages: Pages = {}
    for part in parts:
        pages.update(part)
    entrances = [next(iter(part)) for part in parts]
    stray = (
        "<a href='/private/ledger'>staff</a><a href='/private/'>staff</a>"
        "<a href='/excluded/old'>old</a>"
        f"<a href='{outside}/outside/page'>elsewhere</a><img src='{outside}/outside/pixel.png'>"
        "<a href='http://outside.invalid/x'>elsewhere</a><a href='mailto:lab@example.org'>mail</a>"
        "<a href='javascript:void(0)'>script</a><a href='ftp://outside.invalid/x'>ftp</a>"
        "<a href='data:text/plain,x'>data</a><a href='http://[broken/'>broken</a>"
        "<a href='#top'>top</a><a href=''>self</a>"
    )
    traps = ("/calendar/2026/01", "/events?month=1")
    nasty = page("Everything that real sites have", *entrances, *traps, more=stray)
    return {"/nasty": nasty, **pages, **_robots_and_sitemaps(base)}


def _robots_and_sitemaps(base: str) -> Pages:
    robots = (
        "# the lab's rules\nUser-agent: SlowBot\nCrawl-delay: 30\nDisallow: /docs/\n\n"
        "User-agent: *\nDisallow: /private/\n\n"
        f"Sitemap: {base}/sitemap_index.xml\n"
    )
    index = "".join(
        f"<sitemap><loc>{base}{name}</loc><lastmod>2026-01-02</lastmod></sitemap>"
        for name in ("/sitemap-docs.xml.gz", "/sitemap-pages.xml", "/sitemap-gone.xml")
    )
    schema = "xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'"
    lists = {
        name: "<?xml version='1.0' encoding='UTF-8'?>"
        f"<urlset {schema}><url><loc>{base}{target}</loc><lastmod>2026-01-24T04:12:00Z</lastmod>"
        "</url></urlset>"
        for name, target in (("docs", "/leaf/sitemap-gzip"), ("pages", "/leaf/sitemap-plain"))
    }
    sitemaps = {
        "/sitemap_index.xml": plain(
            f"<?xml version='1.0'?><sitemapindex {schema}>{index}</sitemapindex>".encode(),
            mime="application/xml",
        ),
        "/sitemap-docs.xml.gz": plain(
            gzip.compress(lists["docs"].encode(), mtime=0), mime="application/gzip"
        ),
        "/sitemap-pages.xml": plain(lists["pages"].encode(), mime="text/xml"),
        "/sitemap-gone.xml": plain(b"gone", status=404, mime="text/plain"),
    }
    aside = {name: Page((answer,), required=False) for name, answer in sitemaps.items()}
    rules = Page((plain(robots.encode(), mime="text/plain"),), required=False, most=None)
    return {
        "/robots.txt": rules,
        **aside,
        **dict([leaf("sitemap-gzip"), leaf("sitemap-plain")]),
        "/private/ledger": page("never to be fetched"),
        "/private/": page("never to be fetched either"),
        "/excluded/old": page("excluded by the source"),
    }


def _framing() -> Pages:
    """Encodings, chunks, and lengths that are wrong."""
    names = ("gzip", "brotli", "chunked", "gzip-chunked", "too-short", "first-cut")
    leaves = [leaf(name) for name in names]
    to = {name: html(name, [f"/leaf/{name}"], "<p>filling</p>" * 300).encode() for name in names}
    encoded = plain(brotli.compress(to["brotli"]), headers=(("Content-Encoding", "br"),))
    both = chunked(
        gzip.compress(to["gzip-chunked"], mtime=0), headers=(("Content-Encoding", "gzip"),)
    )
    whole = chunked(to["first-cut"])
    cut = chunked(to["first-cut"], cut_at=900)
    short = html("too short", ["/leaf/too-short"]).encode()
    answers: dict[str, tuple[Answer, ...]] = {
        "/framing/gzip": (gzipped(to["gzip"]),),
        "/framing/brotli": (encoded,),
        "/framing/chunked": (chunked(to["chunked"]),),
        "/framing/gzip-chunked": (both,),
        "/framing/too-short": (lying(short + b"<p>beyond</p>" * 9, len(short)),),
        "/framing/first-cut": (cut, whole),
    }
    links = [(target, f"/leaf/{target.rsplit('/', 1)[1]}") for target in answers]
    pages = {target: Page(answers[target], (to_leaf,)) for target, to_leaf in links}
    pages["/framing/too-long"] = Page((lying(html("too long").encode(), 90_000),))
    pages["/framing/always-cut"] = Page((chunked(to["chunked"] + b"x", cut_at=2_000),))
    pages["/framing/empty"] = Page((plain(b""),))
    pages["/framing/no-content"] = Page((_no_content(),))
    return {"/framing/": page("framing", *pages), **pages, **dict(leaves)}


def _no_content() -> Answer:
    """204: no body, and no Content-Length (RFC 9110 §8.6)."""
    return Answer(204, b"HTTP/1.1 204 No Content\r\nServer: lab\r\n\r\n", b"", sha256(b""))


def _redirects(base: str) -> Pages:
    pages = {
        f"/redirect/{status}": Page((redirect(status, to),), (f"/leaf/redirect-{status}",))
        for status, to in (
            (301, "/leaf/redirect-301"),
            (302, f"{base}/leaf/redirect-302#part"),
            (307, "../leaf/redirect-307"),
            (308, "/leaf/./redirect-308"),
        )
    }
    leaves = [leaf(f"redirect-{status}") for status in (301, 302, 307, 308)]
    pages["/redirect/loop-a"] = Page((redirect(302, "/redirect/loop-b"),), ("/redirect/loop-b",))
    pages["/redirect/private"] = Page((redirect(302, "/private/by-redirect"),))
    entrance = page("redirects", *pages)
    loop = Page((redirect(302, "/redirect/loop-a"),), ("/redirect/loop-a",))
    return {"/redirect/": entrance, **pages, "/redirect/loop-b": loop, **dict(leaves)}


def _troubles(size: Proportions) -> Pages:
    """Statuses that say no, or not now."""
    wait = (("Retry-After", str(size.retry_after_seconds)),)
    pages: Pages = {}
    for status in (404, 410, 403, 500):
        said = plain(html(f"answer {status}").encode(), status=status)
        pages[f"/trouble/{status}"] = Page((said,))
    for status in (429, 503):
        not_now = plain(b"<p>not now</p>", status=status, headers=wait)
        then = plain(html(f"after {status}", [f"/leaf/after-{status}"]).encode())
        pages[f"/trouble/{status}"] = Page((not_now, then), (f"/leaf/after-{status}",))
    slow = html("slow", ["/leaf/slow"]).encode()
    pages["/trouble/slow"] = Page((plain(slow, pause_seconds=size.slow_seconds),), ("/leaf/slow",))
    leaves = dict([leaf("after-429"), leaf("after-503"), leaf("slow")])
    return {"/trouble/": page("troubles", *pages), **pages, **leaves}


def _character_sets() -> Pages:
    leaves = [leaf(name) for name in ("latin-1", "utf-16", "shift-jis", "windows-1252")]
    accented = "/charsets/caf%C3%A9"
    texts = {
        "latin-1": ("Données de santé", "iso-8859-1", "text/html; charset=iso-8859-1", ""),
        "utf-16": ("Santé au travail", "utf-16", "text/html; charset=utf-16", ""),
        "shift-jis": ("健康と予防接種", "shift_jis", "text/html", "shift_jis"),
        "windows-1252": ("L’hôpital – œuvre", "cp1252", "text/html", "windows-1252"),
    }
    pages: Pages = {}
    for name, (text, codec, mime, declared) in texts.items():
        meta = f"<meta charset={declared}>" if declared else ""
        body = (
            f"<html><head>{meta}<title>{text}</title></head><body><p>{text}</p>"
            f"<a href=/leaf/{name}>leaf</a></body></html>"
        )
        if name == "latin-1":
            body += "<a href='/charsets/café'>café</a>"
        links = (f"/leaf/{name}", accented) if name == "latin-1" else (f"/leaf/{name}",)
        pages[f"/charsets/{name}"] = Page((plain(body.encode(codec), mime=mime),), links)
    cafe = {accented: page("a path that is not ASCII")}
    return {"/charsets/": page("character sets", *pages), **pages, **cafe, **dict(leaves)}


def _french() -> Pages:
    pages = {
        f"/fr/sante-{number}": Page(
            (plain(html(text, (), f"<p>{text}</p>" * 5, language="fr").encode()),)
        )
        for number, text in enumerate(FRENCH)
    }
    body = html("Santé publique", pages, language="fr").encode()
    return {"/fr/": Page((plain(body),), tuple(pages)), **pages}


def _sessions_and_cookies() -> Pages:
    one, two = "/session/item", "/session/basket?size=2"
    with_ids = (
        f"<a href='{one};jsessionid=0123456789ABCDEF0123456789ABCDEF'>a</a>"
        f"<a href='{one};jsessionid=FEDCBA98765432100123456789ABCDEF.node2'>b</a>"
        "<a href='/session/basket?PHPSESSID=0123456789abcdef0123456789abcdef&amp;size=2'>c</a>"
        "<a href='/session/basket?size=2&amp;PHPSESSID=aaaaaaaaaaaaaaaaaaaaaaaaaa'>d</a>"
    )
    wall = redirect(302, "/cookies/wall", (("Set-Cookie", "wall=1; Path=/cookies"),))
    through = plain(html("behind the wall").encode())
    set_it = redirect(302, "/cookies/check", (("Set-Cookie", "seen=yes; Path=/; HttpOnly"),))
    refused = plain(html("cookies are needed").encode(), status=403)
    checked = plain(html("with a cookie").encode())
    entrance = page(
        "sessions and cookies",
        "/cookies/wall",
        "/cookies/set",
        more=with_ids,
        also=(one, two),
    )
    return {
        "/session/": entrance,
        one: page("the same item, whatever the session"),
        two: page("the same basket, whatever the session"),
        # After five requests without the cookie the wall opens: no reader is sent round for ever.
        "/cookies/wall": Page((wall,) * 5 + (through,), cookie="wall=1", accepted=(wall, through)),
        "/cookies/set": Page((set_it,), ("/cookies/check",)),
        "/cookies/check": Page((refused, checked), cookie="seen=yes", accepted=(refused, checked)),
    }


def _ways_to_link(base: str) -> Pages:
    """Links in every place that the standards allow."""
    names = (
        *("srcset-1", "srcset-2", "css-url", "css-import", "style", "refresh", "base", "iframe"),
        *("form", "feed", "header", "alternate", "area", "picture", "frame", "absolute"),
    )
    assets = {"srcset-1", "srcset-2", "css-url", "style", "picture"}
    pixel = Page((plain(b"\x89PNG\r\n\x1a\n lab", mime="image/png"),))
    leaves = dict(leaf(name) for name in names if name not in assets)
    for name in assets:
        body = b"\x89PNG\r\n\x1a\n" + name.encode()
        leaves[f"/leaf/{name}"] = Page((plain(body, mime="image/png"),))
    leaves["/leaf/css-import"] = Page((plain(b"b { color: red }", mime="text/css"),))
    css = b"@import '/leaf/css-import'; p { background: url( \"../leaf/css-url\" ) }"
    feed = (
        "<?xml version='1.0'?><rss version='2.0'><channel><title>News</title>"
        f"<link>{base}/</link><item><title>x</title><link>{base}/leaf/feed</link></item>"
        "</channel></rss>"
    )
    more = (
        "<img src='/ways/pixel.png' srcset='/leaf/srcset-1 1x, /leaf/srcset-2 2x'>"
        "<picture><source srcset='/leaf/picture 400w'></picture>"
        "<link rel='stylesheet' href='/ways/style.css'><p style=\"background:url('/leaf/style')\">"
        "<iframe src='/leaf/iframe'></iframe><map><area href='/leaf/area'></map>"
        "<link rel='alternate' type='application/rss+xml' href='/ways/feed.xml'>"
        "<link rel='alternate' hreflang='fr' href='/leaf/alternate'>"
        "<form method='get' action='/leaf/form'><input type='submit'></form>"
        "<form method='post' action='/private/post'><input type='submit'></form>"
        f"<a href='//{base.split('//', 1)[1]}/leaf/absolute'>scheme-relative</a>"
    )
    inside = ("iframe", "area", "alternate", "form", "absolute", "srcset-1", "srcset-2", "picture")
    also = tuple(f"/leaf/{name}" for name in (*inside, "style"))
    also += ("/ways/pixel.png", "/ways/style.css", "/ways/feed.xml")
    based = (
        "<html><head><base href='/leaf/deep/../'></head><body><a href='base'>b</a></body></html>"
    )
    refresh = "<html><head><meta http-equiv=refresh content='2; URL=/leaf/refresh'></head></html>"
    frames = "<frameset><frame src='/leaf/frame'></frameset>"
    link = (("Link", f'<{base}/leaf/header>; rel="next", </leaf/header>; rel=prev'),)
    ways = ("/ways/base", "/ways/refresh", "/ways/header", "/ways/frames")
    return {
        "/ways/": page("ways to link", *ways, more=more, also=also),
        "/ways/pixel.png": pixel,
        "/ways/style.css": Page(
            (plain(css, mime="text/css"),), ("/leaf/css-import", "/leaf/css-url")
        ),
        "/ways/feed.xml": Page(
            (plain(feed.encode(), mime="application/rss+xml"),), ("/leaf/feed", "/")
        ),
        "/ways/base": Page((plain(based.encode()),), ("/leaf/base",)),
        "/ways/refresh": Page((plain(refresh.encode()),), ("/leaf/refresh",)),
        "/ways/header": Page((plain(b"<p>see the header</p>", headers=link),), ("/leaf/header",)),
        "/ways/frames": Page((plain(frames.encode()),), ("/leaf/frame",)),
        **leaves,
    }


def _files(size: Proportions) -> Pages:
    text = "Measles vaccination schedule for the lab of public health"
    return {
        "/files/": page("files", "/files/big.bin", "/files/report.pdf", "/files/notes.txt"),
        "/files/big.bin": Page((generated(size.big_bytes),)),
        "/files/report.pdf": Page((plain(one_page_pdf(text), mime="application/pdf"),)),
        "/files/notes.txt": Page((plain(b"plain notes\n" * 40, mime="text/plain"),)),
    }


def _duplicates() -> Pages:
    same = Page((plain(html("the same payload at three addresses").encode()),))
    pages = {f"/same/{name}": same for name in ("a", "b", "c")}
    return {"/same/": page("duplicates", *pages), **pages}
