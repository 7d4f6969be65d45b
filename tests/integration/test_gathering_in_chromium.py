"""Real Chromium through the recording proxy: every byte that it loads is in the archive, once."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.gathering import Gathering
from healtharchive.crawl.browser.proxy import RecordingProxy
from healtharchive.warc.verify import verify_file
from tests.lab.gathering import (
    ANSWERS,
    BIG,
    Attempt,
    accounted,
    attempt,
    open_files,
)
from tests.lab.processes import kill_tree, spawn
from tests.lab.raw_site import HOST, OK, RawSite, certified, ok, serving, until

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360"
    "606060000000050001a5f645400000000049454e44ae426082"
)
SCRIPT = b"""
addEventListener("load", async () => {
  const told = [];
  const tell = async (name, promise) => {
    try {
      const got = await promise;
      told.push(name + "=" + got.status + ":" + (await got.text()));
    }
    catch (error) { told.push(name + "=" + error.name); }
  };
  await tell("post", fetch("/api", {method: "POST", body: "what was asked"}));
  await tell("json", fetch("/data.json?x=%C3%A9"));
  await tell("again", fetch("/data.json?x=%C3%A9", {cache: "reload"}));
  await tell("part", fetch("/ranged", {headers: {Range: "bytes=0-3"}}));
  await tell("head", fetch("/style.css", {method: "HEAD"}));
  await tell("missing", fetch("/missing"));
  await tell("refused", fetch(REFUSED));
  await tell("dead", fetch("/dies"));
  await fetch("/told", {method: "POST", body: told.join("|")});
  location.href = "/elsewhere";
});
"""
STYLE = b"@font-face{font-family:f;src:url(/f.woff2)} p{font-family:f}"
PAGE = b"""<!doctype html><html><head><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,"></head><body><p>a page</p><img src="/dot.png" alt="">
<img src="/dot.png?again" alt=""><iframe src="/inner.html"></iframe>
<script src="/script.js"></script></body></html>"""


def chunked(body: bytes, *more: str) -> bytes:
    pieces = [body[at : at + 300] for at in range(0, len(body), 300)]
    framed = b"".join(b"%X;ext=1\r\n%s\r\n" % (len(each), each) for each in pieces)
    head = "\r\n".join(["Transfer-Encoding: chunked", *more])
    return OK + head.encode() + b"\r\n\r\n" + framed + b"0\r\nX-Sum: 1\r\n\r\n"


def site_for_a_browser(refused: str) -> RawSite:
    script = gzip.compress(SCRIPT.replace(b"REFUSED", repr(refused).encode()), mtime=0)
    return RawSite(
        {
            "/": ok(PAGE, "text/html; charset=utf-8"),
            "/style.css": ok(STYLE, "text/css"),
            "/script.js": chunked(
                script, "Content-Type: text/javascript", "Content-Encoding: gzip"
            ),
            "/dot.png": ok(PNG, "image/png"),
            "/dot.png?again": ok(PNG, "image/png"),
            "/inner.html": ok(b"<p>inner</p><script src='/script2.js'></script>", "text/html"),
            "/script2.js": ok(b"document.title = 'inner'", "text/javascript"),
            "/f.woff2": ok(BIG, "font/woff2"),
            "/data.json?x=%C3%A9": ok('{"é": 1}'.encode(), "application/json"),
            "/ranged": ANSWERS["/ranged"],
            "/missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone.",
            "/dies": b"SSH-2.0-no-http\r\n",
            "POST /api": ok(b'{"posted": true}', "application/json"),
            "POST /told": ok(b"heard"),
        }
    )


def chromium(profile: Path, proxy: str, spki_hash: str, url: str) -> list[str]:
    return [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        f"--proxy-server={proxy}",
        "--proxy-bypass-list=<-loopback>",
        f"--ignore-certificate-errors-spki-list={spki_hash}",
        url,
    ]


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """A browser that lives as long as the block."""
    process = spawn(command)
    try:
        yield
    finally:
        kill_tree(process)


def judged_by_warcio(path: Path) -> dict[tuple[str, str], int]:
    """The records of a file by type and URL, after warcio's checker found every digest right."""

    class Chosen:
        inputs = (str(path),)
        verbose = False

    checker = Checker(Chosen())
    checker.process_all()
    assert checker.exit_value == 0
    counted: dict[tuple[str, str], int] = {}
    with path.open("rb") as stream:
        for each in ArchiveIterator(stream, no_record_parse=True):
            key = (each.rec_type, each.rec_headers.get_header("WARC-Target-URI") or "")
            counted[key] = counted.get(key, 0) + 1
    return counted


