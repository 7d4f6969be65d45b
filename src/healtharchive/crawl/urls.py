"""URLs in one canonical form, so that two spellings of one address are one URL of the frontier."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

MAX_URL_CHARACTERS = 4096
LONGEST_LABEL = 63  # RFC 1035 §2.3.4
DEFAULT_PORTS = {"http": 80, "https": 443}
SESSION_PATH = re.compile(r";(?:jsessionid|phpsessid|sid|cfid|cftoken)=[^/?#;]*", re.IGNORECASE)
SESSION_SEGMENT = re.compile(r"/\((?:[sSfF]\([^()/]*\))+\)(?=/|$)")
SESSION_NAMES = re.compile(
    r"(?:jsessionid|phpsessid|aspsessionid[a-z]*|cfid|cftoken|zenid|oscsid)", re.IGNORECASE
)
SESSION_SHORT = re.compile(r"s(?:ess(?:ion)?_?)?id=[0-9a-fA-F]{16,}", re.IGNORECASE)
ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
PATH_SAFE = "!$&'()*+,;=:@/%-._~"
# As browsers send a query (URL Standard, "special-query percent-encode set"): ' is escaped there.
QUERY_SAFE = PATH_SAFE.replace("'", "") + "?[]{}|^`\\"
LINE_BREAKS = {ord("\t"): None, ord("\n"): None, ord("\r"): None}
# Most links are canonical but for their fragment: nothing in them needs a second look.
PLAIN = re.compile(
    r"(https?)://([a-z0-9][a-z0-9.-]*[a-z0-9])(:[0-9]+)?(/[A-Za-z0-9_~!$&'()*+,=:@/-]*"
    r"(?:\.[A-Za-z0-9_~-]+)*)$"
)


def canonicalize(url: str, base: str | None = None) -> str | None:
    """The absolute http or https URL in canonical form; None for anything else.

    Lower-case scheme and host (IDNA), no default port, no fragment, no user, dot segments
    resolved, escapes normalised (RFC 3986 §6.2), session ids removed. Idempotent.
    """
    text = url.strip().translate(LINE_BREAKS)
    text = text.partition("#")[0]
    if base is not None:
        text = _join(base, text)
    if len(text) > MAX_URL_CHARACTERS:
        return None
    plain = PLAIN.match(text)
    if plain is not None and plain[3] is None and "(" not in text and "/." not in text:
        return text
    try:
        rebuilt = _rebuild(text)
    except ValueError:
        return None
    # Escaping makes it longer: up to twelve characters for one.
    return rebuilt if rebuilt is None or len(rebuilt) <= MAX_URL_CHARACTERS else None


def _join(base: str, reference: str) -> str:
    address, mark, query = reference.partition("?")
    if "\\" in address:
        address = address.replace("\\", "/")
    # Browsers take any number of slashes for the two before a host (URL Standard, §4.4).
    if address.startswith("///"):
        address = "//" + address.lstrip("/")
    try:
        return urljoin(base, f"{address}{mark}{query}")
    except ValueError:
        return ""


def _rebuild(text: str) -> str | None:
    path_part, mark, query = text.partition("?")
    parts = urlsplit(path_part.replace("\\", "/"))
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    host = _host(parts.hostname)
    if host is None:
        return None
    port = parts.port
    address = host if port in (None, DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    path = SESSION_PATH.sub("", _escape(parts.path, PATH_SAFE))
    path = _without_dots(SESSION_SEGMENT.sub("", path) or "/")
    kept = _without_session(_escape(query, QUERY_SAFE)) if mark else ""
    return f"{scheme}://{address}{path}{'?' + kept if kept else ''}"


@lru_cache(maxsize=4096)
def _host(host: str) -> str | None:
    """The host in lower-case ASCII; None when it is no host name."""
    name = host.strip(".").lower()
    if ":" in name:
        return _ipv6_host(name)
    if not _may_be_host(name):
        return None
    if name.isascii():
        return name
    return _international(name)


def _international(name: str) -> str | None:
    """A name in other letters as browsers look it up (UTS 46, non-transitional: IDNA 2008).

    So `faß.de` is not `fass.de`, which may be somebody else's. None when it is no host name.
    """
    import idna  # late: its tables take a while to read, and few pages need them

    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    except idna.IDNAError:
        return None
    labels = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
        for label in mapped.strip(".").split(".")
    ]
    fits = all(0 < len(label) <= LONGEST_LABEL for label in labels)
    return ".".join(labels) if fits and _may_be_host(mapped) else None


def _may_be_host(name: str) -> bool:
    """Whether a name has a character, and none that a URL's host cannot have."""
    return bool(name) and not any(each.isspace() or each in "%<>^|[]\\:/?#@" for each in name)


def _ipv6_host(address: str) -> str | None:
    """The shortest spelling (RFC 5952), which all the others of an address lead to."""
    try:
        return f"[{IPv6Address(address).compressed}]"
    except ValueError:
        return None


def _escape(text: str, safe: str) -> str:
    """Unsafe characters escaped in UTF-8; escapes in capitals, needless ones undone."""

    def tidy(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character in UNRESERVED else f"%{found[1].upper()}"

    escaped = quote(text, safe=safe, errors="replace")
    escaped = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", escaped)
    return ESCAPE.sub(tidy, escaped)


def _without_dots(path: str) -> str:
    """The path without `.` and `..` segments (RFC 3986 §5.2.4)."""
    if not path.startswith("/"):
        path = f"/{path}"
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    trailing = "/" if segments[-1] in (".", "..") and kept else ""
    return "/" + "/".join(kept) + trailing


def _without_session(query: str) -> str:
    kept = [
        each
        for each in query.split("&")
        if not SESSION_NAMES.fullmatch(each.partition("=")[0]) and not SESSION_SHORT.fullmatch(each)
    ]
    return "&".join(kept)


def holds_session(url: str) -> bool:
    """Whether a URL as it is written holds a session id, which its canonical form does not have."""
    if ";" in url and SESSION_PATH.search(url):
        return True
    if "(" in url and SESSION_SEGMENT.search(url.partition("?")[0]):
        return True
    query = url.partition("?")[2].partition("#")[0]
    return bool(query) and _without_session(query) != query


def origin_of(url: str) -> str:
    """Scheme, host and port of a canonical URL: `https://host[:port]`."""
    end = url.find("/", url.index("://") + 3)
    return url if end < 0 else url[:end]


def host_of(url: str) -> str:
    """The host name of a canonical URL, without its port; an IPv6 address without brackets."""
    name = origin_of(url).partition("://")[2]
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
