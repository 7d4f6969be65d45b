"""robots.txt as RFC 9309 reads it: the longest match decides, and Allow wins a tie."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

LIMIT_BYTES = 500 * 1024  # RFC 9309 §2.5
MOST_RULES = 20_000
LINE_END = re.compile(r"[\r\n]+")  # §2.2: no other character ends a line
ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
TOO_MANY_REQUESTS = 429
# Of a User-Agent field: NAME/VERSION, or the NAME behind "compatible;" (as old browsers spell it).
PRODUCT = re.compile(r"(?:^|[\s(;])([A-Za-z][\w-]*)/|\bcompatible;\s*([A-Za-z][\w-]*)", re.ASCII)
# What crawlers that pass for a browser put before and behind their own name.
BROWSERS = (
    "mozilla", "applewebkit", "khtml", "gecko", "chrome", "chromium", "headlesschrome", "safari",
    "version", "mobile", "firefox", "opera", "presto", "edg", "edge", "trident", "msie",
)  # fmt: skip
AGENT_NAME = re.compile(r"[\w-]+", re.ASCII)
# Escaped they do not part a path, nor begin a query or an escape.
KEPT_ESCAPES = b"/?%"


@dataclass(frozen=True, slots=True)
class Rule:
    """One Allow or Disallow line: `pieces` stand between its stars, `octets` is its length."""

    allow: bool
    text: str
    pieces: tuple[bytes, ...]
    anchored: bool
    octets: int

    @classmethod
    def of(cls, allow: bool, text: str) -> Rule:
        """The rule of a line. `*` and `$` are special as they are; escaped they are themselves."""
        anchored = text.endswith("$")
        written = (text[:-1] if anchored else text).split("*")
        pieces = tuple(_normal(each) for each in written)
        return cls(
            allow, text, pieces, anchored, sum(map(len, pieces)) + len(pieces) - 1 + anchored
        )

    def matches(self, path: bytes) -> bool:
        """Whether the rule's path pattern (`*`, `$`; §2.2.3) fits the path and query."""
        return _glob(path, self.pieces, self.anchored)

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.text}"


@dataclass(slots=True)
class Group:
    """The rules for some agents."""

    agents: list[str] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    crawl_delay: float | None = None


@dataclass(frozen=True, slots=True)
class Robots:
    """What a host allows. `everything` decides alone when it is not None."""

    groups: tuple[Group, ...] = ()
    sitemaps: tuple[str, ...] = ()
    everything: bool | None = None
    why: str = ""

    def verdict(self, agent: str, url: str) -> tuple[bool, str]:
        """Whether the URL may be fetched by this agent, and the rule that says so."""
        if self.everything is not None:
            return self.everything, self.why
        path = _path_and_query(url)
        if path == b"/robots.txt":
            return True, "robots.txt itself"
        best: Rule | None = None
        for group in self._groups_for(agent):
            for rule in group.rules:
                longer = best is None or rule.octets > best.octets
                tie = best is not None and rule.octets == best.octets and rule.allow
                if (longer or tie) and rule.matches(path):
                    best = rule
        return (True, "no rule") if best is None else (best.allow, str(best))

    def crawl_delay(self, agent: str) -> float | None:
        """The Crawl-delay of the agent's groups in seconds, which no standard has; None without."""
        delays = [g.crawl_delay for g in self._groups_for(agent) if g.crawl_delay is not None]
        return max(delays) if delays else None

    def _groups_for(self, agent: str) -> list[Group]:
        """The groups that name the agent; those of `*` when none does (§2.2.1)."""
        token = product_token(agent)
        named = [group for group in self.groups if token in group.agents]
        return named or [group for group in self.groups if "*" in group.agents]


@lru_cache(maxsize=16)  # asked for with each URL
def product_token(agent: str) -> str:
    """The name of ours that robots.txt may speak to, in small letters (§2.2.1).

    Of "Mozilla/5.0 (compatible; HealthArchive/1; +https://a.example/)" it is `healtharchive`.
    """
    found = ((named[1] or named[2]).lower() for named in PRODUCT.finditer(agent))
    own = next((name for name in found if name not in BROWSERS), None)
    return own or _leading_name(agent)


def _leading_name(text: str) -> str:
    """The name that a line or field begins with: what follows, such as a version, is no part."""
    found = AGENT_NAME.match(text.strip())
    return found.group().lower() if found else text.strip()[:1]


def unavailable(status: int) -> bool:
    """Whether an answer leaves a host's rules unknown, so that nothing may be fetched (§2.3.1.4).

    Beside a 5xx that is 429: who is asked too much has not said that all is allowed.
    """
    return status >= 500 or status == TOO_MANY_REQUESTS


def parse(status: int | None, body: bytes) -> Robots:
    """The rules an answer to robots.txt stands for (§2.3.1).

    Any 4xx but 429 allows all; what leaves them unknown (`unavailable`) allows nothing.
    """
    if status is None or unavailable(status):
        return Robots(everything=False, why=f"robots.txt answered {status or 'nothing'}")
        return Robots(everything=False, why=f"robots.txt answered {status or 'nothing'}")
    if not 200 <= status < 300:
        return Robots(everything=True, why=f"robots.txt answered {status}")
    groups: list[Group] = []
    sitemaps: list[str] = []
    naming = False
    count = 0
    for name, value in _lines(body[:LIMIT_BYTES]):
        if name == "sitemap" and value:
            sitemaps.append(value)
        elif name == "user-agent":
            if not naming:
                groups.append(Group())
            naming = True
            groups[-1].agents.append(_leading_name(value))
        elif groups and name in ("allow", "disallow", "crawl-delay"):
            naming = False
            count += 1
            if count <= MOST_RULES:
                _add(groups[-1], name, value)
    return Robots(tuple(groups), tuple(sitemaps))


def _lines(body: bytes) -> list[tuple[str, str]]:
    found = []
    for line in LINE_END.split(body.decode("utf-8-sig", "replace")):
        name, colon, value = line.partition("#")[0].partition(":")
        if colon:
            found.append((name.strip().lower(), value.strip()))
    return found


def _add(group: Group, name: str, value: str) -> None:
    if name == "crawl-delay":
        try:
            group.crawl_delay = max(0.0, float(value))
        except ValueError:
            return
    elif value:  # an empty rule matches nothing
        group.rules.append(Rule.of(name == "allow", value))


def _path_and_query(url: str) -> bytes:
    rest = url.partition("://")[2]
    slash = rest.find("/")
    return _normal(rest[slash:] if slash >= 0 else "/")


def _normal(path: str) -> bytes:
    """Escapes undone but for those that make a difference, so that both spellings are equal."""
    return ESCAPE.sub(_octet, path.encode("utf-8", "replace"))


def _octet(escape: re.Match[bytes]) -> bytes:
    octet = bytes((int(escape[1], 16),))
    return escape[0].upper() if octet in KEPT_ESCAPES else octet


def _glob(path: bytes, parts: tuple[bytes, ...], anchored: bool) -> bool:
    """Match the pieces between stars one after another: linear, whatever the pattern."""
    if not path.startswith(parts[0]):
        return False
    at = len(parts[0])
    if len(parts) == 1:
        return not anchored or at == len(path)
    for part in parts[1:-1]:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    last = parts[-1]
    if anchored:
        return len(path) - len(last) >= at and path.endswith(last)
    return path.find(last, at) >= 0
