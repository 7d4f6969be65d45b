"""The cookies a site sets during one attempt (RFC 6265), kept in memory and in bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from healtharchive.crawl.dates import moment_of
from healtharchive.crawl.suffixes import is_public_suffix
from healtharchive.model.clock import Clock

MOST_HOSTS = 500
MOST_PER_HOST = 50
MOST_CHARACTERS = 4096
MAX_AGE = re.compile(r"-?[0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie. `domain` is empty for one of its host only; `expires_at` in epoch seconds."""

    name: str
    value: str
    path: str
    domain: str
    secure: bool
    expires_at: float | None


class CookieJar:
    """Cookies by the host that set them; a domain cookie goes to that domain's hosts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_host: dict[str, dict[tuple[str, str], Cookie]] = {}

    def header(self, url: str) -> str | None:
        """The Cookie field for a request, longer paths first; None for nothing to send."""
        if not self._by_host:
            return None
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        now = self._clock.now().timestamp()
        fitting = [
            cookie
            for owner in (host, *_parents(host))
            for cookie in self._by_host.get(owner, {}).values()
            if (owner == host or cookie.domain)
            and _path_fits(path, cookie.path)
            and (parts.scheme == "https" or not cookie.secure)
            and (cookie.expires_at is None or cookie.expires_at > now)
        ]
        fitting.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{each.name}={each.value}" for each in fitting) or None

    def store(self, url: str, headers: Sequence[tuple[str, str]]) -> None:
        """Take the Set-Cookie fields of an answer; those that break a rule are ignored."""
        for name, value in headers:
            if name.lower() == "set-cookie" and len(value) <= MOST_CHARACTERS:
                self._store_one(url, value)

    def _store_one(self, url: str, line: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        pair, *attributes = line.split(";")
        name, equals, value = pair.strip().partition("=")
        if not equals or not name.strip():
            return
        said = {
            key.strip().lower(): text.strip()
            for key, _, text in (a.partition("=") for a in attributes)
        }
        domain = said.get("domain", "").lstrip(".").lower()
        if domain and domain != host and domain not in _parents(host):
            return
        if domain and is_public_suffix(domain):
            if domain != host:
                return  # as `gc.ca` for one of its departments: the others are not its owner's
            domain = ""  # its own hosts are not below it (RFC 6265 §5.3)
        path = said.get("path", "")
        if not path.startswith("/"):
            path = parts.path.rpartition("/")[0] or "/"
        cookie = Cookie(
            name.strip(), value.strip(), path, domain, "secure" in said, self._expiry(said)
        )
        self._keep(domain or host, cookie)

    def _keep(self, owner: str, cookie: Cookie) -> None:
        key = (cookie.name, cookie.path)
        if owner not in self._by_host and len(self._by_host) >= MOST_HOSTS:
            return
        kept = self._by_host.setdefault(owner, {})
        if cookie.expires_at is not None and cookie.expires_at <= self._clock.now().timestamp():
            kept.pop(key, None)
            return
        if key not in kept and len(kept) >= MOST_PER_HOST:
            kept.pop(next(iter(kept)))
        kept[key] = cookie

    def _expiry(self, said: dict[str, str]) -> float | None:
        age = said.get("max-age", "")
        if MAX_AGE.fullmatch(age):
            return self._clock.now().timestamp() + int(age)
        moment = moment_of(said.get("expires", "").replace("-", " "))
        return moment.timestamp() if moment else None


def _parents(host: str) -> tuple[str, ...]:
    """The domains above a host that may own cookies: never a top-level one, none of an address."""
    labels = host.split(".")
    if labels[-1].isdigit() or ":" in host:
        return ()
    return tuple(".".join(labels[at:]) for at in range(1, len(labels) - 1))


def _path_fits(path: str, cookie_path: str) -> bool:
    """RFC 6265 §5.1.4."""
    if not path.startswith(cookie_path):
        return False
    rest = path[len(cookie_path) :]
    return not rest or cookie_path.endswith("/") or rest.startswith("/")
