"""What is suppressed is gone at once from everything a reader can ask, and its bytes are kept."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import tantivy
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import insert, select, update
from starlette.testclient import TestClient

from healtharchive.cli.main import main
from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.holdings import get_holding, payload_holding
from healtharchive.model.journal import story
from healtharchive.model.orders import IndexOrder
from healtharchive.model.states import JobStatus
from healtharchive.model.suppression import (
    Reason,
    Rule,
    RuleKind,
    get_suppression,
    list_suppressions,
    rule_of_capture,
)
from healtharchive.model.tables import archive_jobs, captures, pictures
from healtharchive.model.withheld import Suppressed
from healtharchive.search.compare.edition import Comparer
from healtharchive.search.index import IndexedPage, SearchIndex, stored_page
from healtharchive.search.indexed import put_shown
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.search.query import Query, search
from healtharchive.search.rebuild import rebuild
from healtharchive.search.suppressing import KEPT_NAME, Place, hide, show_again
from healtharchive.search.writing import Turn
from healtharchive.warc.reader import BadRecord, WarcRecord, read_records
from healtharchive.warc.verify import verify_file
from healtharchive.web.app import app_of, create_site
from healtharchive.web.cdx_query import span_of
from healtharchive.web.replay_app import create_replay_app
from healtharchive.web.replay_place import ReplayPlace
from tests.lab import warcs
from tests.lab.captured import (
    SITE,
    Page,
    add_segment,
    claim_index,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.editions import ACTOR, Editions, at, build_editions
from tests.lab.kept_collections import expect_right

SECRET = "/dir/hidden-name"
WORDS = ("Zanzibar", "zyxwvut")  # of its title and of its text, in both captures
FIRST = html_page("Zanzibar file", "The zyxwvut memo names a person.")
SECOND = html_page("Zanzibar file", "The zyxwvut memo names two persons and a street.")
OPEN = html_page("Measles", "Children are vaccinated against measles.")
PAGES = (
    (
        Page("/dir/open", OPEN, moment=at("20240110080000")),
        Page(SECRET, FIRST, moment=at("20240110080001")),
        Page("/other", html_page("Mumps", "Mumps is a virus."), moment=at("20240110080002")),
    ),
    (
        Page(SECRET, SECOND, moment=at("20250712080000")),
        Page("/dir/open", html_page("Measles", "Everybody is."), moment=at("20250712080001")),
    ),
)
TWIN = Page("/twin", FIRST, moment=at("20240110080009"), revisit=True)
WHY = "a person asked"


@dataclass(frozen=True)
class Archive:
    """The archive, and what is done to it."""

    made: Editions

    @property
    def place(self) -> Place:
        settings = self.made.settings
        return Place(self.made.database, settings.search_dir, settings.jobs_root)

    def ids(self, path: str) -> list[int]:
        query = select(captures.c.id).where(captures.c.url == SITE + path).order_by(captures.c.id)
        with self.made.database.read() as connection:
            return list(connection.execute(query).scalars())

    def hide(self, rule: Rule) -> int:
        done = hide(self.place, rule, Reason(why=WHY, who="op@lab"), actor=ACTOR)
        return done.suppression.id

    def hide_url(self, path: str = SECRET) -> int:
        return self.hide(rule_of_url(path))

    def hide_capture(self, capture_id: int) -> int:
        with self.made.database.read() as connection:
            rule = rule_of_capture(connection, capture_id)
        return self.hide(rule)

    def found(self, words: str = "zyxwvut", *, every: bool = True) -> list[int]:
        query = Query(text=words, all_captures=every)
        return sorted(hit.capture_id for hit in search(self.made.settings.search_dir, query).hits)

    def index_again(self) -> None:
        """What the worker does with a job that waits to be indexed."""
        with self.made.database.read() as connection:
            job = connection.execute(select(archive_jobs)).one()
        assert job.status == JobStatus.COMPLETED
        held, order = claim_index(self.made.database, IndexOrder(job.id, 0, job.output_dir))
        index_job(order, self.tools())
        finish_index(self.made.database, held)

    def tools(self) -> Tools:
        index = SearchIndex(self.made.settings.search_dir)
        return Tools(self.made.database, index, ACTOR, lambda _: None, lambda: None)

    def apps(self) -> tuple[FastAPI, FastAPI]:
        """The site, and the origin of archived pages."""
        replay = ReplayPlace(8091, "")
        site = create_site(self.made.settings, self.made.database, 8090, replay)
        return app_of(site), create_replay_app(site)


def rule_of_url(path: str, *, prefix: bool = False) -> Rule:
    first, end = span_of(SITE + path, "prefix" if prefix else "exact")
    kind = RuleKind.PREFIX if prefix else RuleKind.URL
    return Rule(kind=kind, url=SITE + path, first_key=first, end_key=end)


def build(directory: Path, database_url: str = "", *, twin: bool = False) -> Archive:
    pages = (*PAGES, (TWIN,)) if twin else PAGES
    made = build_editions(directory, database_url, pages)
    comparer = Comparer(made.database, SearchIndex(made.settings.search_dir), lambda: None)
    comparer.compare_job(1, 1)
    settings = replace(made.settings, requests_burst=100_000)
    return Archive(replace(made, settings=settings))


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[Archive]:
    made = build(tmp_path, database_url)
    yield made
    made.made.database.dispose()


# -- every address ---------------------------------------------------------------------------------

LEFT_ALONE = {"/replay/ui.js", "/replay/sw.js"}  # files of replayweb.page


def addresses(app: FastAPI, ids: list[int]) -> Iterator[str]:
    """Every address that is read, with each value that leads to the hidden captures."""
    url = SITE + SECRET
    values: dict[str, list[str]] = {
        "language": ["en", "fr"],
        "capture_id": [str(each) for each in ids],
        "url": [url, quote(url, safe="")],
        "timestamp": ["20240110080001", "2024"],
        "since": ["20240110080001"],
        "form": ["link", "json"],
        "kind": ["job", "source", "campaign"],
        "job_id": ["1"],
        "number": ["1"],
        "file_name": ["README.md"],
    }
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        if "GET" not in (route.methods or ()) or path in LEFT_ALONE:
            continue
        found = [path.replace(":path}", "}").replace("/http{url}", "/{url}")]
        for name in re.findall(r"{(\w+)}", found[0]):
            named = ["annual-2026"] if "campaign" in path else ["1", "lab", "annual-2026"]
            choices = named if name == "name" else values[name]
            found = [each.replace("{" + name + "}", value) for each in found for value in choices]
        yield from found


def queries(ids: list[int]) -> list[str]:
    """What the parameters of a query may ask for."""
    one, other = ids
    return [
        "",
        f"url={quote(SITE + SECRET, safe='')}",
        f"url={SITE}/*",
        f"url={SITE}/dir/open&matchType=domain",
        f"from={one}&to={other}",
        f"from={one}&to=1",
        f"capture={one}",
        "q=zyxwvut&which=all",
        "q=zyxwvup",
        "min_score=0&order=score",
        "campaign=annual-2026&which=all",
    ]


def texts_of(answer: httpx.Response) -> str:
    """All that an answer says, also what is packed in it."""
    body = answer.content
    if body[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            parts = [packed.read(name) for name in packed.namelist()]
        body = b"".join(gzip.decompress(e) if e[:2] == b"\x1f\x8b" else e for e in parts)
    elif body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    return body.decode("utf-8", "replace") + str(answer.headers)


def asked_of(path: str, ids: list[int]) -> list[str]:
    """The addresses of a path; a URL at its end leaves no room for a query of ours."""
    if "http" in path:
        return [path]
    if re.search(r"/\d+", path):
        return [path, f"{path}?format=json"]
    few = path.startswith("/fr/")  # the same facts as in English, in other words
    return [f"{path}?{each}" for each in queries(ids)[: 2 if few else None]]


def read_all(archive: Archive, ids: list[int]) -> dict[str, httpx.Response]:
    """The answer of every address, with every query."""
    found: dict[str, httpx.Response] = {}
    for number, app in enumerate(archive.apps()):
        with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as site:
            for path in addresses(app, ids):
                for address in asked_of(path, ids):
                    found[f"{number} {address}"] = patiently(site, address)
    return found


def patiently(site: TestClient, address: str) -> httpx.Response:
    for _ in range(40):
        answer = site.get(address)
        if answer.status_code != 503 or "being prepared" not in answer.text:
            break
    return answer


def telling(found: dict[str, httpx.Response]) -> dict[str, int]:
    """The addresses whose answers say a hidden word or, not being asked for it, the hidden URL."""
    told: dict[str, int] = {}
    for address, answer in found.items():
        said = texts_of(answer)
        said_word = any(word in said.replace("q=zyxwvut", "") for word in WORDS)
        asked_for_it = "hidden-name" in address or answer.status_code in (400, 422)
        if "q=zyxwvu" in address:  # the page repeats what was typed
            said_word = WORDS[0] in said
        if said_word or ("hidden-name" in said and not asked_for_it):
            told[address] = answer.status_code
    return told


def test_no_address_says_anything_of_what_is_suppressed(tmp_path: Path) -> None:
    archive = build(tmp_path)
    ids = archive.ids(SECRET)
    before = telling(read_all(archive, ids))
    kinds = {address.split("?")[0].split("http")[0] for address in before}
    assert len(kinds) > 25, sorted(kinds)  # the words would be seen where they are
    archive.hide_url()
    after = read_all(archive, ids)
    assert telling(after) == {}
    assert not [address for address, answer in after.items() if answer.status_code >= 500]


# -- one by one ------------------------------------------------------------------------------------


@pytest.fixture
def site(archive: Archive) -> Iterator[TestClient]:
    app, _ = archive.apps()
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def test_its_addresses_say_451_and_not_why(archive: Archive, site: TestClient) -> None:
    first, second = archive.ids(SECRET)
    with archive.made.database.begin() as connection:
        place = {"record_offset": 0, "record_length": 1}
        connection.execute(insert(pictures).values(capture_id=first, kind="thumbnail", **place))
    archive.hide_url()
    url = SITE + SECRET
    shown = site.get("/api/captures/1").json()["url"]
    for address in (
        f"/api/captures/{first}",
        f"/fr/capture/{first}",
        f"/raw/{first}",
        f"/warc/{first}",
        f"/wacz/{first}",
        f"/thumbnail/{first}",
        f"/screenshot/{first}",
        f"/en/cite/{first}",
        f"/cite/{first}.bib",
        f"/en/report?capture={first}",
        f"/en/compare?from={first}&to={second}",
        f"/api/compare?from=1&to={second}",
        f"/api/history?url={quote(url, safe='')}",
        f"/en/history?url={quote(shown, safe='')}&with={first}",
        f"/at/20240110080001/{url}",
        f"/at/2024/{url}",
        f"/fr/at/2024/{url}",
        f"/timegate/{url}",
        f"/timemap/link/{url}",
        f"/timemap/json/{url}",
        f"/timemap/cdxj/{url}",
    ):
        answer = site.get(address)
        assert answer.status_code == 451, address
        assert WHY not in answer.text
        assert answer.headers["link"] == '<http://testserver/>; rel="blocked-by"'
        assert answer.headers["cache-control"] == "no-cache"
    facts = site.get(f"/api/captures/{first}?language=fr").json()
    assert facts["status"] == 451
    assert "does not show it" in site.get(f"/raw/{first}", headers={"Accept": "text/html"}).text
    assert "ne le montrent pas" in site.get(f"/fr/capture/{first}").text
    assert site.get(f"/api/cdx?url={url}").text == ""
    assert site.get("/api/captures/1").status_code == 200


def test_one_capture_alone_is_hidden(archive: Archive, site: TestClient) -> None:
    first, second = archive.ids(SECRET)
    assert archive.found(every=False) == [second]
    archive.hide_capture(second)
    assert archive.found(every=False) == [first]  # it is the latest that is shown now
    assert archive.found() == [first]
    url = SITE + SECRET
    assert site.get(f"/raw/{second}").status_code == 451
    assert site.get(f"/raw/{first}").status_code == 200
    assert site.get(f"/at/20250712080000/{url}").status_code == 451
    nearest = site.get(f"/at/2025/{url}")
    assert nearest.headers["content-location"] == f"/at/20240110080001/{url}"
    assert len(site.get(f"/api/cdx?url={url}").text.splitlines()) == 1
    facts = site.get(f"/api/captures/{first}").json()
    assert (facts["capture_count"], [each["id"] for each in facts["others"]]) == (1, [first])
    history = site.get(f"/api/history?url={quote(url, safe='')}").json()
    assert history["total"] == 1
    changed = site.get("/api/changes?min_score=0").json()["changes"]
    assert [each["to_capture"] for each in changed] == archive.ids("/dir/open")[1:]


def test_a_change_from_what_is_hidden_is_not_told(archive: Archive, site: TestClient) -> None:
    first, second = archive.ids(SECRET)
    address = "/api/changes?min_score=0"
    before = [each["to_capture"] for each in site.get(address).json()["changes"]]
    assert second in before
    archive.hide_capture(first)
    after = site.get(address).json()["changes"]
    assert [each["to_capture"] for each in after] == [each for each in before if each != second]


def test_a_prefix_meets_what_is_captured_later(archive: Archive) -> None:
    number = archive.hide(rule_of_url("/dir/", prefix=True))
    assert archive.found("measles") == []
    assert archive.found("mumps") == archive.ids("/other")
    made = archive.made
    with made.database.begin() as connection:
        job = connection.execute(select(archive_jobs)).one()
        again = update(archive_jobs).values(status=JobStatus.COMPLETED)
        connection.execute(again)
    late = [
        Page("/dir/late", html_page("Late", "A zyxwvut again."), moment=at("20260101000000")),
        Page(
            "/directory",
            html_page("Not in it", "Another rubella page."),
            moment=at("20260101000001"),
        ),
    ]
    add_segment(IndexOrder(job.id, 0, job.output_dir), [page_record(each) for each in late], 3)
    archive.index_again()
    assert archive.found() == []
    assert archive.found("rubella") == archive.ids("/directory")
    (hidden,) = archive.ids("/dir/late")
    with made.database.read() as connection:
        assert get_suppression(connection, number).captures == 5
        with pytest.raises(Suppressed):
            get_holding(connection, hidden)


def test_what_another_rule_meets_stays_hidden(archive: Archive) -> None:
    first, second = archive.ids(SECRET)
    archive.hide_capture(second)
    by_prefix = archive.hide(rule_of_url("/dir/", prefix=True))
    by_url = archive.hide_url()
    assert archive.hide_url() == by_url  # once is enough
    found = show_again(archive.place, by_prefix, who="op", why="too much", actor=ACTOR)
    assert [each.id for each in found] == archive.ids("/dir/open")
    with archive.made.database.read() as connection:
        counts = [each.captures for each in list_suppressions(connection)]
        hidden = connection.execute(select(captures.c.id).where(captures.c.suppressed_by > 0))
        assert sorted(hidden.scalars()) == [first, second]
    assert counts == [1, 1]


def test_what_is_lifted_is_shown_and_found_again(archive: Archive, site: TestClient) -> None:
    ids = archive.ids(SECRET)
    number = archive.hide_url()
    show_again(archive.place, number, who="op@lab", why="a mistake", actor=ACTOR)
    assert site.get(f"/raw/{ids[0]}").status_code == 200
    archive.index_again()
    assert archive.found() == ids
    assert archive.found(every=False) == ids[1:]
    with archive.made.database.read() as connection:
        told = story(connection, "suppression", number)
        assert list_suppressions(connection) == []
        assert get_suppression(connection, number).lifted_by == "op@lab"
    assert [(each.what, each.why) for each in told] == [
        ("suppressed", WHY),
        ("lifted", "a mistake"),
    ]
    assert told[0].evidence["named"] == ids
    assert told[0].evidence["who"] == "op@lab"


def test_indexing_again_puts_nothing_back(archive: Archive) -> None:
    archive.hide_url()
    other = archive.hide(rule_of_url("/other"))
    show_again(archive.place, other, who="op", why="a mistake", actor=ACTOR)
    archive.index_again()
    assert archive.found() == []
    assert archive.found("mumps") == archive.ids("/other")


def test_a_page_that_is_suppressed_while_it_is_indexed_is_not_found(archive: Archive) -> None:
    class Slow(SearchIndex):
        """Somebody suppresses the page before this index has it."""

        def put(self, pages: Iterable[IndexedPage], turn: Turn | None = None) -> None:
            taken = list(pages)
            archive.hide_url()
            super().put(taken, turn)

    settings = archive.made.settings
    index = Slow(settings.search_dir)
    first, second = archive.ids(SECRET)
    searcher = index.searcher()
    pages = [
        stored_page(searcher.doc(address))
        for _, address in searcher.search(tantivy.Query.all_query(), limit=10).hits
    ]
    hidden = [each for each in pages if each.capture_id in (first, second)]
    assert len(hidden) == 2
    put_shown(archive.made.database, index, hidden)
    assert archive.found() == []


def test_the_bytes_stay_as_they_are(archive: Archive) -> None:
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in archive.made.warcs]
    archive.hide_url()
    after = [hashlib.sha256(path.read_bytes()).hexdigest() for path in archive.made.warcs]
    assert after == before
    assert all(not verify_file(path).problems for path in archive.made.warcs)


def test_a_wacz_is_whole_without_what_is_hidden(archive: Archive, site: TestClient) -> None:
    address = "/api/wacz/job/1.wacz"
    before = patiently(site, address)
    archive.hide_url()
    after = patiently(site, address)
    assert after.headers["etag"] != before.headers["etag"]
    with zipfile.ZipFile(io.BytesIO(after.content)) as packed:
        expect_right(packed)
        records = [
            record
            for name in packed.namelist()
            if name.startswith("archive/")
            for record in read_records(io.BytesIO(packed.read(name)))
        ]
    urls = [each.target_uri for each in records if isinstance(each, WarcRecord)]
    assert SITE + "/dir/open" in urls
    assert SITE + SECRET not in urls
    assert not any(isinstance(each, BadRecord) for each in records)
    number = 1
    show_again(archive.place, number, who="op", why="a mistake", actor=ACTOR)
    archive.index_again()
    with zipfile.ZipFile(io.BytesIO(patiently(site, address).content)) as packed:
        expect_right(packed)
        assert "hidden-name" in packed.read("pages/pages.jsonl").decode()


def beside(record_type: str, uri: str, block: bytes, page: Page) -> bytes:
    """A record that accompanies a page's response, as a crawl writes it before that."""
    is_text = record_type == "conversion"
    kind = "text/plain; charset=utf-8" if is_text else "image/png"
    field = "WARC-Refers-To" if is_text else "WARC-Concurrent-To"
    fields = (
        *warcs.common(uri, uri, block, kind),
        (field, warcs.record_id(f"{page.url} {page.moment}")),
    )
    return warcs.record(record_type, block, fields)


