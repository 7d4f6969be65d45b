"""Scope: which URLs belong to a source, and by which rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import re2

from healtharchive.crawl.urls import host_of
from healtharchive.model.errors import BadInput
from healtharchive.model.source import ScopeRules

# What a page is made of, by the ending of its name.
ASSET_NAME = re.compile(
    r"\.(?:css|m?js|map|json|webmanifest|png|jpe?g|gif|svg|webp|a?png|avif|ico|cur|bmp|tiff?"
    r"|woff2?|ttf|otf|eot|mp[34]|m4[av]|og[gav]|webm|wav|vtt)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a URL is in scope, by which rule, and the form in which it is queued."""

    in_scope: bool
    rule: str
    url: str


class Scope:
    """A source's rules, compiled once. RE2 takes time linear in the URL: no rule can hang us."""

    def __init__(self, rules: ScopeRules) -> None:
        self._rules = rules
        self._hosts = frozenset(host.lower() for host in rules.hosts)
        self._exclude = [compiled(text, "exclude") for text in rules.exclude]
        self._include = [compiled(text, "include") for text in rules.include]
        self._assets = [compiled(text, "assets") for text in rules.assets]

    def decide(self, url: str, asset: bool = False) -> Decision:
        """The decision on a canonical URL; `asset`: it was found as a page requisite."""
        rules = self._rules
        if host_of(url) not in self._hosts:
            return Decision(False, "host not listed", url)
        if "?" in url:
            if rules.query == "none" and not (asset and self._is_asset(url)):
                return Decision(False, "no pages with a query", url)
            if rules.query == "strip" and not asset:
                url = url.partition("?")[0]
        for text, pattern in self._exclude:
            if pattern.search(url):
                return Decision(False, f"exclude {text}", url)
        return self._included(url, asset)

    def _included(self, url: str, asset: bool) -> Decision:
        rules = self._rules
        path = _path_of(url)
        if not rules.include_prefixes and not rules.include:
            return Decision(True, "the whole host", url)
        for prefix in rules.include_prefixes:
            if _begins(path, prefix):
                return Decision(True, f"include_prefixes {prefix}", url)
        for text, pattern in self._include:
            if pattern.search(url):
                return Decision(True, f"include {text}", url)
        rule = self._asset_rule(url) if asset else ""
        return Decision(bool(rule), rule or "no include rule", url)

    def _asset_rule(self, url: str) -> str:
        """The asset rule of the source that admits a URL; empty when none does."""
        path = _path_of(url)
        for prefix in self._rules.asset_prefixes:
            if _begins(path, prefix):
                return f"asset_prefixes {prefix}"
        for text, pattern in self._assets:
            if pattern.search(url):
                return f"assets {text}"
        return ""

    def _is_asset(self, url: str) -> bool:
        """Whether a page requisite is one by its name or a rule: /site.css?v=3 is, /img.php is not.

        Sites put the version of a file in its query; what is behind a program's query is endless.
        """
        return bool(ASSET_NAME.search(_path_of(url)) or self._asset_rule(url))


def compiled(text: str, rule: str) -> tuple[str, Any]:
    """A rule's RE2 expression; BadInput with its reason when it is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return text, re2.compile(text, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not an expression"
        said = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise BadInput(
            f"The {rule} rule {text!r} is not a regular expression: {said}.",
            "RE2 knows no look-around and no back-references; write it without.",
        ) from error


def _path_of(url: str) -> str:
    address = url.partition("?")[0]
    start = address.find("/", address.index("://") + 3)
    return address[start:] if start >= 0 else "/"


def _begins(path: str, prefix: str) -> bool:
    """Whether a path lies under a prefix: on a segment's border, or as a file beside it (.html)."""
    if not path.startswith(prefix):
        return False
    rest = path[len(prefix) :]
    return not rest or prefix.endswith("/") or rest[0] in "/."
