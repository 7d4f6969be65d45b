"""When certificates end: from files and from servers, told on change and once a day."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from healtharchive.model.expiries import SEEN, UNSEEN, UNWATCHED, Expiry
from healtharchive.model.told import Told
from healtharchive.steward.expiry import look_at, order_for, plan, watched
from healtharchive.steward.expiry_look import Look

NOW = datetime(2026, 1, 24, 6, 17, tzinfo=UTC)
ENDS = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def issued() -> trustme.LeafCert:
    return trustme.CA().issue_cert("localhost", not_after=ENDS)


@pytest.fixture
def server(issued: trustme.LeafCert) -> Iterator[int]:
    """The port of a TLS server that takes one connection after the other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()
        thread = threading.Thread(target=answer, args=(listening, context, over))
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join(10)


def answer(listening: socket.socket, context: ssl.SSLContext, over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(10)
            context.wrap_socket(connection, server_side=True).close()


def test_a_file_tells_when_its_first_certificate_ends(
    issued: trustme.LeafCert, tmp_path: Path
) -> None:
    path = tmp_path / "chain.pem"
    path.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    assert look_at(str(path)) == Look(str(path), ENDS)


def test_a_server_tells_by_its_handshake(server: int) -> None:
    assert look_at(f"127.0.0.1:{server}").ends_at == ENDS


def test_what_cannot_be_looked_at_has_its_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in look_at(f"127.0.0.1:{port}").trouble
    assert "No such file" in look_at(str(tmp_path / "none.pem")).trouble
    (tmp_path / "text.pem").write_text("no certificate")
    assert look_at(str(tmp_path / "text.pem")).trouble == "there is no certificate in it"
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")
    assert "no certificate" in look_at(str(tmp_path / "bad.pem")).trouble
    assert "neither" in look_at("example.org").trouble


def test_places_are_read_from_the_setting() -> None:
    assert watched(" /a.pem, h:443 ,,/a.pem") == ["/a.pem", "h:443"]
    assert order_for("[::1]:443", 5.0) == {"host": "::1", "port": 443, "seconds": 5.0}
    assert order_for("host:99999", 5.0) is None


def told(what: str, hours_ago: float, **more: object) -> dict[str, Told]:
    at = NOW - timedelta(hours=hours_ago)
    return {"certificate:/a": Told("certificate:/a", what, at, **more)}  # type: ignore[arg-type]


def whats(look: Look, last: dict[str, Told]) -> list[str]:
    return [each.what for each in plan([look], last, NOW)]


def test_an_end_is_told_on_change_and_once_a_day() -> None:
    look = Look("/a", ENDS)
    same = {"ends_at": ENDS.isoformat()}
    assert whats(look, {}) == [SEEN]
    assert whats(look, told(SEEN, 1, evidence=same)) == []
    assert whats(look, told(SEEN, 24, evidence=same)) == [SEEN]
    assert whats(look, told(SEEN, 1, evidence={"ends_at": NOW.isoformat()})) == [SEEN]
    (step,) = plan([look], {}, NOW)
    assert step.evidence == {"ends_at": "2031-05-06T07:08:09+00:00"}


def test_a_place_out_of_reach_is_told_once_a_day_and_one_out_of_the_settings_once() -> None:
    away = Look("/a", trouble="it is away")
    assert whats(away, told(SEEN, 1)) == [UNSEEN]
    assert whats(away, told(UNSEEN, 1, why="it is away")) == []
    assert whats(away, told(UNSEEN, 25, why="it is away")) == [UNSEEN]
    assert [each.what for each in plan([], told(SEEN, 1), NOW)] == [UNWATCHED]
    assert plan([], told(UNWATCHED, 1), NOW) == []


# -- from when on somebody should know -------------------------------------------------------


def ago(**age: float) -> datetime:
    return NOW - timedelta(**age)


def test_a_warning_is_due_some_days_before_the_end() -> None:
    assert Expiry("certificate", "/a", ENDS).warn_at(21.0) == ENDS - timedelta(days=21)


@pytest.mark.parametrize(("life", "early"), [(7, 3.5), (21, 10.5), (42, 21), (90, 21)])
def test_a_token_is_warned_of_in_the_second_half_of_its_life_only(life: int, early: float) -> None:
    token = Expiry("token", "ci", ENDS, began_at=ENDS - timedelta(days=life))
    assert token.warn_at(21.0) == ENDS - timedelta(days=early)


def test_what_could_never_be_looked_at_is_told_at_once() -> None:
    typo = Expiry("certificate", "archive.exmaple", None, unseen_since=NOW, trouble="it is neither")
    assert typo.warn_at(21.0) == NOW
    assert typo.ends_soon_at(21.0) is None


def test_what_was_seen_before_is_told_when_it_stays_out_of_sight_or_ends_soon() -> None:
    def warn_at(ends_at: datetime) -> datetime | None:
        return Expiry("certificate", "/a", ends_at, unseen_since=NOW).warn_at(21.0)

    assert warn_at(ENDS) == NOW + timedelta(hours=2)
    assert warn_at(NOW + timedelta(days=20)) == ago(days=1)
