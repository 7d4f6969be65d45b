"""The lab's site does what it declares, and the truth about it sees every kind of error."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.lab import truth, warcs
from tests.lab.content import _links_in_html
from tests.lab.site import Site, serving


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(12) as running:
        yield running


def fetch(url: str, headers: str = "") -> bytes:
    """The bytes of a response, read until the server ends the connection."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=20) as link:
        asks = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n{headers}\r\n"
        )
        link.sendall(asks.encode())
        return b"".join(iter(lambda: link.recv(65_536), b""))


def response_record(url: str, block: bytes) -> bytes:
    """A WARC record of a response, cut to the length that its head declares."""
    head, _, body = block.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.startswith(b"Content-Length: "):
            block = head + b"\r\n\r\n" + body[: int(line.split()[1])]
    fields = warcs.common(url, url, block, "application/http; msgtype=response")
    return warcs.record("response", block, fields)


@pytest.fixture(scope="module")
def records(site: Site) -> dict[str, bytes]:
    """A record of everything that a right crawl captures, passing troubles waited out."""
    passing = ("/trouble/429", "/trouble/503", "/framing/first-cut")
    for target in passing:
        fetch(site.url + target)
    return {url: response_record(url, fetch(url)) for url in site.truth.expected}


def held(records: dict[str, bytes], directory: Path, *more: bytes) -> Path:
    (directory / "warcs").mkdir()
    file = directory / "warcs" / "site.warc.gz"
    warcs.write(file, [warcs.warcinfo(), *records.values(), *more])
    return directory


def kinds(job_dir: Path, site: Site) -> list[tuple[str, str]]:
    return [(each.kind, each.url) for each in truth.compare(job_dir, site.truth)]


def test_what_the_site_serves_is_what_the_truth_says(
    site: Site, records: dict[str, bytes], tmp_path: Path
) -> None:
    job_dir = held(records, tmp_path)
    assert truth.compare(job_dir, site.truth) == []
    files = truth.warc_files(job_dir)
    assert truth.count_with_fastwarc(files)["response"] == len(records)
    assert truth.warcio_check(files) == []


def test_truth_sees_what_is_missing_extra_double_or_wrong(
    site: Site, records: dict[str, bytes], tmp_path: Path
) -> None:
    page, gone = f"{site.url}/leaf/gzip", f"{site.url}/leaf/brotli"
    private, other = f"{site.url}/private/ledger", f"{site.url}/leaf/slow"
    changed = {url: record for url, record in records.items() if url != gone}
    changed[other] = response_record(other, warcs.http_response(b"something else"))
    more = (records[page], response_record(private, warcs.http_response(b"secret")))
    found = kinds(held(changed, tmp_path, *more), site)
    wanted = {("missing", gone), ("duplicate", page), ("extra", private), ("wrong", other)}
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_truth_takes_a_revisit_only_of_a_payload_that_is_there(
    site: Site, records: dict[str, bytes], tmp_path: Path
) -> None:
    one, other = f"{site.url}/same/a", f"{site.url}/same/b"
    body = records[one].partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[2][:-4]
    rest = {url: record for url, record in records.items() if url != other}
    revisit = warcs.revisit(other, one, body)
    assert kinds(held(rest, tmp_path, revisit), site) == []
    for name in ("a", "c"):
        del rest[f"{site.url}/same/{name}"]
    (tmp_path / "alone").mkdir()
    found = kinds(held(rest, tmp_path / "alone", revisit), site)
    assert ("revisit", other) in found


def test_traps_are_endless_but_known_and_their_use_is_bounded(
    site: Site, records: dict[str, bytes], tmp_path: Path
) -> None:
    months = [f"{site.url}/events?month={number}" for number in range(1, 30)]
    pages = [response_record(url, fetch(url)) for url in months]
    job_dir = held(records, tmp_path, *pages)
    assert truth.compare(job_dir, site.truth) == []
    assert truth.compare(job_dir, site.truth, trap_budget=10) != []


def test_passing_troubles_pass_and_lasting_ones_last() -> None:
    with serving(1) as fresh:
        said = [fetch(f"{fresh.url}/trouble/503") for _ in range(2)]
        assert b" 503 " in said[0]
        assert b"Retry-After: 1" in said[0]
        assert b" 200 " in said[1]
        halves = [fetch(f"{fresh.url}/framing/first-cut") for _ in range(2)]
        assert halves[1].startswith(halves[0])
        assert len(halves[0]) < len(halves[1])
        cut = fetch(f"{fresh.url}/framing/always-cut")
        assert cut == fetch(f"{fresh.url}/framing/always-cut")
        assert not cut.endswith(b"\r\n\r\n")


def test_the_wall_of_cookies_opens_to_those_who_carry_one() -> None:
    with serving(1) as fresh:
        wall = f"{fresh.url}/cookies/wall"
        assert b"Set-Cookie: wall=1" in fetch(wall)
        assert b"behind the wall" in fetch(wall, "Cookie: wall=1\r\n")
        answers = [fetch(wall) for _ in range(6)]
        assert b"behind the wall" in answers[-1]


def test_every_request_is_in_the_access_log_before_its_answer(site: Site) -> None:
    fetch(f"{site.url}/leaf/slow?logged")
    *_, (_, method, target, status, host) = site.requests()
    assert (method, target, status) == ("GET", "/leaf/slow?logged", 404)
    assert host == urlsplit(site.url).netloc


def test_the_site_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    with serving(5, seed=3) as one, serving(5, seed=4) as other:
        targets = [set(each.content.by_target) for each in (one, other)]
        again = set(type(one.content)(one.url, one.content.outside, 5, 3).by_target)
    assert targets[0] == again
    assert targets[0] != targets[1]


class Links(HTMLParser):
    """A second opinion on the links of a page of the corpus."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "link" and names.get("rel") in ("search", "dns-prefetch", "preconnect"):
            return
        for name in ("href", "src", "action"):
            if names.get(name) is not None:
                self.found.add(str(names[name]))


def test_links_of_the_corpus_are_those_that_an_html_parser_finds(site: Site) -> None:
    pages = [each for each in site.content.by_target if each.endswith(".html")]
    for target in pages:
        text = site.content.resolve(target).answers[0].body.decode()
        parser = Links()
        parser.feed(text)
        assert set(_links_in_html(text)) == parser.found
