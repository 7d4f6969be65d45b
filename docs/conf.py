"""How the documentation becomes a site: `make site`."""

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
