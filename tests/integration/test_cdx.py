"""The CDX server over a real archive, on both databases."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from healtharchive.model.cdx import Span, lines
from healtharchive.model.database import Database
from healtharchive.warc.cdxj import cdxj_lines
from healtharchive.web import cdx
from tests.lab.captured import Page
from tests.lab.editions import CAPTURES, PAGES, Editions, at, build_editions
from tests.lab.postgres import Cluster

HOST = "https://www.example.org"
EVERYTHING = "*.org"
SEED = 20260124
ENGLISH = ("--locale-provider=icu", "--icu-locale=en-US")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def archive(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Callable[[], Cluster],
) -> Editions:
    on_server = request.param == "postgresql"
    url = postgres().create_database("test_cdx") if on_server else ""
    return build_editions(tmp_path_factory.mktemp("editions"), url)


@pytest.fixture(scope="module")
def site(archive: Editions) -> Iterator[httpx.Client]:
    with TestClient(archive.app(), raise_server_exceptions=False) as client:
        yield client


def ask(site: httpx.Client, url: str = f"{HOST}/page", **parameters: str) -> list[dict[str, str]]:
    """The lines of a JSON answer."""
    answer = site.get("/api/cdx", params={"url": url, "output": "json", **parameters})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def moments(site: httpx.Client, **parameters: str) -> list[str]:
    return [line["timestamp"] for line in ask(site, **parameters)]


def paths(site: httpx.Client, url: str, **parameters: str) -> list[str]:
    return [line["url"].removeprefix(HOST) for line in ask(site, url, **parameters)]


def test_the_lines_are_those_of_the_warcs_own_indexes(
    archive: Editions, site: httpx.Client
) -> None:
    wanted = sorted(
        (line.to_text() for warc in archive.warcs for line in cdxj_lines(warc)),
        key=lambda line: line.split()[:2],
    )
    answers = [site.get("/api/cdx", params={"url": url}) for url in ("*.org", "*.example", "1*")]
    assert answers[0].headers["content-type"].startswith("text/x-cdxj")
    found = [line for answer in answers for line in answer.text.splitlines()]
    alone = site.get("/api/cdx", params={"url": "http://127.0.0.1:8080/x"}).text.splitlines()
    assert sorted(found + alone) == sorted(wanted)
    assert len(wanted) == CAPTURES


@pytest.mark.parametrize(
    ("url", "parameters", "found"),
    [
        (f"{HOST}/dir/", {}, ["/dir/"]),
        ("example.org/dir", {}, ["/dir/"]),
        (f"{HOST}/nowhere", {}, []),
        (f"{HOST}/dir/*", {}, ["/dir/one", "/dir/one", "/dir/two"]),
        (f"{HOST}/dir*", {}, ["/dir/", "/dir/one", "/dir/one", "/dir/two", "/directory"]),
        (f"{HOST}/page?*", {}, ["/page?b=2&a=%C3%A9%20x"]),
        (f"{HOST}/page?a=é x&b=2", {}, ["/page?b=2&a=%C3%A9%20x"]),
        (f"{HOST}/dir/", {"matchType": "prefix"}, ["/dir/one", "/dir/one", "/dir/two"]),
        ("sub.example.org", {"matchType": "host"}, ["https://sub.example.org/x"]),
        (f"{HOST}/old", {"matchType": "host", "filter": "=status:301"}, ["/old"]),
        ("*.example.org", {"filter": "urlkey:sub"}, ["https://sub.example.org/x"]),
        ("127.0.0.1:8080", {"matchType": "host"}, ["http://127.0.0.1:8080/x"]),
        ("org", {"matchType": "domain", "filter": "~mime:text/c"}, ["/dir/one", "/dir/one"]),
    ],
)
def test_a_url_a_prefix_a_host_and_a_domain_find_what_is_theirs(
    site: httpx.Client, url: str, parameters: dict[str, str], found: list[str]
) -> None:
    assert paths(site, url, **parameters) == found


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["2024", "202501", "202507", "2026"]),
        ({"from": "2025"}, ["202501", "202507", "2026"]),
        ({"to": "2025"}, ["2024", "202501", "202507"]),
        ({"to": "202501"}, ["2024", "202501"]),
        ({"from": "20250110080000", "to": "20250110080000"}, ["202501"]),
        ({"from": "20250110080001", "to": "20250712075959"}, []),
        ({"limit": "2"}, ["2024", "202501"]),
        ({"limit": "-2"}, ["202507", "2026"]),
        ({"limit": "-2", "fastLatest": "true"}, ["202507", "2026"]),
        ({"sort": "reverse"}, ["2026", "202507", "202501", "2024"]),
        ({"reverse": "true", "limit": "1"}, ["2026"]),
        ({"sort": "closest", "closest": "20250401"}, ["202501", "202507", "2026", "2024"]),
        ({"closest": "1999", "limit": "1"}, ["2024"]),
        ({"closest": "2099", "limit": "1"}, ["2026"]),
        ({"closest": "2025", "from": "2025", "to": "2025"}, ["202501", "202507"]),
        ({"filter": "=status:200"}, ["2024", "202507", "2026"]),
        ({"filter": "!=status:200"}, ["202501"]),
        ({"filter": "statuscode:40"}, ["202501"]),
        ({"filter": "~mimetype:warc/.*"}, ["2026"]),
        ({"filter": "!~timestamp:2025"}, ["2024", "2026"]),
        ({"filter": "warc/revisit"}, ["2026"]),
        ({"collapse": "digest"}, ["2024", "202501", "202507"]),
        ({"collapse": "timestamp:4"}, ["2024", "202501", "2026"]),
        ({"collapse": "statuscode", "sort": "reverse"}, ["2026", "202501", "2024"]),
        ({"collapseTime": "4"}, ["2024", "202501", "202507", "2026"]),
        ({"page": "1", "pageSize": "3"}, ["2026"]),
        ({"page": "0", "pageSize": "3", "filter": "=status:404"}, ["202501"]),
        ({"page": "7"}, []),
    ],
)
def test_parameters_choose_and_order_the_lines(
    site: httpx.Client, parameters: dict[str, str], found: list[str]
) -> None:
    got = moments(site, **parameters)
    assert len(got) == len(found), got
    assert all(one.startswith(other) for one, other in zip(got, found, strict=True)), got


def test_fields_come_in_the_order_and_under_the_names_asked_for(site: httpx.Client) -> None:
    parameters = {"url": f"{HOST}/old", "fl": "original,mimetype,statuscode,length"}
    text = site.get("/api/cdx", params={**parameters, "output": "text"}).text
    assert text.startswith(f"{HOST}/old - 301 ")
    assert list(ask(site, f"{HOST}/old", fl="statuscode,original,mime")[0]) == [
        "statuscode",
        "original",
    ]
    cdxj = site.get("/api/cdx", params={"url": f"{HOST}/old", "fields": "status"}).text
    assert cdxj == 'org,example)/old 20240110080005 {"status": "301"}\n'
    whole = site.get("/api/cdx", params={"url": f"{HOST}/old", "output": "text"}).text.split()
    assert whole[:5] == ["org,example)/old", "20240110080005", f"{HOST}/old", "-", "301"]
    assert len(whole) == 9


def test_the_number_of_pages_is_told(site: httpx.Client) -> None:
    asked = {"url": "*.org", "showNumPages": "true", "pageSize": "5"}
    assert site.get("/api/cdx", params=asked).text == "3\n"
    told = site.get("/api/cdx", params={**asked, "output": "json"}).json()
    assert told == {"pages": 3, "pageSize": 5, "blocks": 12}


@pytest.mark.parametrize("sort", ["default", "reverse"])
def test_a_resume_key_goes_on_behind_the_last_line(site: httpx.Client, sort: str) -> None:
    asked = {"url": EVERYTHING, "sort": sort, "output": "text"}
    whole = site.get("/api/cdx", params=asked).text.splitlines()
    asked |= {"limit": "5", "showResumeKey": "true"}
    found: list[str] = []
    key = ""
    for _ in range(10):
        text = site.get("/api/cdx", params={**asked, "resumeKey": key}).text
        lines, _, key = text.partition("\n\n")
        found += lines.splitlines()
        key = key.strip()
        if not key:
            break
    assert found == whole


def test_a_resumed_collapse_does_not_repeat_its_last_group(site: httpx.Client) -> None:
    asked = {"url": EVERYTHING, "collapse": "urlkey", "output": "text", "fl": "urlkey"}
    whole = site.get("/api/cdx", params=asked).text.splitlines()
    found: list[str] = []
    key = ""
    while True:
        paging = {"limit": "1", "showResumeKey": "true", "resumeKey": key}
        line, _, key = site.get("/api/cdx", params={**asked, **paging}).text.partition("\n\n")
        found += line.splitlines()
        key = key.strip()
        if not key:
            break
    assert found == whole
    assert len(found) == len(set(found))


def test_paging_meets_every_line_once_while_new_captures_arrive(
    tmp_path: Path, empty_database_url: str
) -> None:
    """A reader pages through; between two of its pages, captures come in before and behind it."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    archive = build_editions(tmp_path, empty_database_url)
    database = archive.database
    span = Span(first="org,", end="org-")
    with database.read() as connection:
        before = {line.id for line in lines(connection, span, 1000)}
    seen: list[int] = []
    after = None
    while True:
        with database.read() as connection:
            page = lines(connection, span, 2, after=after)
        if not page:
            break
        seen += [line.id for line in page]
        after = page[-1].place
        if len(seen) < len(before):
            _capture_more(database, chance)
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
    assert len(seen) > len(before), "none of the new captures came behind the reader"


