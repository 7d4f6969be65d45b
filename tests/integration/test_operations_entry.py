"""Who is let in to the operations listener, and who is not."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from starlette.testclient import TestClient

from healtharchive.model import tokens
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import read
from healtharchive.model.tables_operation import tokens as token_rows
from healtharchive.model.tokens import Scope
from healtharchive.settings import Settings
from healtharchive.web import operations_admission
from healtharchive.web.app import app_of, create_site
from healtharchive.web.operations_admission import COOKIE, FAILURES
from healtharchive.web.operations_app import create_operations_app
from healtharchive.web.server import serve
from tests.lab.operations import Office, office, walk
from tests.lab.small_archive import SmallArchive, build

STRANGER = ("198.51.100.7", 4711)
HERE = ("127.0.0.1", 4711)
API = "/api/admin/v1"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[SmallArchive]:
    made = build(tmp_path, [], database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def desk(archive: SmallArchive) -> Office:
    return office(archive)


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and address of the application, with numbers and names filled in."""
    fill = {"language": "en", "job_id": "1", "number": "1", "name": "annual-2026", "act": "pause"}
    found = []
    for route in walk(app.routes):
        path = re.sub(r"\{(\w+)\}", lambda match: fill[match[1]], route.path)
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def test_every_address_without_a_token_leads_to_the_login_or_is_refused(desk: Office) -> None:
    desk.token("somebody", Scope.ADMIN)
    entrances = {"/en/operations/login", "/", "/operations", "/en", "/en/"}
    asked = 0
    for method, path in routes_of(desk.app):
        if path in entrances:
            continue
        answer = desk.client.request(method, path, headers=OWN_PAGE)
        asked += 1
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
        else:
            assert answer.status_code == 303, (method, path, answer.text)
            assert "/operations/login" in answer.headers["location"]
        assert answer.headers["cache-control"] == "no-store"
    assert asked >= 25


def test_nobody_comes_in_while_there_is_no_token(desk: Office) -> None:
    for method, path in routes_of(desk.app):
        answer = desk.client.request(method, path, headers=OWN_PAGE)
        assert answer.status_code == 403, (method, path)
        assert "healtharchive token create" in answer.text, path
    assert desk.client.get("/no/such/place").status_code == 404


def test_a_token_that_ended_or_was_revoked_opens_nothing(desk: Office) -> None:
    good = desk.token("good", Scope.READ)
    revoked = desk.token("revoked", Scope.READ)
    expired = desk.token("expired", Scope.READ)
    database = desk.archive.database
    with database.begin() as connection:
        tokens.revoke_token(database, connection, "revoked", why="it was lost", actor=desk.actor)
        now = database.now(connection)
        connection.execute(
            update(token_rows)
            .where(token_rows.c.name == "expired")
            .values(expires_at=now - timedelta(seconds=1))
        )
    assert desk.api(good, "/jobs").status_code == 200
    for wrong in (revoked, expired, good + "x", good[:-1], "hat_", good.upper()):
        assert desk.api(wrong, "/jobs").status_code in (401, 429), wrong
        assert desk.enter(wrong).status_code in (401, 429)


