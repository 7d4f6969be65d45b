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
# Labels of the encoding standard that follow no pattern.
LABELS = {
    "windows-31j": "cp932",
    "dos-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "unicode-1-1-utf-8": UTF8,
    "x-x-big5": "big5",
}
RUN_TOGETHER = re.compile(r"^iso8859(\d+)$")
# Python's own codecs that are no charsets of the web, and UTF-7, which browsers refuse.
REFUSED = ("utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# In a meta element, an XML declaration or at the beginning of a style sheet: the charset that a
# script, a style sheet's link or a form names is not the page's own. Comments are passed over.
DECLARED = re.compile(
    rb"""<!--.*?(?:-->|\Z)
    | (?:<meta[\s/][^>]{0,500}?charset | <\?xml\s[^>]{0,200}?encoding)
      \s{0,9}=\s{0,9}["']?\s{0,9}([\w.:-]{2,40})
    | \A@charset\s"([\w.:-]{2,40})"
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
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
    if named := _declared_within(body):
        # A declaration that can be read as ASCII is not written in UTF-16.
        return UTF8 if named.startswith("utf-16") else named, 0
    return (UTF8 if _is_utf8(body) else FALLBACK), 0


def _declared_within(body: bytes) -> str | None:
    for found in DECLARED.finditer(body, 0, DECLARED_WITHIN_BYTES):
        label = found[1] or found[2]
        if label and (named := known_codec(label.decode("ascii", "replace"))):
            return named
    return None


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
    written = label.strip().lower()
    for spelling in (written, LABELS.get(written), _as_python_spells(written)):
        if spelling and (name := _text_codec(spelling)):
            return None if name in REFUSED else SUPERSETS.get(name, name)
    return None


def _as_python_spells(label: str) -> str:
    """A label of the encoding standard by Python's pattern: x-gbk, windows-949, iso885915."""
    plain = label.removeprefix("x-").replace("windows-", "cp")
    return RUN_TOGETHER.sub(r"iso8859-\1", plain)


def _text_codec(spelling: str) -> str | None:
    try:
        name = codecs.lookup(spelling).name
        # Also refuses codecs that do not decode to text, such as base64.
        b"  ".decode(name, "replace")
    except (LookupError, ValueError, UnicodeError):
        return None
    return name


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # A character that the cap has cut in two is no proof against it.
        return error.end == len(body) and error.reason == "unexpected end of data"
    return True
