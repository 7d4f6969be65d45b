"""Charsets: what bytes a page's text is written in, as browsers find it out."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

UTF8 = "utf-8"
FALLBACK = "cp1252"
# The encoding standard's supersets of what pages say (encoding.spec.whatwg.org §4.2).
SUPERSETS = {
    "ascii": FALLBACK,
    "iso8859-1": FALLBACK,
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Python's own codecs that are no charsets of the web, and UTF-7, which browsers refuse.
REFUSED = ("utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECLARED = re.compile(
    rb"""(?:charset|encoding)\s{0,9}=\s{0,9}["']?\s{0,9}([\w.:-]{2,40})""", re.IGNORECASE
)
DECLARED_WITHIN_BYTES = 4096


def charset_of(body: bytes, declared: str | None) -> tuple[str, int]:
    """The codec of a page or style sheet, and the length of its byte order mark.

    In the standard's order: byte order mark, HTTP header (`declared`), declaration within, and
    then UTF-8 if the bytes are that, else Windows-1252.
    """
    for mark, codec in MARKS:
        if body.startswith(mark):
            return codec, len(mark)
    if declared and (named := known_codec(declared)):
        return named, 0
    if (found := DECLARED.search(body, 0, DECLARED_WITHIN_BYTES)) and (
        named := known_codec(found[1].decode("ascii", "replace"))
    ):
        # A declaration that can be read as ASCII is not written in UTF-16.
        return UTF8 if named.startswith("utf-16") else named, 0
    return (UTF8 if _is_utf8(body) else FALLBACK), 0


def text_of(body: bytes, declared: str | None) -> str:
    """The text of a page, style sheet or feed; what cannot be decoded is replaced."""
    codec, mark_bytes = charset_of(body, declared)
    return body[mark_bytes:].decode(codec, "replace")


def named_charset(content_type: str) -> str | None:
    """The charset that a Content-Type field names, None when it names none."""
    _, found, value = content_type.lower().partition("charset=")
    return value.partition(";")[0].strip(" \"'") or None if found else None


@lru_cache(maxsize=256)
def known_codec(label: str) -> str | None:
    """Python's name for a charset label, None when it is none."""
    try:
        name = codecs.lookup(label.strip()).name
        # Also refuses codecs that do not decode to text, such as base64.
        b"  ".decode(name, "replace")
    except (LookupError, ValueError, UnicodeError):
        return None
    return None if name in REFUSED else SUPERSETS.get(name, name)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # A character that the cap has cut in two is no proof against it.
        return error.end == len(body) and error.reason == "unexpected end of data"
    return True
