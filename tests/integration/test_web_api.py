"""The API's manners: validators, CORS, limits, a list that can be paged, a true description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from healtharchive.model.tables import captures
from healtharchive.web.app import create_app
from tests.lab.editions import CAPTURES, Editions, build_editions
from tests.lab.postgres import Cluster

PAGE = "https://www.example.org/page"
STRANGER = ("198.51.100.7", 4711)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def archive(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Callable[[], Cluster],
) -> Editions:
    on_server = request.param == "postgresql"
    url = postgres().create_database("test_web_api") if on_server else ""
    return build_editions(tmp_path_factory.mktemp("editions"), url)


@pytest.fixture(scope="module")
def site(archive: Editions) -> Iterator[httpx.Client]:
    with TestClient(archive.app(), raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize(
    "address",
    [
        "/api/captures",
        "/api/captures/1",
        "/api/sources",
        "/api/jobs",
        f"/timemap/link/{PAGE}",
        f"/timemap/json/{PAGE}",
        "/raw/1",
        "/warc/1",
        f"/at/20240110080000/{PAGE}",
        f"/at/2024/{PAGE}",
    ],
)
def test_what_has_not_changed_is_not_sent_again(site: httpx.Client, address: str) -> None:
    first = site.get(address)
    assert first.status_code == 200
    again = site.get(address, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-length" not in again.headers
    assert again.headers.get("memento-datetime") == first.headers.get("memento-datetime")
    assert site.get(address, headers={"If-None-Match": '"other"'}).content == first.content
    assert site.head(address).headers["etag"] == first.headers["etag"]


def test_a_record_is_compared_by_its_date_too(site: httpx.Client) -> None:
    first = site.get("/warc/1")
    modified = first.headers["last-modified"]
    assert modified == "Wed, 10 Jan 2024 08:00:00 GMT"
    assert site.get("/warc/1", headers={"If-Modified-Since": modified}).status_code == 304
    earlier = {"If-Modified-Since": "Wed, 10 Jan 2024 07:59:59 GMT"}
    assert site.get("/warc/1", headers=earlier).status_code == 200
    assert site.get("/warc/1", headers={"If-Modified-Since": "never"}).status_code == 200
    both = {"If-Modified-Since": modified, "If-None-Match": '"other"'}
    assert site.get("/warc/1", headers=both).status_code == 200


def test_the_language_of_a_body_is_part_of_its_tag(site: httpx.Client) -> None:
    assert site.get("/raw/1").headers["etag"] != site.get("/raw/1?ui=fr").headers["etag"]


@pytest.mark.parametrize(
    "address",
    ["/api/cdx?url=x", "/api/captures/1", f"/timegate/{PAGE}", f"/at/2024/{PAGE}", "/warc/1"],
)
def test_scripts_of_any_site_may_read_it_without_credentials(
    site: httpx.Client, address: str
) -> None:
    answer = site.get(address, headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Memento-Datetime" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    asks = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    preflight = site.options(address, headers=asks)
    assert preflight.status_code == 204
    assert "Accept-Datetime" in preflight.headers["access-control-allow-headers"]
    assert "POST" not in preflight.headers["access-control-allow-methods"]


def test_pages_for_people_are_not_shared(site: httpx.Client) -> None:
    assert "access-control-allow-origin" not in site.get("/en/jobs").headers


def test_an_error_may_be_read_too(site: httpx.Client) -> None:
    answer = site.get("/api/captures/999999")
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("limit", [1, 4, CAPTURES, 1000])
def test_the_list_has_every_capture_once(site: httpx.Client, limit: int) -> None:
    address, seen = f"/api/captures?limit={limit}", []
    for _ in range(CAPTURES + 1):
        page = site.get(address).json()
        assert len(page["captures"]) <= limit
        seen += [each["id"] for each in page["captures"]]
        assert page["after"] == seen[-1]
        if page["next"] is None:
            break
        address = page["next"].removeprefix("http://testserver")
    assert seen == sorted(set(seen))
    assert len(seen) == CAPTURES
    rest = site.get(f"/api/captures?after={seen[-1]}").json()
    assert rest == {"captures": [], "after": seen[-1], "next": None}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (f"url={PAGE}", 4),
        ("url=www.example.org/page%3Fa=%25C3%25A9%2520x%26b=2", 1),
        ("source=lab", CAPTURES),
        ("source=other", 0),
        ("campaign=annual-2026", CAPTURES),
        ("campaign=annual-1999", 0),
        ("from=2025", 4),
        ("to=2024", 10),
        (f"from=2025&to=2025&url={PAGE}", 2),
    ],
)
def test_the_list_can_be_narrowed(site: httpx.Client, query: str, count: int) -> None:
    found = site.get(f"/api/captures?{query}&limit=2").json()
    total = len(found["captures"])
    while found["next"]:
        found = site.get(found["next"].removeprefix("http://testserver")).json()
        total += len(found["captures"])
    assert total == count


def test_the_list_is_stable_while_captures_arrive(tmp_path: Path, empty_database_url: str) -> None:
    archive = build_editions(tmp_path, empty_database_url)
    with TestClient(archive.app()) as site:
        page = site.get("/api/captures?limit=5").json()
        first = [each["id"] for each in page["captures"]]
        with archive.database.begin() as connection:
            row = dict(connection.execute(select(captures).limit(1)).mappings().one())
            del row["id"]
            row["record_offset"] += 10**9
            connection.execute(insert(captures).values(row))
        rest = site.get(f"/api/captures?limit=1000&after={page['after']}").json()
    later = [each["id"] for each in rest["captures"]]
    assert not set(first) & set(later)
    assert len(first) + len(later) == CAPTURES + 1


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("after=x", "The parameter after is “x”"),
        ("limit=1001", "must be a whole number from 1 to 1000"),
        ("from=tomorrow", "must be 4 to 14 digits"),
        ("source=%00", "cannot be printed"),
    ],
)
def test_a_bad_parameter_of_the_list_is_400(site: httpx.Client, query: str, sentence: str) -> None:
    answer = site.get(f"/api/captures?{query}")
    assert answer.status_code == 400
    assert sentence in answer.json()["sentence"]


@pytest.mark.parametrize(
    "address",
    [
        "/api/wacz/source/%00.wacz",
        "/api/wacz/campaign/%0a%00.wacz",
        "/api/wacz/job/%00.wacz",
        "/en/campaign/%00",
        "/en/source/%00",
        "/api/holdings?url=%00",
        "/raw/99999999999999999999999",
    ],
)
def test_a_name_that_no_database_holds_is_not_there(site: httpx.Client, address: str) -> None:
    answer = site.get(address)
    assert answer.status_code in (400, 404), answer.text
    if address.startswith("/api/"):
        assert "\0" not in answer.json()["sentence"]


def test_a_value_that_a_database_cannot_hold_is_no_outage(archive: Editions) -> None:
    app = create_app(archive.settings, archive.database)

    def ask() -> str:  # SQLite has such texts, PostgreSQL has none
        with archive.database.read() as connection:
            query = select(captures.c.id).where(captures.c.url == "\0")
            return str(connection.execute(query).first())

    app.add_api_route("/of/this/test/alone", ask)
    with TestClient(app, raise_server_exceptions=False) as client:
        expected = 200 if archive.database.is_sqlite else 404
        assert client.get("/of/this/test/alone").status_code == expected


def test_too_many_requests_of_a_stranger_are_429_and_of_this_machine_not(
    archive: Editions,
) -> None:
    settings = replace(
        archive.settings,
        requests_per_second=0.1,
        requests_burst=3,
        trusted_proxies="127.0.0.1",
    )
    app = create_app(settings, archive.database)
    with TestClient(app, client=STRANGER) as stranger:
        got = [stranger.get("/api/sources") for _ in range(5)]
        assert [each.status_code for each in got] == [200, 200, 200, 429, 429]
        refused = got[-1]
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert "Too many requests came from your address" in refused.json()["sentence"]
        assert refused.headers["access-control-allow-origin"] == "*"
        page = stranger.get("/fr/jobs")
        assert page.status_code == 429
        assert "Trop de demandes sont venues de votre adresse" in page.text
        assert "x-content-type-options" in page.headers
        assert stranger.get("/static/style.css").status_code == 200
        assert stranger.get("/health/live").status_code == 200
        assert stranger.get("/healthz").status_code == 200
        for limited in ("/health/ready", "/healthANYTHING", "/health/live/x"):
            assert stranger.get(limited).status_code == 429
    with TestClient(app, client=("127.0.0.1", 1)) as local:
        assert {local.get("/api/sources").status_code for _ in range(9)} == {200}
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        got = [local.get("/api/sources", headers=proxied) for _ in range(4)]
        assert [each.status_code for each in got] == [200, 200, 200, 429]


def test_what_is_too_long_is_said(site: httpx.Client) -> None:
    long = site.get("/api/cdx?url=" + "x" * 20_000)
    assert long.status_code == 414
    assert "longer than 16384 bytes" in long.json()["sentence"]
    heavy = site.get("/api/sources", headers={"X-Long": "x" * 40_000})
    assert heavy.status_code == 431
    assert "longer than 32768 bytes" in heavy.json()["sentence"]


def test_the_description_is_complete(site: httpx.Client) -> None:
    described: dict[str, Any] = site.get("/api/openapi.json").json()
    for path, methods in described["paths"].items():
        for operation in methods.values():
            named = {
                each["name"] for each in operation.get("parameters", []) if each["in"] == "path"
            }
            assert named == set(re.findall(r"{(\w+)}", path)), path
            if not path.startswith("/health"):
                assert {"400", "429", "503"} <= set(operation["responses"]), path
    cdx = described["paths"]["/api/cdx"]["get"]
    assert "400" in cdx["responses"]
    assert [each["name"] for each in cdx["parameters"] if each["required"]] == ["url"]
    assert "HTTPValidationError" not in str(described)


def test_a_language_that_there_is_not_is_400(site: httpx.Client) -> None:
    answer = site.get("/api/jobs?language=xx")
    assert answer.status_code == 400
    assert answer.json()["sentence"] == "The parameter language cannot have this value."
