"""Which pages are rendered, and which hosts fetched, by the browser: by the source's choice, by
its rules, or by what that brings.

With the engine `auto` a page is measured as it was served. Without scripts and frames there is
nothing to render. A page that looks like an empty shell is rendered, unless pages of its template
have proved whole. One that looks whole is rendered only as a sample of its template: the first,
and then one in fifty; when most samples prove to be shells, all of the template's are rendered.

A host goes from plain HTTP to the browser at most once, and from there back for good.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass, field

import re2
from selectolax.lexbor import LexborHTMLParser

from healtharchive.crawl.browser.rendering import ShellMeasure, is_shell, shell_measure
from healtharchive.crawl.markup import HARMLESS_TAGS
from healtharchive.crawl.urls import origin_of
from healtharchive.model.source import BrowserOptions

SHELL_TEXT = 250  # characters: a page with scripts and less text than that looks like a shell
ENOUGH_SAMPLES = 3  # so many that are alike decide for their template
RESAMPLED = 50  # pages of a whole template between two samples
MOST_TEMPLATES = 2_000
MOST_NAMED = 10  # templates that the job's remarks name
DIGITS = re.compile(r"[0-9a-f]{6,}|\d+")


@dataclass(slots=True)
class Template:
    """Pages of one make. `example` is the path of the first one seen."""

    example: str
    named: bool
    pages: int = 0
    sampled_at: int = 0  # how many pages had been seen when the last sample was taken
    shells: int = 0
    whole: int = 0
    sampling: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False)

    @property
    def is_whole(self) -> bool:
        """Whether rendering has proved useless for its pages."""
        return self.whole >= ENOUGH_SAMPLES and not self.shells

    @property
    def is_shell(self) -> bool:
        """Whether scripts fill most of those that were rendered."""
        return self.shells > self.whole


@dataclass(frozen=True, slots=True)
class Wish:
    """Whether a page is to be rendered, and why, as the job's remarks have it.

    `template` is set where the outcome teaches something.
    """

    render: bool
    why: str
    template: Template | None = None
    waits: bool = False  # for the first sample of its template, which may make it needless
    before: ShellMeasure = field(default_factory=lambda: ShellMeasure(0, 0))


class Choice:
    """Decides for one attempt. `automatic` for the engine `auto`."""

    def __init__(self, options: BrowserOptions, *, automatic: bool) -> None:
        self._options = options
        self._automatic = automatic
        self._always = [re2.compile(each) for each in options.always]
        self._never = [re2.compile(each) for each in options.never]
        self._templates: OrderedDict[str, Template] = OrderedDict()
        self._named = 0
        self._failures: dict[str, int] = {}  # origin -> pages in a row that could not be rendered
        self._refusals: dict[str, int] = {}  # origin -> pages in a row that plain HTTP was refused
        self._welcomed: set[str] = set()  # origins with a page that plain HTTP has got
        self._turned: set[str] = set()  # origins that are fetched through the browser

    def wish(self, url: str, html: str) -> Wish:
        """Whether to render this page, given its HTML as it was served."""
        if self._is_never(url):
            return Wish(False, "not rendered: by the source's rule")
        if self.is_given_up(origin_of(url)):
            return _given_up(origin_of(url))
        if any(rule.search(url) for rule in self._always):
            return Wish(True, "rendered in a browser: by the source's rule")
        if not self._automatic:
            return Wish(True, "rendered in a browser")
        return self._by_template(url, html)

    def _by_template(self, url: str, html: str) -> Wish:
        before = shell_measure(html)
        if not before.scripts and "<iframe" not in html.lower():
            return Wish(False, "not rendered: pages without scripts")
        template = self._template(url, html)
        template.pages += 1
        return self._judged(template, before)

    def again(self, url: str, wish: Wish) -> Wish:
        """The wish for a page that has waited for its template's first sample."""
        wish = self.still(url, wish)
        if not wish.render or wish.template is None:
            return wish
        return self._judged(wish.template, wish.before)

    def still(self, url: str, wish: Wish) -> Wish:
        """The wish for a page that has waited: its host may have been given up meanwhile."""
        origin = origin_of(url)
        return _given_up(origin) if wish.render and self.is_given_up(origin) else wish

    def _judged(self, template: Template, before: ShellMeasure) -> Wish:
        like = f"pages like {template.example}" if template.named else "pages of other templates"
        if not self._is_worth_it(template, before):
            why = f"not rendered: {like} are whole without a browser"
            return Wish(False, why, template, before=before)
        template.sampled_at = template.pages
        empty = looks_empty(before)
        reason = "are empty without it" if empty else "as samples"
        why = f"rendered in a browser: {like} {reason}"
        waits = empty and not template.shells and not template.whole
        return Wish(True, why, template, waits, before)

    @staticmethod
    def _is_worth_it(template: Template, before: ShellMeasure) -> bool:
        if template.is_shell:
            return True
        if looks_empty(before):
            return not template.is_whole
        return template.pages == 1 or template.pages - template.sampled_at >= RESAMPLED

    def _template(self, url: str, html: str) -> Template:
        key = f"{origin_of(url)} {make_of(html)}"
        found = self._templates.get(key)
        if found is not None:
            self._templates.move_to_end(key)
            return found
        if len(self._templates) >= MOST_TEMPLATES:
            self._templates.popitem(last=False)
        self._named += 1
        path = url[len(origin_of(url)) :] or "/"
        made = self._templates[key] = Template(path[:80], self._named <= MOST_NAMED)
        return made

    # -- what came of it -----------------------------------------------------------------------

    def learn(self, url: str, wish: Wish, after: ShellMeasure) -> None:
        """A page was rendered: what that brought decides for others of its template.

        A host that was given up meanwhile stays so.
        """
        if self.is_given_up(origin_of(url)):
            return
        self.worked(url)
        if wish.template is None:
            return
        if is_shell(wish.before, after):
            wish.template.shells += 1
        else:
            wish.template.whole += ENOUGH_SAMPLES if _is_same(wish.before, after) else 1

    def failed(self, url: str) -> bool:
        """A page could not be rendered; True when its host is given up because of it, once."""
        origin = origin_of(url)
        self._failures[origin] = self._failures.get(origin, 0) + 1
        return self._failures[origin] == self._options.failures

    def worked(self, url: str) -> None:
        """A page was got through the browser."""
        if not self.is_given_up(origin_of(url)):
            self._failures.pop(origin_of(url), None)

    def _is_never(self, url: str) -> bool:
        return any(rule.search(url) for rule in self._never)

    def is_given_up(self, origin: str) -> bool:
        """Whether pages of this origin are crawled without a browser from now on."""
        return self._failures.get(origin, 0) >= self._options.failures

    # -- hosts that refuse plain HTTP ----------------------------------------------------------

    def refused(self, url: str, *, last: bool) -> bool:
        """Plain HTTP was refused a page; True when its host is fetched through the browser because
        of it, once. Where no page was ever got by plain HTTP, a page's `last` try is reason enough.
        """
        if self._is_never(url) or not self.may_turn(url):
            return False
        origin = origin_of(url)
        self._refusals[origin] = self._refusals.get(origin, 0) + 1
        enough = self._refusals[origin] >= self._options.refusals
        if not enough and not (last and origin not in self._welcomed):
            return False
        self._turned.add(origin)
        return True

    def refusals(self, url: str) -> int:
        """How many pages in a row plain HTTP was refused."""
        return self._refusals.get(origin_of(url), 0)

    def may_turn(self, url: str) -> bool:
        """Whether this host may yet be fetched through the browser."""
        origin = origin_of(url)
        return self._automatic and origin not in self._turned and not self.is_given_up(origin)

    def welcomed(self, url: str) -> None:
        """Plain HTTP got a page."""
        self._refusals.pop(origin_of(url), None)
        self._welcomed.add(origin_of(url))

    def is_doubtful(self, url: str) -> bool:
        """Whether all that is known of plain HTTP to this host are refusals."""
        return self.may_turn(url) and origin_of(url) not in self._welcomed

    def fetches(self, url: str) -> bool:
        """Whether this URL is fetched through the browser."""
        origin = origin_of(url)
        turned = origin in self._turned and not self.is_given_up(origin)
        return turned and not self._is_never(url)


