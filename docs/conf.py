"""How the documentation becomes a site: `make site`."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from healtharchive import __version__

project = "HealthArchive"
copyright = "the authors of HealthArchive"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# Links to headings are checked too.
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {
    "description": "A web archive that finishes its capture campaigns by itself.",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "show_powered_by": False,
}
html_show_sourcelink = False
html_copy_source = False

# What `make pictures` took stands where a page names it; without them, the pages name them only.
PICTURES = Path(__file__).parent.parent / "build" / "pictures"
NAMED = re.compile(r"\*\(`(([a-z]+)[a-z-]*\.png)`\)\*")
pictures_there = sorted(each.name for each in PICTURES.glob("*.png"))


def setup(app: Sphinx) -> None:
    """Pages are read anew when other pictures are there."""
    app.add_config_value("pictures_there", [], "env")
    app.connect("source-read", show_pictures)


def show_pictures(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the pictures that are there into a page's text."""
    place = os.path.relpath(PICTURES, Path(app.srcdir, page).parent)

    def shown(found: re.Match[str]) -> str:
        if found[1] not in pictures_there:
            return found[0]
        return f"\n\n![A picture of the page: {found[2]}]({place}/{found[1]})\n\n"

    source[0] = NAMED.sub(shown, source[0])
