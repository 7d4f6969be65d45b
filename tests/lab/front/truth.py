"""What a right archive of the front site holds, and what tells its pages apart."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.front.content import (
    FOUND_BY_SEARCH,
    ITEM_PAGES,
    LAST_ITEM,
    PHRASES,
    ROUTES,
    FrontContent,
)
from tests.lab.front.plain_pages import HIDDEN, plain_pages

FRAME_PHRASE = "The velvet notice asks every visitor to greet the ferryman"
DEEPER = {  # what is there only after scrolling, waiting, or in shadow and frame
    "/news": (LAST_ITEM,),
    "/gallery": (PHRASES["galleryEnd"],),
    "/search": (FOUND_BY_SEARCH,),
    "/widgets": (PHRASES["shadow"],),
    "/frames": (FRAME_PHRASE,),
    "/late": (PHRASES["lateChart"],),
}
# What rendering has to ask for; a name that begins with "cdn:" is on the second host.
ON_EVERY_ROUTE = (
    "/styles/main.css",
    "/styles/colours.css",
    "/images/banner.png",
    "/images/paper.png",
    "/sw.js",
    "/offline/offline.html",
    "/offline/contacts.json",
    "/images/offline.png",
    "cdn:/fonts/fonts.css",
)
ON_ROUTE = {
    "/": ("/images/harbour.png", "cdn:/images/logo.png"),
    "/news": tuple(f"/api/items?page={page}" for page in range(1, ITEM_PAGES + 1)),
    "/gallery": (
        *(f"/images/lazy-{number}.png" for number in range(1, 7)),
        "/images/watched.png",
        "cdn:/images/tall.png",
    ),
    "/video": ("/images/poster.png", "/media/clip.webm", "/media/clip.vtt"),
    "/widgets": ("/images/shadow.png", "/images/card.png"),
    "/frames": ("/embedded/notice.html", "/embedded/notice.css", "/images/notice.png"),
    "/topics": ("/api/topics",),
    "/fr/accueil": ("/images/port.png",),
}
FONTS = {
    "latin-400": "/",
    "latin-700": "/",
    "latin-ext-400": "/about",
}  # subset: a page that shows it
ALTERNATIVES = {
    "/gallery": tuple(f"/images/wide-{width}.png" for width in (480, 960, 1920)),
    "/": ("/images/dots-1x.png", "/images/dots-2x.png"),
}


@dataclass(frozen=True, slots=True)
class FrontPage:
    """A page. Its `phrase` is in no other page's rendered text.

    `shell`: the phrase is not in the HTML as it is served. `deeper` phrases come by scrolling,
    waiting, or from shadow and frame. `assets` are the URLs that rendering it must ask for, beside
    chunks of the bundle; `in_sitemap` and `linked` say how a crawl may find it: the links of a page
    with `linked` False are found only in a shadow root, a frame or after scrolling.
    """

    url: str
    phrase: str
    shell: bool
    language: str
    deeper: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    in_sitemap: bool = False
    linked: bool = True


@dataclass(frozen=True, slots=True)
class FrontTruth:
    """The pages, and the URLs beside them.

    `bundle`: the app's scripts, each of which some route asks for. `alternatives`: of each group a
    browser asks for at least one. `files`: documents that links lead to. `posts`: (URL, body) of
    requests that are not GET. `mentioned`: named in the HTML, asked for by some browsers only.
    `unused`: served, but no browser at one pixel per pixel should ask for it.
    """

    pages: tuple[FrontPage, ...]
    bundle: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...]
    files: tuple[str, ...]
    posts: tuple[tuple[str, bytes], ...]
    mentioned: tuple[str, ...]
    unused: tuple[str, ...]

    @staticmethod
    def of(content: FrontContent) -> FrontTruth:
        """The truth about the site with this content."""
        base = content.base
        return FrontTruth(
            pages=(*_shells(content), *_plain(content)),
            bundle=tuple(base + target for target in content.main if target.startswith("/assets/")),
            alternatives=tuple(
                tuple(base + target for target in group) for group in ALTERNATIVES.values()
            ),
            files=(f"{base}/documents/guide.pdf", f"{base}/documents/figures.csv"),
            posts=((f"{base}/api/search", b'{"words":"fever"}'),),
            mentioned=tuple(
                base + target
                for target in ("/favicon.png", "/site.webmanifest", "/images/icon-192.png")
            ),
            unused=(f"{base}/images/never.png", f"{content.cdn}/images/tall-dark.png"),
        )

    @property
    def shells(self) -> tuple[FrontPage, ...]:
        """The pages that scripts build."""
        return tuple(page for page in self.pages if page.shell)

    @property
    def plain(self) -> tuple[FrontPage, ...]:
        """The pages that are whole as they are served."""
        return tuple(page for page in self.pages if not page.shell)

    @property
    def assets(self) -> frozenset[str]:
        """All that rendering every shell page, scrolled to its end, must ask for."""
        return frozenset(self.bundle).union(*(page.assets for page in self.shells))

    def page(self, url: str) -> FrontPage:
        """The page at this URL."""
        return next(page for page in self.pages if page.url == url)


def _shells(content: FrontContent) -> list[FrontPage]:
    pages = []
    for route in content.routes:
        name = route.removeprefix("/topics/")
        if route in ROUTES:
            key, language = ROUTES[route]
            phrase, assets = PHRASES[key], ON_ROUTE.get(route, ())
        else:
            phrase, language = content.topic_phrase(name), "en"
            assets = (f"/api/topics/{name}", f"cdn:/images/{name}.png")
        page = FrontPage(
            url=content.base + route,
            phrase=phrase,
            shell=True,
            language=language,
            deeper=DEEPER.get(route, ()),
            assets=_absolute(content, (*ON_EVERY_ROUTE, *assets, *_fonts(content, route))),
            in_sitemap=True,
        )
        pages.append(page)
    return pages


def _fonts(content: FrontContent, route: str) -> list[str]:
    """The fonts that a page shows; those of the first page are shown by all."""
    wanted = [subset for subset, page in FONTS.items() if page in ("/", route)]
    return [
        f"cdn:{target}"
        for target in content.second
        for subset in wanted
        if f"/inter-{subset}-normal" in target and target.endswith(".woff2")
    ]


def _plain(content: FrontContent) -> list[FrontPage]:
    style = (f"{content.base}/styles/plain.css",)
    return [
        FrontPage(
            url=content.base + page.target,
            phrase=page.phrase,
            shell=False,
            language=page.language,
            assets=style,
            linked=page.target not in HIDDEN,
        )
        for page in plain_pages()
    ]


def _absolute(content: FrontContent, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        content.cdn + name.removeprefix("cdn:") if name.startswith("cdn:") else content.base + name
        for name in names
    )