def told_by(site: RawSite) -> dict[str, str]:
    """What the page's script says each of its requests came to."""
    return dict(each.split("=", 1) for each in site.of("/told").body.decode().split("|"))


def test_every_byte_that_chromium_loads_is_in_the_archive_once(tmp_path: Path) -> None:
    ours, theirs = certified()
    unasked: list[str] = []  # what Chromium wants on its own account, whatever it is told

    def may_fetch(url: str) -> str:
        if url.startswith("https://127."):
            return ""
        unasked.append(url)
        return "no page of ours asks for it"

    site = site_for_a_browser("https://127.0.0.2:9443/private")

    async def main() -> None:
        async with (
            asyncio.timeout(55),
            serving(site, theirs),
            attempt(tmp_path, f"{site.url}/", tls=ours) as parts,
        ):
            exchange = await parts.means.transport.fetch(parts.page.url)
            page = parts.gathering(exchange, may_fetch=may_fetch)
            authority = Authority.create()
            proxy = RecordingProxy(authority, page)
            port = await proxy.start()
            command = chromium(
                tmp_path / "profile", f"{HOST}:{port}", authority.spki_hash, parts.page.url
            )
            with running(command):
                await until(lambda: page.navigations)  # the last that its script does
            assert await page.settled(0.2, asyncio.get_running_loop().time() + 10)
            await page.close()
            await proxy.close()
            await parts.ledger.append(*parts.recorder.records(parts.page.id, exchange))
            exchange.body.close()
            _judge(page)
            counts = await parts.finish()
            # The whole of what was asked for in part waits to be fetched.
            assert (counts.found, counts.in_flight, counts.queued) == (counts.done + 1, 0, 1)
            _judge_the_archive(parts)
            assert open_files(parts.spills) == 0

    def _judge(page: Gathering) -> None:
        told = told_by(site)
        assert told["post"] == '200:{"posted": true}'
        assert told["json"] == told["again"] == '200:{"é": 1}'
        assert (told["part"], told["head"]) == ("206:four", "200:")
        assert told["missing"] == "404:none."
        assert (told["refused"], told["dead"][:4]) == ("TypeError", "502:")
        assert page.navigations == [f"{site.url}/elsewhere"]
        assert page.traffic.given == 1
        assert page.traffic.kept >= 1
        assert page.traffic.failed == 2 + len(unasked)
        assert accounted(page)
        assert page.fatal is None
        times = site.times()
        assert "GET /elsewhere" not in times
        assert set(times.values()) == {1}, times

    def _judge_the_archive(parts: Attempt) -> None:
        recorded = parts.recorded()
        found = {(each.method, each.url[len(site.url) :]): each for each in recorded}
        assert len(found) == len(recorded)  # nothing is twice
        wanted = {("GET", path) for path in site.answers if path.startswith("/")}
        wanted -= {("GET", "/dies")}
        assert set(found) == wanted | {("POST", "/api"), ("POST", "/told"), ("HEAD", "/style.css")}
        for (method, path), each in found.items():
            truth = site.answers.get(f"{method} {path}") or site.answers[path]
            head = truth.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            whole = each.kind == "response" and method != "HEAD"
            assert each.block == (truth if whole else head), path
        revisits = [path for (_, path), each in found.items() if each.kind == "revisit"]
        # None where the second was on its way before the first had been written.
        assert len(revisits) <= 1
        assert all(path.startswith("/dot.png") for path in revisits)
        (segment,) = parts.segments.sealed()
        assert verify_file(Path(segment.path)).problems == ()
        counted = judged_by_warcio(Path(segment.path))
        assert sum(counted.values()) == segment.records == 1 + 2 * len(found)

    asyncio.run(main())
