"""The corpus: a real documentation site, as a Debian package (or an installed library) ships it."""

from __future__ import annotations

import glob
import mimetypes
import random
import site
import sysconfig
from pathlib import Path

ENTRANCE = "index.html"
LEAST_PAGES = 20


class NoCorpus(Exception):
    """No HTML is on this machine; `make setup` installs Debian's python3-doc."""


def root() -> Path:
    """The directory of the documentation: python3-doc's, else the most HTML a library ships."""
    for found in sorted(glob.glob("/usr/share/doc/python3*/html"), reverse=True):
        if (Path(found) / ENTRANCE).is_file() and (Path(found) / "library").is_dir():
            return Path(found).resolve()
    places = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")}
    libraries = [library for place in places for library in Path(place).glob("*")]
    best = max(libraries, key=_count_pages, default=None)
    if best is None or _count_pages(best) < LEAST_PAGES:
        raise NoCorpus("There is no documentation to serve. Run: make setup")
    return best


def _count_pages(directory: Path) -> int:
    return sum(1 for _ in directory.rglob("*.html")) if directory.is_dir() else 0


def pick(pages: int | None, seed: int = 1) -> dict[str, Path]:
    """So many HTML pages (None: all) and every asset, by path below the root.

    The entrance is always among them; the others are drawn by the seed. A page that was not
    picked is a 404 to whoever follows a link to it, as on real sites.
    """
    directory = root()
    html = sorted(directory.rglob("*.html"))
    chosen = set(html)
    if pages is not None and pages < len(html):
        entrance = directory / ENTRANCE
        others = [path for path in html if path != entrance]
        chosen = set(random.Random(seed).sample(others, max(pages - 1, 0)))
        chosen.add(entrance if entrance.is_file() else html[0])
    return {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and (path in chosen or _is_asset(path))
    }


def _is_asset(path: Path) -> bool:
    return path.suffix in {".css", ".js", ".png", ".svg", ".xml", ".jpg", ".gif", ".ico"}


def mime_of(path: str) -> str:
    """The Content-Type a server would send."""
    mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"{mime}; charset=utf-8" if mime.startswith("text/") else mime