def test_what_accompanies_a_hidden_capture_leaves_the_wacz_with_it(
    archive: Archive, site: TestClient
) -> None:
    shell = html_page("App", "")
    hidden = Page("/app/hidden", shell, moment=at("20260101000000"))
    other = Page("/app/other", html_page("Rubella", "Seen."), moment=at("20260101000001"))
    records = [
        beside("conversion", f"urn:text:{hidden.url}", b"Zanzibar\n\nRendered zyxwvut.", hidden),
        beside("resource", f"urn:thumbnail:{hidden.url}", b"\x89PNG\r\n\x1a\n zyxwvut", hidden),
        page_record(hidden),
        beside("conversion", f"urn:text:{other.url}", b"Rubella\n\nRendered rubella.", other),
        page_record(other),
    ]
    with archive.made.database.begin() as connection:
        job = connection.execute(select(archive_jobs)).one()
        connection.execute(update(archive_jobs).values(status=JobStatus.COMPLETED))
    add_segment(IndexOrder(job.id, 0, job.output_dir), records, 3)
    archive.index_again()
    (number,) = archive.ids("/app/hidden")
    assert number in archive.found()
    assert site.get(f"/thumbnail/{number}").status_code == 200
    archive.hide_url()
    archive.hide_url("/app/hidden")
    said = texts_of(patiently(site, "/api/wacz/job/1.wacz"))
    assert "Rendered rubella." in said
    assert not any(word in said for word in (*WORDS, "app/hidden"))
    assert site.get(f"/thumbnail/{number}").status_code == 451


