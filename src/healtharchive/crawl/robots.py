"""robots.txt as RFC 9309 reads it: the longest match decides, and Allow wins a tie."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LIMIT_BYTES = 500 * 1024  # RFC 9309 §2.5
MOST_RULES = 20_000
LINE_END = re.compile(r"[\r\n]+")  # §2.2: no other character ends a line
ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
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
        token = agent.partition("/")[0].strip().lower()
        named = [group for group in self.groups if token in group.agents]
        return named or [group for group in self.groups if "*" in group.agents]


def parse(status: int | None, body: bytes) -> Robots:
    """The rules an answer to robots.txt stands for (§2.3.1): a 4xx allows all, a 5xx nothing."""
    if status is None or status >= 500:
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
            groups[-1].agents.append(value.partition("/")[0].strip().lower())
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
