"""Pages that a browser has to work for, behind a proxy that answers by itself for every host.

The proxy is the site: nothing is resolved, nothing leaves the machine, and it sees every request.
"""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOST = "site.test"
HTML = "text/html; charset=utf-8"
GIF = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90400000000002c00000000010001000002024401003b"
)
PAGES_OF_ITEMS = 5
DRIP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the proxy saw it."""

    method: str
    url: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")


@dataclass(slots=True)
class RenderedSite:
    """The running proxy. `asked` are all requests in order; `released` lets /held answer."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def proxy(self) -> str:
        """What a browser is given as its proxy."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [each.path for each in self.asked]

    @staticmethod
    def url(path: str) -> str:
        """The address of a page."""
        return f"http://{HOST}{path}"


SHELL = """<!doctype html><title>Loading</title><div id=root></div><script src=/app.js></script>"""
APP = """
fetch('/data.json').then((answer) => answer.json()).then((data) => {
  document.title = 'The shell is full';
  const list = document.createElement('ul');
  for (const each of data) {
    const item = document.createElement('li');
    item.innerHTML = `<a href="/notes/${each}#top">Note ${each}</a> ` + 'words '.repeat(20);
    list.append(item);
  }
  document.getElementById('root').append(list);
  history.pushState({}, '', '/route/one');
  history.pushState({}, '', '/route/two');
});
"""
SHADOW = """<title>Shadow</title><my-card><b slot=name>slotted words</b></my-card>
<p hidden>hidden words</p><p style="visibility:hidden">unseen words</p><script>
customElements.define('my-card', class extends HTMLElement {
  connectedCallback() {
    const root = this.attachShadow({mode: 'open'});
    root.innerHTML = '<p>before</p><slot name=name></slot><p>after <a href=/in-shadow>go</a></p>';
  }
});
</script>"""
FRAMES = """<title>Frames</title><p>outer words</p><iframe src=/inner></iframe>
<iframe src="http://other.test/inner"></iframe>
<svg viewBox="0 0 9 9"><a href="/in-svg"><text>drawn</text></a></svg>
<map name=m><area href=/in-map></map>"""
LAZY = (
    "<title>Lazy</title>"
    + "".join(
        f'<div style="height:3000px">part {n}</div><img loading=lazy src=/lazy-{n}.gif>'
        for n in range(6)
    )
    + "<details><summary>sum</summary><p>folded words</p></details>"
)
SCROLL = """<title>Scroll</title><div id=list></div><div id=end style="height:10px"></div><script>
let page = 0, busy = false;
const more = async () => {
  if (busy || page >= PAGES) return;
  busy = true;
  const items = await (await fetch('/items?page=' + (page += 1))).json();
  for (const each of items) {
    const div = document.createElement('div');
    div.style.height = '400px';
    div.innerHTML = `<a href="/item/${each}">item ${each}</a>`;
    document.getElementById('list').append(div);
  }
  busy = false;
};
new IntersectionObserver((seen) => seen[0].isIntersecting && more()).observe(
  document.getElementById('end'));
</script>""".replace("PAGES", str(PAGES_OF_ITEMS))
MORE = """<title>More</title><ol id=list></ol><button onclick="more()" type=button>{text}</button>
<form action=/sent><button>Show more</button></form>
<a role=button href=/away>Load more</a><button type=button onclick="fetch('/wrong')">Delete</button>
<script>let n = 0; const more = () => {{
  fetch('/more?n=' + (n += 1)).then((answer) => answer.text()).then((text) => {{
    const item = document.createElement('li');
    item.textContent = text;
    document.getElementById('list').append(item);
    if (n === 3) document.querySelector('button').remove();
  }});
}};</script>"""
DIALOGS = """<title>Dialogs</title><p id=said></p><script>
addEventListener('beforeunload', (event) => { event.preventDefault(); event.returnValue = 'no'; });
alert('first');
const said = [confirm('sure?'), prompt('name?')];
document.getElementById('said').textContent = 'said ' + JSON.stringify(said);
navigator.geolocation.getCurrentPosition(() => document.body.append('placed'),
  (error) => document.body.append(' refused ' + error.code));