def test_a_revisit_by_another_url_keeps_its_body(tmp_path: Path) -> None:
    archive = build(tmp_path, twin=True)
    (twin,) = archive.ids("/twin")
    archive.hide_url()
    assert archive.found() == [twin]
    app, _ = archive.apps()
    with TestClient(app, raise_server_exceptions=False) as site:
        assert "zyxwvut memo" in site.get(f"/raw/{twin}").text
        alone = site.get(f"/wacz/{twin}")  # a file to take away has no hidden record
        assert "hidden-name" not in texts_of(alone)
        assert "hidden-name" not in texts_of(patiently(site, "/api/wacz/job/1.wacz"))
        with archive.made.database.read() as connection:
            original = payload_holding(connection, get_holding(connection, twin))
        assert original is not None
        assert original.id == archive.ids(SECRET)[0]
        archive.hide_url("/twin")
        assert site.get(f"/raw/{twin}").status_code == 451
    assert archive.found() == []
    archive.made.database.dispose()


def test_a_hidden_revisit_hides_nothing_of_its_original(tmp_path: Path) -> None:
    archive = build(tmp_path, twin=True)
    archive.hide_url("/twin")
    assert archive.found() == archive.ids(SECRET)
    archive.made.database.dispose()


def test_a_rebuild_keeps_hidden_what_was(archive: Archive) -> None:
    archive.hide_capture(archive.ids(SECRET)[0])
    archive.hide_url()
    rebuild(archive.tools(), archive.place.jobs_root, lambda: 0.0)
    assert archive.found() == []
    assert archive.found("mumps") == archive.ids("/other")