def _capture_more(database: Database, chance: random.Random) -> None:
    from sqlalchemy import insert, select

    from healtharchive.model.tables import captures

    with database.begin() as connection:
        row = dict(connection.execute(select(captures).limit(1)).mappings().one())
        del row["id"]
        for _ in range(2):
            row["record_offset"] = chance.randrange(10**9, 10**12)
            row["url_key"] = f"org,example)/{chance.choice('abcdefghijklmnopqrstuvwxyz')}"
            connection.execute(insert(captures).values(row))


def test_ranges_go_by_bytes_whatever_the_databases_language(
    tmp_path: Path, postgres: Callable[[], Cluster]
) -> None:
    """A database whose own order is that of English words: signs, then a, A, b, B."""
    url = postgres().create_database("test_cdx_english", "--template=template0", *ENGLISH)
    archive = build_editions(tmp_path, url)
    with TestClient(archive.app()) as site:
        keys = [line["urlkey"] for line in ask(site, EVERYTHING)]
        assert paths(site, f"{HOST}/dir/*") == ["/dir/one", "/dir/one", "/dir/two"]
    assert len(keys) == 12
    assert keys == sorted(keys)
    with archive.database.read() as connection:
        assert connection.exec_driver_sql("SELECT 'a' < 'B'").scalar_one(), "not English"
        connection.exec_driver_sql("SET enable_seqscan = off")
        plan = connection.exec_driver_sql(
            "EXPLAIN SELECT id FROM captures WHERE url_key >= 'org,' AND url_key < 'org-' "
            "ORDER BY url_key, captured_at LIMIT 5"
        )
        assert "ix_captures_url_key" in str(plan.all())