</script>"""
WINDOWS = """<title>Windows</title><p id=said></p><script>
const opened = window.open('/opened?by=script');
document.getElementById('said').textContent = 'window ' + opened;
const link = document.createElement('a');
link.href = '/file.bin'; link.download = '';
document.body.append(link); link.click();
</script>"""
VIDEO = """<title>Video</title><video autoplay muted loop src=/film.webm></video>
<p>beside the film</p>"""
STORAGE = """<title>Storage</title><p id=said></p><script>
document.getElementById('said').textContent =
  'had ' + (document.cookie || 'nothing') + ' and ' + localStorage.getItem('kept');
document.cookie = 'kept=1'; localStorage.setItem('kept', '1');
</script>"""
EATER = """<title>Eater</title><script>
setTimeout(() => { const all = []; for (;;) all.push(new Array(1e6).fill(all.length + 0.5)); }, 50);
</script>"""
# Not on the heap of the scripts' engine, which has a bound of its own.
EATER_OUTSIDE = """<title>Eater</title><script>
const all = []; setInterval(() => all.push(new Uint8Array(3e7).fill(1)), 20);
</script>"""
WORKER_PAGE = """<title>Worker</title><p id=said>no worker</p><script>
navigator.serviceWorker.register('/worker.js');
navigator.serviceWorker.ready.then(() => {
  navigator.serviceWorker.onmessage = (event) => {
    document.getElementById('said').textContent = 'worker says ' + event.data;
    fetch('/after-worker');
  };
  navigator.serviceWorker.startMessages();
});
</script>"""
WORKER = """self.addEventListener('activate', (event) => event.waitUntil(
  fetch('/from-worker').then((answer) => answer.text()).then(async (text) => {
    await self.clients.claim();
    for (const each of await self.clients.matchAll()) each.postMessage(text);
  })));"""
RTC = """<title>Calls</title><script>
const peer = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:%s'}]});
peer.createDataChannel('x');
peer.createOffer().then((offer) => peer.setLocalDescription(offer));
peer.onicegatheringstatechange = () => {
  if (peer.iceGatheringState === 'complete') document.body.append('gathered');
};
</script>"""

WANDER = "<title>Wander</title><p>here</p><script>location = '/wander?' + Math.random()</script>"
BLOB = """<title>Blob</title><p>own words</p><script>addEventListener('load', () => {
  history.pushState({}, '', '/route');
  const other = new Blob(['<title>Other</title>other words'], {type: 'text/html'});
  location = URL.createObjectURL(other);
});</script>"""
POLL = "<title>Poll</title><p>polls</p><script>setInterval(() => fetch('/tick'), 50)</script>"
BUSY_LATER = "<title>Busy</title><p>b</p><script>setTimeout(() => { for (;;); }, 300)</script>"
PLAIN = "<title>Plain</title><h1>Plain</h1><p>Nothing to fetch, <a href=/next>next</a>"
HIDDEN = '<iframe src=/inner-hidden style="display:none"></iframe>'

TEXTS: dict[str, tuple[str, str]] = {
    "/shell": (HTML, SHELL),
    "/app.js": ("text/javascript", APP),
    "/data.json": ("application/json", json.dumps(list(range(12)))),
    "/plain": (HTML, PLAIN),
    "/shadow": (HTML, SHADOW),
    "/frames": (HTML, FRAMES + HIDDEN),
    "/inner": (HTML, "<p>inner words <a href=/from-inner>link</a>"),
    "/inner-hidden": (HTML, "<p>concealed words"),
    "/lazy": (HTML, LAZY),
    "/scroll": (HTML, SCROLL),
    "/more": (HTML, MORE.format(text="Load more")),
    "/plus": (HTML, MORE.format(text="Charger plus de résultats")),
    "/dialogs": (HTML, DIALOGS),
    "/auth": (HTML, "<title>Auth</title><p>open words</p><img src=/private>"),
    "/windows": (HTML, WINDOWS),
    "/video": (HTML, VIDEO),
    "/refresh": (HTML, '<title>Refresh</title><meta http-equiv=refresh content="0"><p>again</p>'),
    "/reload": (HTML, "<title>Reload</title><p>over</p><script>location.reload()</script>"),
    "/wander": (HTML, WANDER),
    "/refers": (
        HTML,
        "<title>R</title><meta http-equiv=refresh content='0; url=/plain'><p>own words</p>",
    ),
    "/posts": (
        HTML,
        "<title>P</title><p>own words</p><form method=post></form>"
        "<script>addEventListener('load', () => document.forms[0].submit())</script>",
    ),
    "/blob": (HTML, BLOB),
    "/poll": (HTML, POLL),
    "/busy": (HTML, "<title>Busy</title><p>busy</p><script>for (;;);</script>"),
    "/busy-later": (HTML, BUSY_LATER),
    "/eater": (HTML, EATER),
    "/eater-outside": (HTML, EATER_OUTSIDE),
    "/closes": (HTML, "<title>Closes</title><script>window.close()</script><p>closed"),
    "/storage": (HTML, STORAGE),
    "/worker": (HTML, WORKER_PAGE),
    "/worker.js": ("text/javascript", WORKER),
    "/from-worker": ("text/plain", "hello from afar"),
    "/waits": (HTML, "<title>Waits</title><p>waits</p><img src=/held.gif>"),
    "/clobbered": (
        HTML,
        "<title>C</title><form name=title></form><p>kept words</p><a href=/kept>k</a>"
        "<script>Array.prototype.map = Array.prototype.join = null; Set = null;</script>",
    ),
    "/tall": (HTML, "<title>Tall</title><div style='height:40000px;background:#080'>tall</div>"),
}


def _items(query: str) -> str:
    page = int(query.removeprefix("page="))
    return json.dumps(list(range((page - 1) * 10, page * 10)))


# Answers that depend on the query.
ASKED: dict[str, Callable[[str], str]] = {
    "/items": _items,
    "/wander": lambda _: TEXTS["/wander"][1],
    "/calls": lambda query: RTC % query,
}


def _handler(site: RenderedSite, tls: ssl.SSLContext | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        tunnel = ""

        def do_CONNECT(self) -> None:
            self.close_connection = False
            if tls is None:
                site.asked.append(Asked("CONNECT", self.path, {}))
                self.send_error(502)
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self.connection = tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb", -1)
            self.wfile = socketserver._SocketWriter(self.connection)  # type: ignore[attr-defined]
            self.tunnel = f"https://{self.path.removesuffix(':443')}"

        def do_GET(self) -> None:
            asked = Asked(self.command, self.tunnel + self.path, dict(self.headers.items()))
            site.asked.append(asked)
            path, _, query = asked.path.partition("?")
            if path.endswith(".webm"):
                self.drip()
            elif path.startswith("/held"):
                site.released.wait(60)
                self.answer(200, "image/gif", GIF)
            elif path.endswith(".gif"):
                self.answer(200, "image/gif", GIF)
            elif path == "/round":
                self.answer(302, HTML, b"", ("Location", "/round"))
            elif path == "/private":
                self.answer(401, "text/plain", b"no", ("WWW-Authenticate", 'Basic realm="x"'))
            elif path == "/file.bin":
                way = ("Content-Disposition", "attachment")
                self.answer(200, "application/x-thing", b"0123", way)
            elif path in ASKED and query:
                kind = TEXTS.get(path, (HTML, ""))[0] if path != "/items" else "application/json"
                self.answer(200, kind, ASKED[path](query).encode())
            elif path in TEXTS and not (path == "/more" and query):
                self.answer(200, TEXTS[path][0], TEXTS[path][1].encode())
            else:
                status = 404 if path == "/favicon.ico" else 200
                self.answer(status, HTML, f"<p>answer to {asked.path}".encode())

        do_POST = do_GET  # noqa: N815 (http.server looks for this name)

        def answer(self, status: int, kind: str, body: bytes, *more: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def drip(self) -> None:
            """A film that has no end."""
            self.send_response(200)
            self.send_header("Content-Type", "video/webm")
            self.end_headers()
            self.close_connection = True
            while not site.released.is_set():
                self.wfile.write(b"\x1a\x45\xdf\xa3" + bytes(1000))
                time.sleep(DRIP_SECONDS)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the test looks at `asked`."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is killed leaves its connections: no error of ours."""


@contextmanager
def rendered_site(tls: ssl.SSLContext | None = None) -> Iterator[RenderedSite]:
    """The proxy, running; with `tls` it also answers within CONNECT."""
    site = RenderedSite(0)
    with _Server(("127.0.0.1", 0), _handler(site, tls)) as server:
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.released.set()
            server.shutdown()
            thread.join(10)