def test_an_archive_made_anew_from_its_files_hides_the_same(tmp_path: Path) -> None:
    first = build(tmp_path)
    first.hide_capture(first.ids(SECRET)[0])
    first.hide_capture(first.ids(SECRET)[1])
    lifted = first.hide_url("/other")
    show_again(first.place, lifted, who="op", why="a mistake", actor=ACTOR)
    first.made.database.dispose()
    database = Database(f"sqlite:///{tmp_path / 'new.sqlite'}")
    schema.upgrade(database)
    second = Archive(replace(first.made, database=database))
    rebuild(second.tools(), second.place.jobs_root, lambda: 0.0)
    assert second.found() == []
    assert len(second.found("mumps")) == 1
    with database.read() as connection:
        kept = list_suppressions(connection)
    assert [(each.rule.kind, each.captures, each.why) for each in kept] == [
        ("capture", 1, WHY),
        ("capture", 1, WHY),
    ]
    database.dispose()


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture
def command(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work on this archive."""
    for name in [name for name in os.environ if name.startswith("HEALTHARCHIVE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEALTHARCHIVE_ENV_FILE", os.devnull)
    monkeypatch.setenv("HEALTHARCHIVE_DATA_DIR", str(archive.made.settings.data_dir))
    url = archive.made.database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("HEALTHARCHIVE_DATABASE_URL", url)


@pytest.mark.usefixtures("command")
def test_the_commands_say_what_they_did(
    archive: Archive, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = SITE + SECRET
    assert main(["suppress", "--url", url, "--why", WHY]) == 0
    assert "not shown any more: 2." in capsys.readouterr().out
    assert main(["search", "zyxwvut", "--all"]) == 0
    assert "Nothing was found." in capsys.readouterr().out
    assert main(["compare", "1", str(archive.ids(SECRET)[0])]) == 4
    assert "does not show it" in capsys.readouterr().err
    assert main(["suppressions", "--json"]) == 0
    listed = capsys.readouterr().out
    (made,) = json.loads(listed)
    assert (made["captures"], made["rule"]["url"], made["why"]) == (2, url, WHY)
    assert "@" in made["who"]
    kept = json.loads((archive.place.jobs_root / KEPT_NAME).read_text())
    assert kept[0]["rule"] == made["rule"]
    path = tmp_path / "list.json"
    path.write_text(listed)
    assert main(["unsuppress", "--url", url, "--why", "a mistake"]) == 0
    said = capsys.readouterr().out
    assert "shown again: 2." in said
    assert "`healtharchive show-job --id 1` says `indexed` when it has." in said
    assert json.loads((archive.place.jobs_root / KEPT_NAME).read_text()) == []
    assert main(["suppressions"]) == 0
    assert "Everything is shown." in capsys.readouterr().out
    archive.index_again()
    assert main(["suppress", "--from", str(path)]) == 0
    assert "were made: 1." in capsys.readouterr().out
    assert archive.found() == []
    assert main(["suppress", "--from", str(path)]) == 0
    assert "were made: 0." in capsys.readouterr().out


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["suppress", "--why", "x"], 2, "Give --capture ID or --url URL."),
        (["suppress", "--capture", "1"], 2, "needs its reason"),
        (["suppress", "--capture", "99", "--why", "x"], 4, "There is no capture 99."),
        (["suppress", "--capture", "1", "--prefix", "--why", "x"], 2, "is of one thing"),
        (["suppress", "--url", "nothing", "--why", "x"], 2, "is no URL of the web"),
        (["suppress", "--capture", "1", "--why", "x", "--report", "7"], 4, "no report 7"),
        (["suppress", "--from", "/dev/null"], 2, "is no list of suppressions"),
        (["suppress", "--from", "/nowhere/list"], 3, "cannot be read"),
        (["unsuppress", "--id", "5", "--why", "x"], 4, "There is no suppression 5."),
        (["unsuppress", "--capture", "1", "--why", "x"], 4, "There is no suppression of this"),
    ],
)
def test_wrong_words_change_nothing(
    archive: Archive,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    sentence: str,
) -> None:
    assert main(words) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1
    with archive.made.database.read() as connection:
        assert list_suppressions(connection, lifted=True) == []


@pytest.mark.usefixtures("command")
def test_the_same_body_elsewhere_is_pointed_out(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive.made.database.begin() as connection:
        same = select(captures.c.payload_digest).where(captures.c.id == archive.ids(SECRET)[0])
        connection.execute(
            update(captures)
            .where(captures.c.url == SITE + "/other")
            .values(payload_digest=same.scalar_subquery())
        )
    assert main(["suppress", "--url", SITE + SECRET, "--why", WHY]) == 0
    assert "have the same body: 1." in capsys.readouterr().out
