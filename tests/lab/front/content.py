"""All that the front site serves, by host and target: what was built, and what is made beside."""

from __future__ import annotations

import gzip
import json
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.lab.answers import sha256
from tests.lab.front import pictures, plain_pages
from tests.lab.pdf import one_page_pdf

SOURCES = Path(__file__).parent
PHRASES: dict[str, str] = json.loads((SOURCES / "phrases.json").read_text(encoding="utf-8"))
CDN_IN_SOURCES = "http://cdn.invalid"
TEXTS = ("text/", "application/json", "application/manifest+json", "application/xml")
LASTING = ("image/", "font/", "video/", "text/css", "text/javascript")
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".vtt": "text/vtt"}
ROUTES = {  # path: (key of its phrase, language)
    "/": ("home", "en"),
    "/news": ("news", "en"),
    "/gallery": ("gallery", "en"),
    "/video": ("video", "en"),
    "/documents": ("documents", "en"),
    "/search": ("search", "en"),
    "/widgets": ("widgets", "en"),
    "/frames": ("frames", "en"),
    "/topics": ("topics", "en"),
    "/late": ("late", "en"),
    "/about": ("about", "en"),
    "/fr/accueil": ("welcome", "fr"),
    "/fr/sante": ("health", "fr"),
}
ITEM_PAGES = 6
ITEMS_A_PAGE = 20
LAST_ITEM = "The last of all items is number one hundred and twenty, a green bench"
FOUND_BY_SEARCH = "Fever is answered on the eleventh shelf of the amber catalogue"
GUIDE = "The guide to folding paper cranes"
FILM_BYTES = 600_000
PICTURES = {  # of the main host: (width, height)
    **{f"lazy-{number}": (320, 200) for number in range(1, 7)},
    **{f"wide-{width}": (width, width // 4) for width in (480, 960, 1920)},
    **dict.fromkeys(("harbour", "port", "poster", "watched", "never", "shadow"), (320, 160)),
    **dict.fromkeys(("banner", "paper", "card", "notice", "offline", "plain"), (120, 80)),
    "dots-1x": (16, 16),
    "dots-2x": (32, 32),
    "icon-192": (192, 192),
}


@dataclass(frozen=True, slots=True)
class Served:
    """What one target answers: the body, and the gzip form of it where that is worth while."""

    body: bytes
    mime: str
    encoded: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def caching(self) -> str:
        """The Cache-Control field: pages, the API and the service worker are always asked anew."""
        lasting = self.mime.startswith(LASTING) and b'addEventListener("fetch"' not in self.body
        return "public, max-age=3600" if lasting else "no-cache"

    def tag(self, encoded: bool) -> str:
        """The ETag of either form."""
        return f'"{sha256(self.body)[:16]}{"-gzip" if encoded else ""}"'


@dataclass(frozen=True)
class FrontContent:
    """The site at its two addresses, with so many topics. `built` is the directory of the build."""

    base: str
    cdn: str
    built: Path
    topics: int = 2

    @property
    def topic_names(self) -> list[str]:
        """The topics' names in their paths."""
        first = ["asthma", "influenza"]
        return [*first, *(f"topic-{number:04}" for number in range(3, self.topics + 1))][
            : self.topics
        ]

    @cached_property
    def main(self) -> dict[str, Served]:
        """By target: what the main host answers with 200 to a GET."""
        files = {
            f"/{path.relative_to(self.built).as_posix()}": self._file(path)
            for path in sorted(self.built.rglob("*"))
            if path.is_file() and "cdn" not in path.relative_to(self.built).parts
        }
        shell = files.pop("/index.html")
        routes = dict.fromkeys(self.routes, shell)
        return {
            **files,
            **routes,
            **self._pictures(),
            **self._plain(),
            **self._api(),
            **self._others(),
        }

    @cached_property
    def second(self) -> dict[str, Served]:
        """By target: what the CDN-like second host answers, to every origin."""
        fonts = sorted((self.built / "cdn").rglob("*.*"))
        files = {f"/{path.relative_to(self.built / 'cdn').as_posix()}": path for path in fonts}
        images = {f"/images/{name}.png": (80, 40) for name in self.topic_names}
        images |= {"/images/logo.png": (64, 64), "/images/tall.png": (100, 300)}
        images["/images/tall-dark.png"] = (100, 300)
        return {
            **{target: self._file(path) for target, path in files.items()},
            **{target: _png(target, *size) for target, size in images.items()},
        }

    @property
    def routes(self) -> list[str]:
        """The paths of the app's pages, all of which answer with the same shell."""
        return [*ROUTES, *(f"/topics/{name}" for name in self.topic_names)]

    def topic_phrase(self, name: str) -> str:
        """The sentence that only the page of this topic has."""
        return f"Concerning {name} the brass scales came to rest at {sha256(name.encode())[:6]}"

    def _file(self, path: Path) -> Served:
        mime = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        data = path.read_bytes()
        if _is_text(mime or ""):
            data = data.replace(CDN_IN_SOURCES.encode(), self.cdn.encode())
        return _served(data, mime or "application/octet-stream")

    def _pictures(self) -> dict[str, Served]:
        found = {f"/images/{name}.png": _png(name, *size) for name, size in PICTURES.items()}
        return {**found, "/favicon.png": _png("favicon", 32, 32)}

    def _plain(self) -> dict[str, Served]:
        pages = {
            page.target: _served(page.html.encode(), "text/html")
            for page in plain_pages.plain_pages()
        }
        style = b"body { font-family: sans-serif; max-width: 50rem; }\n"
        return {**pages, "/styles/plain.css": _served(style, "text/css")}

    def _api(self) -> dict[str, Served]:
        answers: dict[str, object] = {
            f"/api/items?page={page}": _items(page) for page in range(1, ITEM_PAGES + 1)
        }
        titles = [{"name": name, "title": f"About {name}"} for name in self.topic_names]
        answers["/api/topics"] = {"topics": titles}
        for name in self.topic_names:
            answers[f"/api/topics/{name}"] = {
                "title": f"About {name}",
                "paragraphs": [f"{self.topic_phrase(name)}.", *plain_pages.paragraphs(name, 4)],
                "picture": f"{self.cdn}/images/{name}.png",
            }
        return {target: as_json(answer) for target, answer in answers.items()}

    def _others(self) -> dict[str, Served]:
        locations = "".join(f"<url><loc>{self.base}{route}</loc></url>" for route in self.routes)
        sitemap = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>\n'
        )
        robots = f"User-agent: *\nAllow: /\nSitemap: {self.base}/sitemap.xml\n"
        attached = (("Content-Disposition", 'attachment; filename="figures.csv"'),)
        captions = "WEBVTT\n\n00:00.000 --> 00:02.000\nTeacups, one after the other\n"
        return {
            "/robots.txt": _served(robots.encode(), "text/plain"),
            "/sitemap.xml": _served(sitemap.encode(), "application/xml"),
            "/documents/guide.pdf": _served(one_page_pdf(GUIDE), "application/pdf"),
            "/documents/figures.csv": _served(b"year,cases\n2025,12\n", "text/csv", attached),
            "/media/clip.webm": _served(pictures.film(FILM_BYTES), "video/webm"),
            "/media/clip.vtt": _served(captions.encode(), "text/vtt"),
        }


def search(words: str) -> Served:
    """The answer to a search that was asked by POST."""
    return as_json({"words": words, "found": [FOUND_BY_SEARCH, f"Nothing more about {words}"]})


def as_json(answer: object) -> Served:
    """An answer of the API."""
    return _served(json.dumps(answer, ensure_ascii=False).encode(), "application/json")


def _items(page: int) -> dict[str, object]:
    first = (page - 1) * ITEMS_A_PAGE + 1
    items = [
        {"id": number, "title": f"Item number {number} of the bulletin"}
        for number in range(first, first + ITEMS_A_PAGE)
    ]
    if page == ITEM_PAGES:
        items[-1] |= {"title": LAST_ITEM, "link": "/plain/only-from-scroll.html"}
    return {"items": items, "next": page + 1 if page < ITEM_PAGES else None}


def _png(name: str, width: int, height: int) -> Served:
    return _served(pictures.png(name, width, height), "image/png")


def _served(body: bytes, mime: str, headers: tuple[tuple[str, str], ...] = ()) -> Served:
    if not _is_text(mime):
        return Served(body, mime, b"", headers)
    return Served(body, f"{mime}; charset=utf-8", gzip.compress(body, 6, mtime=0), headers)


def _is_text(mime: str) -> bool:
    return mime.startswith(TEXTS)
