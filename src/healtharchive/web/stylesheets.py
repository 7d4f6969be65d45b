"""Archived style sheets whose references lead into the archive."""

from __future__ import annotations

import re

from healtharchive.web.doorway import NOTHING, Doorway

# url(…) in its three spellings, and the string form of @import (CSS Values 4 §4.5, Cascade §2).
# What hides behind CSS escapes is left alone: the Content-Security-Policy of the answer stops it.
REFERENCE = re.compile(
    r"""url\(\s*(?:"(?P<double>(?:[^"\\\n]|\\.)*)"|'(?P<single>(?:[^'\\\n]|\\.)*)'"""
    r"""|(?P<bare>[^)"'\s]*))\s*\)"""
    r"""|@import\s+(?:"(?P<import_double>[^"\n]*)"|'(?P<import_single>[^'\n]*)')""",
    re.IGNORECASE,
)


def rewrite(css: str, doorway: Doorway) -> str:
    """The style sheet with every reference it names pointing into the archive, or at nothing."""

    def into_archive(match: re.Match[str]) -> str:
        name = match.lastgroup or "bare"
        address = doorway.requisite(match[name] or "") or NOTHING
        quoted = address.replace("\\", "%5C").replace('"', "%22").replace("\n", "")
        prefix = "@import " if name.startswith("import") else ""
        return f'{prefix}url("{quoted}")'

    return REFERENCE.sub(into_archive, css)
