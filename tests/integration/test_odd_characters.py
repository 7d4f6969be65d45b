"""Characters that no page and no database can hold are refused in one sentence, everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from healtharchive.model.tokens import Scope
from healtharchive.web.app import create_app
from tests.lab.operations import API, OWN_PAGE, Office, office
from tests.lab.small_archive import Exchange, SmallArchive, build

BODY = b"<title>Clinics</title><p>The clinics are open.</p>"
# As they stand in an address: NUL, escape, a line end, a lone surrogate, no UTF-8 at all.
ODD = ("%00", "a%00b", "%1B%5B31m", "a%0D%0AX-Odd:%20y", "%ED%A0%80", "%FF%FE", "%C2%85%E2%80%AE")
RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
PARAMETERS = (
    *("after", "all", "before", "by", "campaign", "capture", "closest", "collapse", "event"),
    *("fields", "filter", "fl", "format", "from", "job", "kind", "lang", "limit", "matchType"),
    *("min_score", "order", "output", "page", "q", "refresh", "resumeKey", "since", "sort"),
    *("source", "status", "to", "type", "ui", "until", "url", "which", "year"),
)
QUERIED = (
    *("/en/", "/en/changes", "/en/compare", "/en/history", "/en/jobs", "/en/report"),
    *("/api/captures", "/api/cdx", "/api/changes.atom", "/api/search"),
)
CURES = (400, 404, 409, 422)


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[SmallArchive]:
    made = build(tmp_path, [Exchange("/a", BODY, title="Clinics", text="open")], database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def site(archive: SmallArchive) -> Iterator[TestClient]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def desk(archive: SmallArchive) -> Office:
    return office(archive)


def paths(site: TestClient) -> list[str]:
    """Every address that the application answers."""
    app = site.app
    assert isinstance(app, FastAPI)
    found = {each.path or "" for each in iter_route_contexts(app.routes)}
    assert len(found) > 30, found
    return sorted(found - {"/metrics", "/static", ""})


def filled(path: str, odd: str) -> str:
    """An address of a route, with the language it has and something odd everywhere else."""
    return re.sub(r"\{[^}]+\}", odd, path.replace("{language}", "en"))


def check(answer: httpx.Response, address: str) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, (address, answer.text[:500])
    kind = answer.headers.get("content-type", "")
    if kind.startswith(("text/html", "application/json", "application/atom+xml")):
        assert not RAW.search(answer.text), (address, RAW.findall(answer.text))
    for name, value in answer.headers.items():
        assert value.isprintable(), (address, name, value)
    assert "x-odd" not in answer.headers, address


def test_odd_characters_in_a_path_are_never_an_error_of_ours(site: TestClient) -> None:
    addresses = {filled(each, odd) for each in paths(site) for odd in ODD}
    for address in sorted(addresses):
        check(site.get(address), address)


def test_odd_characters_in_a_query_are_never_an_error_of_ours(site: TestClient) -> None:
    for path in sorted({filled(each, "1") for each in paths(site)}):
        for odd in ("a%00b", "%ED%A0%80"):
            address = f"{path}?{'&'.join(f'{name}={odd}' for name in PARAMETERS)}"
            check(site.get(address), address)
    for path in QUERIED:  # the first one that is refused hides those behind it
        for name in PARAMETERS:
            address = f"{path}?{name}=a%00b"
            check(site.get(address), address)


def test_an_address_stays_one_in_the_other_language(site: TestClient) -> None:
    for address in ("campaign/%00", "campaign/a%20b%3Fc%22", "campaign/%C3%A9t%C3%A9"):
        page = site.get(f"/en/{address}").text
        assert f'hreflang="fr" href="/fr/{address}"' in page


HEADERS = (
    *("Accept", "Accept-Datetime", "Accept-Language", "Authorization", "Cookie", "HX-Request"),
    *("If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Range", "X-Forwarded-For"),
)
JSON_TEXTS = ("a\0b", "a\ud800b", "\x1b[31m", "a\nb")
FIELDS = ("why", "kind", "year", "sources", "name", "hours", "scopes", "days", "answer", "to")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_odd_characters_in_a_header_are_never_an_error_of_ours(site: TestClient) -> None:
    addresses = ("/en/", "/raw/1", "/en/capture/1", "/api/wacz/job/1.wacz", "/timegate/http://a/")
    for name in HEADERS:
        for odd in (b"\x1b[31m", b"\xff\xed\xa0\x80", b"bytes=\xb2-", b"Basic \xff"):
            for address in addresses:
                check(site.get(address, headers={name.encode(): odd}), address)


@pytest.mark.parametrize("odd", JSON_TEXTS)
def test_odd_characters_in_an_order_are_refused_or_made_legible(desk: Office, odd: str) -> None:
    secret = desk.token("boss", Scope.ADMIN)
    for path, body in (
        ("/campaigns", {"kind": odd, "year": 2030}),
        ("/campaigns", {"year": 2030, "sources": [odd]}),
        ("/tokens", {"name": odd, "scopes": ["read"]}),
        ("/jobs/1/pause", {"why": odd}),
        ("/worker/pause", {"why": odd}),
    ):
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        content = json.dumps(body)
        answer = desk.client.post(f"{API}{path}", content=content, headers=headers)
        assert answer.status_code in (200, *CURES), (path, odd, answer.text)
        check(answer, path)


def test_odd_characters_in_a_form_are_refused_or_made_legible(
    desk: Office, site: TestClient
) -> None:
    secret = desk.token("boss", Scope.ADMIN)
    for odd in ODD:
        answer = desk.client.post(
            "/en/operations/login", content=f"token={odd}&to={odd}", headers={**OWN_PAGE, **FORM}
        )
        check(answer, odd)
        sent = f"kind=error&text={odd}&contact={odd}&url={odd}&capture={odd}"
        check(site.post("/en/report", content=sent, headers=FORM), odd)
    desk.enter(secret)
    word = desk.form_word()
    fields = [f"&{'&'.join(f'{name}={odd}' for name in FIELDS)}" for odd in ODD]
    for address in sorted(forms(desk)):
        for odd in fields:
            content = f"form_token={word}{odd}"
            answer = desk.client.post(address, content=content, headers={**OWN_PAGE, **FORM})
            assert answer.status_code != 403, "the form was refused before it was read"
            check(answer, address)


def forms(desk: Office) -> set[str]:
    """The addresses of the operator's forms; the session lasts longer than all of them."""
    found = {
        filled(each.path or "", "1")
        for each in iter_route_contexts(desk.app.routes)
        if "POST" in (each.methods or ()) and not (each.path or "").startswith("/api/")
    }
    assert len(found) > 4, found
    return found - {"/en/operations/login", "/en/operations/logout"}
