"""A source: a site to capture, as its TOML file describes it. Plain records only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from healtharchive.model.container import ContainerOptions

EngineName = Literal["http", "browser", "auto", "container"]


@dataclass(frozen=True, slots=True)
class Seed:
    """Where a language's crawl begins."""

    url: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """Which URLs belong to a source.

    A URL is in scope when its host is one of `hosts`, and its path begins with one of
    `include_prefixes` (on a segment boundary) or matches one of `include` (RE2, searched in the
    whole URL), and nothing excludes it. `asset_prefixes` and `assets` admit page requisites only
    (images, styles, scripts, fonts), never pages. Empty include lists mean the whole host.
    `query`: keep the query string, or `none` to leave every page with a query out, `strip` to drop
    the query from pages before they are queued. Page requisites keep theirs; with `none`, only
    those that an asset rule or the ending of their name (.css, .png …) tells for such.
    """

    hosts: tuple[str, ...]
    include_prefixes: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    asset_prefixes: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    query: Literal["keep", "none", "strip"] = "keep"


@dataclass(frozen=True, slots=True)
class Politeness:
    """How gently a source's hosts are treated.

    A host that asks to be left alone (Retry-After) is, for `max_retry_after_seconds` at most.
    """

    delay_seconds: float = 0.5
    concurrency: int = 2
    max_delay_seconds: float = 60.0
    max_retry_after_seconds: float = 21_600.0
    timeout_seconds: float = 30.0
    url_tries: int = 3
    robots: Literal["obey", "ignore"] = "obey"


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a crawl ends by itself; None means no limit."""

    pages: int | None = None
    total_bytes: int | None = None
    seconds: float | None = None
    page_bytes: int = 2_000_000_000
    depth: int = 50


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """How pages are rendered, where the source's engine is `browser` or `auto`.

    `always` and `never` are RE2 patterns searched in a page's URL; they come before what `auto`
    would decide. After `failures` pages in a row that could not be rendered, a host is crawled
    without a browser. After `refusals` pages in a row that plain HTTP was refused, `auto` fetches a
    host through the browser. A browser is ended and begun anew after `recycle_pages`.
    """

    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    page_seconds: float = 45.0
    tabs: int = 2
    recycle_pages: int = 100
    screenshots: bool = True
    failures: int = 5
    refusals: int = 5


@dataclass(frozen=True, slots=True)
class StallRules:
    """When a crawl of the source counts as stalled, for the steward; None takes the setting.

    `seconds`: no URL was settled for so long. `error_share`: of the URLs settled within
    `window_seconds` at least this share failed; 0: never. `pages_per_hour`: fewer were done in an
    hour though there were enough; 0: never. It is started again `restarts_per_day` times at most.
    """

    seconds: float | None = None
    error_share: float = 0.9
    window_seconds: float = 1_800.0
    pages_per_hour: float = 0.0
    restarts_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """All that is known of a source before it is crawled.

    `allow_private_hosts` names hosts (exactly as in the URL) whose addresses may be loopback,
    private or link-local; every other host that resolves there is refused. `engine`: plain HTTP;
    every page in a browser; page by page what it needs (auto); or a crawler in a container.
    """

    code: str
    name: str
    seeds: tuple[Seed, ...]
    scope: ScopeRules
    base_url: str = ""
    languages: tuple[str, ...] = ("en",)
    sitemaps: tuple[str, ...] = ()
    use_robots_sitemaps: bool = True
    politeness: Politeness = field(default_factory=Politeness)
    limits: Limits = field(default_factory=Limits)
    allow_private_hosts: tuple[str, ...] = ()
    engine: EngineName = "http"
    browser: BrowserOptions = field(default_factory=BrowserOptions)
    container: ContainerOptions = field(default_factory=ContainerOptions)
    stall: StallRules = field(default_factory=StallRules)
    order: int = 100
    description: str = ""