def test_a_session_ends_with_its_token_its_time_and_its_logout(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = desk.token("keeper", Scope.ADMIN)
    assert desk.enter(secret).status_code == 303
    assert desk.client.get("/en/operations").status_code == 200
    kept = desk.client.cookies[COOKIE]
    assert desk.post("/en/operations/logout").status_code == 303
    assert COOKIE not in desk.client.cookies
    desk.client.cookies.set(COOKIE, kept)
    assert desk.client.get("/en/operations").status_code == 303
    # Another one, begun in the same second for all it matters, whose token is revoked.
    desk.client.cookies.clear()
    desk.enter(secret)
    assert desk.client.cookies[COOKIE] != kept
    assert desk.client.get("/en/operations").status_code == 200
    database = desk.archive.database
    with database.begin() as connection:
        tokens.revoke_token(database, connection, "keeper", why="", actor=desk.actor)
    desk.token("another", Scope.READ)
    assert desk.client.get("/en/operations").status_code == 303
    # And one whose time is over.
    monkeypatch.setattr(operations_admission, "SESSION_SECONDS", -1)
    desk.client.cookies.clear()
    late = desk.token("late", Scope.READ)
    desk.enter(late)
    assert desk.client.get("/en/operations").status_code == 303


def test_a_cookie_that_was_made_up_opens_nothing(desk: Office) -> None:
    secret = desk.token("keeper", Scope.ADMIN)
    other = desk.token("other", Scope.READ)
    desk.enter(secret)
    number, until, nonce, signature = desk.client.cookies[COOKIE].split(".")
    desk.client.cookies.clear()
    desk.enter(other)
    theirs = desk.client.cookies[COOKIE].rpartition(".")[2]
    digest = tokens.digest_of(secret)
    for forged in (
        f"{number}.{int(until) + 999}.{nonce}.{signature}",
        f"{number}.{until}.{nonce[::-1]}0.{signature}",
        f"{number}.{until}.{signature}",
        f"{number}.{until}.{nonce}.{theirs}",
        f"{number}.{until}.{nonce}.{digest}",
        f"{number}.{until}.{nonce}.",
        f"0.{until}.{nonce}.{signature}",
        f"{number}.{until}.{nonce}.{'é' * 8}".encode("latin-1").decode("latin-1"),
        "..",
        "",
    ):
        desk.client.cookies.clear()
        answer = desk.client.get(
            "/en/operations", headers={"Cookie": f"{COOKIE}={forged}".encode()}
        )
        assert answer.status_code == 303, forged


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_from_elsewhere(desk: Office) -> None:
    secret = desk.token("keeper", Scope.READ)
    said = desk.enter(secret).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "secure" not in said  # on this machine there is no HTTPS
    assert secret not in said
    proxied = desk.behind_proxy()
    headers = {"X-Forwarded-For": STRANGER[0], "X-Forwarded-Proto": "https", **OWN_PAGE}
    answer = proxied.post("/en/operations/login", data={"token": secret}, headers=headers)
    assert answer.status_code == 303
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("client", "trusted", "headers", "status"),
    [
        (HERE, "", {}, 401),
        (("::1", 1), "", {}, 401),
        (STRANGER, "", {}, 403),
        (STRANGER, "", {"X-Forwarded-Proto": "https"}, 403),
        (HERE, "", {"X-Forwarded-For": STRANGER[0]}, 403),
        (HERE, "", {"X-Forwarded-For": STRANGER[0], "X-Forwarded-Proto": "https"}, 403),
        (HERE, "127.0.0.1", {"X-Forwarded-For": STRANGER[0]}, 403),
        (HERE, "127.0.0.1", {"X-Forwarded-For": STRANGER[0], "X-Forwarded-Proto": "http"}, 403),
        (
            HERE,
            "127.0.0.1",
            {"X-Forwarded-Proto": "https, http", "X-Forwarded-For": "8.8.8.8"},
            403,
        ),
        (HERE, "127.0.0.1", {"X-Forwarded-For": STRANGER[0], "X-Forwarded-Proto": "https"}, 401),
        (("192.0.2.9", 1), "192.0.2.0/24", {"X-Forwarded-Proto": "https"}, 401),
        (("192.0.2.9", 1), "192.0.2.0/24", {}, 403),
        (None, "", {}, 403),
    ],
)
def test_plain_http_from_another_machine_is_refused(
    desk: Office,
    client: tuple[str, int] | None,
    trusted: str,
    headers: dict[str, str],
    status: int,
) -> None:
    desk.token("somebody", Scope.READ)
    settings = replace(desk.archive.settings, trusted_proxies=trusted)
    app = create_operations_app(create_site(settings, desk.archive.database))
    with TestClient(app, client=client or ("", 0), follow_redirects=False) as asking:
        answer = asking.get(f"{API}/jobs", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["sentence"].startswith("These pages answer this machine")


@pytest.mark.parametrize("scope", list(Scope))
def test_each_scope_opens_what_its_name_says(desk: Office, scope: Scope) -> None:
    secret = desk.token("one", scope)
    admin = scope is Scope.ADMIN
    why = {"why": "a test"}

    def opens(answer: object) -> bool:
        status = answer.status_code  # type: ignore[attr-defined]
        if status == 403:
            assert scope.value in answer.json()["sentence"] or "lacks" in answer.text  # type: ignore[attr-defined]
        return bool(status != 403)

    reads = [desk.api(secret, f"/{each}") for each in ("status", "jobs", "campaigns", "targets")]
    reads += [desk.api(secret, f"/{each}") for each in ("events", "alerts", "jobs/1")]
    assert {opens(each) for each in reads} == {admin or scope is Scope.READ}
    acts = [desk.order(secret, "/jobs/1/reindex", why), desk.order(secret, "/worker/pause", why)]
    acts.append(desk.order(secret, "/campaigns", {"kind": "annual", "year": 2026}))
    assert {opens(each) for each in acts} == {admin or scope is Scope.JOBS}
    keys = [desk.api(secret, "/tokens"), desk.order(secret, "/tokens/one/revoke", why)]
    assert {opens(each) for each in keys} == {admin}


def test_reports_of_readers_are_not_for_every_token(desk: Office) -> None:
    desk.enter(desk.token("reading", Scope.READ, Scope.JOBS))
    assert desk.client.get("/en/operations/reports").status_code == 403
    assert "/operations/reports" not in desk.client.get("/en/operations").text
    assert desk.post("/en/operations/report/1/answer", why="done").status_code == 403
    assert desk.post("/en/operations/job/1/reindex", why="again").status_code == 303
    desk.client.cookies.clear()
    desk.enter(desk.token("caring", Scope.READ, Scope.REPORTS))
    assert desk.client.get("/en/operations/reports").status_code == 200
    assert desk.post("/en/operations/job/1/reindex", why="again").status_code == 403


def test_a_form_of_another_page_does_nothing(desk: Office) -> None:
    desk.enter(desk.token("keeper", Scope.ADMIN))
    path = "/en/operations/job/1/reindex"
    word = desk.form_word()
    assert re.fullmatch(r"[0-9a-f]{64}", word)
    before = desk.events()
    for headers, fields in (
        ({"Sec-Fetch-Site": "cross-site"}, {"form_token": word}),
        ({"Sec-Fetch-Site": "same-site"}, {"form_token": word}),
        ({"Origin": "http://testserver:8091"}, {"form_token": word}),
        ({"Origin": "null"}, {"form_token": word}),
        ({}, {"form_token": word}),
        (OWN_PAGE, {}),
        (OWN_PAGE, {"form_token": word[::-1]}),
        (OWN_PAGE, {"form_token": "é"}),
    ):
        answer = desk.client.post(path, data={"why": "forged", **fields}, headers=headers)
        assert answer.status_code == 403, headers
    assert desk.events() == before
    assert desk.post(path, why="meant").status_code == 303
    # A program's token in a header is no session, and a session is nobody to the API.
    assert desk.client.get(f"{API}/jobs").status_code == 401


def test_nothing_is_written_but_by_post(desk: Office) -> None:
    secret = desk.token("keeper", Scope.ADMIN)
    desk.enter(secret)
    desk.api(secret, "/jobs")
    before = desk.events()
    for method, path in routes_of(desk.app):
        if method != "GET" or path.endswith("/stream"):
            continue
        bearer = {"Authorization": f"Bearer {secret}"} if path.startswith("/api/") else {}
        assert desk.client.get(path, headers=bearer).status_code in (200, 307), path
    posts = {path for method, path in routes_of(desk.app) if method == "POST"}
    gets = {path for method, path in routes_of(desk.app) if method == "GET"}
    for path in posts - gets:
        bearer = {"Authorization": f"Bearer {secret}"} if path.startswith("/api/") else {}
        assert desk.client.get(path, headers=bearer).status_code == 405, path
    assert desk.events() == before


def test_who_guesses_the_settings_token_has_to_wait_and_real_tokens_do_not(
    archive: SmallArchive,
) -> None:
    settings = replace(archive.settings, admin_token="a word that a person made up")
    desk = office(archive, settings)
    secret = desk.token("real", Scope.READ)
    assert desk.api(settings.admin_token, "/tokens").status_code == 200
    statuses = [desk.api(f"guess {n}", "/jobs").status_code for n in range(FAILURES + 3)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    refused = desk.api(settings.admin_token, "/tokens")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 60
    assert desk.enter(settings.admin_token).status_code == 429
    assert desk.api(secret, "/jobs").status_code == 200


def test_the_settings_token_alone_opens_the_door(archive: SmallArchive) -> None:
    desk = office(archive, replace(archive.settings, admin_token="a word"))
    assert desk.enter("a word").status_code == 303
    assert desk.client.get("/en/operations").status_code == 200


def test_a_login_leads_back_to_our_own_pages_only(desk: Office) -> None:
    secret = desk.token("keeper", Scope.READ)
    asked = desk.client.get("/fr/operations/job/1?event=3")
    assert asked.headers["location"].startswith("/fr/operations/login?to=")
    form = desk.client.get(asked.headers["location"])
    assert 'value="/fr/operations/job/1?event=3"' in form.text
    for to, leads in (
        ("/fr/operations/job/1?event=3", "/fr/operations/job/1?event=3"),
        ("https://evil.example/", "/en/operations"),
        ("//evil.example/en/operations", "/en/operations"),
        ("/en/operations\\@evil.example", "/en/operations"),
        ("/en/operations\r\nX: y", "/en/operations"),
    ):
        assert desk.enter(secret, to).headers["location"] == leads


def test_what_is_too_long_is_refused_before_it_is_read(desk: Office) -> None:
    desk.token("keeper", Scope.READ)
    answer = desk.client.post(f"{API}/worker/pause", content=b"x" * 50_000)
    assert answer.status_code == 413

    def pieces() -> Iterator[bytes]:
        yield b"x"

    assert desk.client.post(f"{API}/worker/pause", content=pieces()).status_code == 413


def test_the_public_listener_has_none_of_it(archive: SmallArchive, desk: Office) -> None:
    settings: Settings = replace(archive.settings, operations_port=9, admin_token="a word")
    public = app_of(create_site(settings, archive.database))
    secret = desk.token("keeper", Scope.ADMIN)
    shared = {"/", "/en", "/en/"}
    with TestClient(public, follow_redirects=False, client=HERE) as asking:
        for method, path in routes_of(desk.app):
            if path in shared:
                continue
            headers = {"Authorization": f"Bearer {secret}", **OWN_PAGE}
            answer = asking.request(method, path, headers=headers)
            assert answer.status_code in (404, 405), (method, path)
            assert "set-cookie" not in answer.headers


def test_a_token_is_printed_once_and_nowhere_kept(desk: Office) -> None:
    secret = desk.token("keeper", Scope.READ)
    desk.api(secret, "/jobs")
    desk.api(secret, "/jobs")
    database = desk.archive.database
    with database.read() as connection:
        (row,) = connection.execute(token_rows.select()).all()
        told = read(connection, subject="token", subject_id="keeper")
    assert [each.what for each in told] == ["created", "first_used"]
    assert told[1].actor.unit == "token keeper"
    assert secret not in str(row) + str(told)
    assert len(secret) >= 43  # 256 bits


def test_a_port_that_cannot_be_had_is_one_sentence(archive: SmallArchive) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as a,
    ):
        used, free = taken.getsockname()[1], a.getsockname()[1]
        a.close()
        own = replace(archive.settings, bind_port=0, operations_port=used)
        with pytest.raises(SetupError, match="HEALTHARCHIVE_OPERATIONS_PORT"):
            serve(own, archive.database)
        shared = replace(archive.settings, bind_port=free, operations_port=free)
        with pytest.raises(SetupError, match=f"cannot share port {free}"):
            serve(shared, archive.database)


def test_a_stranger_hears_nothing_of_what_was_wrong_with_an_order(desk: Office) -> None:
    secret = desk.token("somebody", Scope.ADMIN)
    for body in (b"{", b"\xff\xfe", b'{"why": 7}', b""):
        headers = {"Content-Type": "application/json"}
        stranger = desk.client.post(f"{API}/worker/pause", content=body, headers=headers)
        assert stranger.status_code == 401, body
        headers["Authorization"] = f"Bearer {secret}"
        answer = desk.client.post(f"{API}/worker/pause", content=body, headers=headers)
        assert answer.status_code == 422, body
        assert answer.json()["sentence"].startswith("body"), answer.text