def test_portions_are_put_together_seamlessly(
    archive: Editions, site: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"url": EVERYTHING, "filter": "~urlkey:.*"}
    whole = site.get("/api/cdx", params=parameters).text
    nearest = moments(site, closest="20250401")
    monkeypatch.setattr(cdx, "FIRST_PORTION", 1)
    monkeypatch.setattr(cdx, "LARGEST_PORTION", 2)
    assert site.get("/api/cdx", params=parameters).text == whole
    assert moments(site, closest="20250401") == nearest
    assert len(whole.splitlines()) == 12


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "The parameter url is missing."),
        ("url=*", "The parameter url is empty or too long."),
        ("url=x&url=y", "The parameter url may be given 1 times at most."),
        ("url=x%00y", "holds characters that cannot be printed"),
        ("url=x&matchType=some", "must be one of: exact, prefix, host, domain"),
        ("url=x&output=xml", "must be one of: cdxj, json, text"),
        ("url=x&limit=0", "must be a whole number from 1 to 100000"),
        ("url=x&limit=1e9", "must be a whole number from"),
        ("url=x&limit=99999999999999999999999", "must be a whole number from"),
        ("url=x&page=-1", "must be a whole number from 0"),
        ("url=x&from=99", "must be 4 to 14 digits"),
        ("url=x&to=20251301", "must be 4 to 14 digits"),
        ("url=x&filter=nosuch:1", "cannot be used: write"),
        ("url=x&filter=~url:(a", "cannot be used: write"),
        ("url=x&filter=~url:" + "(a{1000}){1000}", "cannot be used: write"),
        ("url=x" + "&filter=url:x" * 11, "may be given 10 times at most"),
        ("url=x&fl=nosuch", "The parameter fl is “nosuch”"),
        ("url=x&collapse=digest:x", "must be a field or field:N"),
        ("url=x&sort=closest", "The parameter closest is missing."),
        ("url=x*&closest=2025", "cannot be used together with matchType"),
        ("url=x&resumeKey=nonsense", "was not made here"),
        ("url=x&resumeKey=WyJhIiwiMjAyNS0wMS0wMSIsMV0&page=1", "page cannot be used together"),
        ("url=x&showNumPages=perhaps", "must be one of: true, false, 1, 0"),
        ("url=x&limit=-3&sort=reverse", "limit=-N cannot be used together"),
    ],
)
def test_a_bad_parameter_is_one_sentence_and_400(
    site: httpx.Client, query: str, sentence: str
) -> None:
    answer = site.get(f"/api/cdx?{query}")
    assert answer.status_code == 400
    assert sentence in answer.json()["sentence"]


def test_an_expression_that_would_hang_others_is_quick(tmp_path: Path) -> None:
    page = Page("/" + "a" * 3000, b"x", moment=at("20240110080000"))
    archive = build_editions(tmp_path, pages=(*PAGES, (page,)))
    with TestClient(archive.app()) as site:
        hanging = "~url:https://www.example.org/(a+a+a+)+b"
        assert ask(site, EVERYTHING, filter=hanging) == []
        assert len(ask(site, EVERYTHING, filter="~url:.*a{9}")) == 1