def _given_up(origin: str) -> Wish:
    return Wish(False, f"not rendered: {origin} is crawled without a browser now")


def _is_same(before: ShellMeasure, after: ShellMeasure) -> bool:
    """Whether rendering brought nothing: one such sample says enough."""
    return after.text_length <= 1.1 * before.text_length + 50 and after.links <= before.links + 2


def looks_empty(before: ShellMeasure) -> bool:
    """Whether a page as it was served looks like a shell that scripts are to fill."""
    return before.empty_root or (before.scripts > 0 and before.text_length < SHELL_TEXT)


def make_of(html: str) -> str:
    """What pages of one template have in common: the body's outermost elements, and the scripts.

    Numbers and hashes in the names of scripts differ from build to build, and are left out.
    """
    tree = LexborHTMLParser("<".join(html.split("<", HARMLESS_TAGS)[:HARMLESS_TAGS]))
    body = tree.body
    children = body.iter() if body is not None else ()
    outermost = {
        f"{node.tag}#{node.attributes.get('id') or ''}.{node.attributes.get('class') or ''}"
        for node in children
        if node.tag not in ("script", "style", "noscript")
    }
    sources = {
        DIGITS.sub("", (node.attributes.get("src") or "").rpartition("/")[2])
        for node in tree.css("script[src]")
    }
    return " ".join([*sorted(outermost)[:20], "|", *sorted(sources)[:20]])
