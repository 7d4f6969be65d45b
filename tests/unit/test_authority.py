"""The throw-away authority: real TLS clients accept its hosts, and only those, and only with it."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from healtharchive.crawl.browser import authority as module
from healtharchive.crawl.browser.authority import Authority

HOSTS = ("www.example.org", "127.0.0.1", "::1", "xn--bcher-kva.example", "a_b.example.org")


def client(authority: Authority | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    if authority is not None:
        context.load_verify_locations(cadata=authority.certificate_pem.decode())
    return context


def shake_hands(server: ssl.SSLContext, trusting: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """A whole handshake in memory; the client's side of it."""
    upwards, downwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = trusting.wrap_bio(downwards, upwards, server_hostname=host)
    theirs = server.wrap_bio(upwards, downwards, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ours.version() == "TLSv1.3"
    return ours


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_trusts_the_authority_accepts_its_host(host: str) -> None:
    authority = Authority.create()
    joined = shake_hands(authority.context_for(host), client(authority), host)
    assert joined.selected_alpn_protocol() == "http/1.1"


def test_nobody_else_trusts_it_and_no_host_can_be_another() -> None:
    authority = Authority.create()
    with pytest.raises(ssl.SSLCertVerificationError, match=r"issuer|self-signed"):
        shake_hands(authority.context_for("a.example"), client(None), "a.example")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"issuer|self-signed|signature"):
        shake_hands(authority.context_for("a.example"), client(Authority.create()), "a.example")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"match|valid for"):
        shake_hands(authority.context_for("a.example"), client(authority), "b.example")


def test_the_hash_is_that_of_the_authoritys_public_key() -> None:
    authority = Authority.create()
    certificate = x509.load_pem_x509_certificate(authority.certificate_pem)
    key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert base64.b64decode(authority.spki_hash) == hashlib.sha256(key).digest()
    assert Authority.create().spki_hash != authority.spki_hash


def test_it_holds_from_a_day_ago_for_a_month() -> None:
    now = datetime(2026, 1, 24, 6, 28, tzinfo=UTC)
    certificate = x509.load_pem_x509_certificate(Authority(now).certificate_pem)
    assert certificate.not_valid_before_utc == now - timedelta(days=1)
    assert certificate.not_valid_after_utc == now + timedelta(days=30)


def test_a_host_is_made_once_and_the_longest_unused_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_HOSTS", 2)
    authority = Authority.create()
    first, second = authority.context_for("a.example"), authority.context_for("b.example")
    assert authority.context_for("a.example") is first
    authority.context_for("c.example")
    assert authority.context_for("a.example") is first
    assert authority.context_for("b.example") is not second


def test_nothing_stays_open_and_nothing_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(os.listdir("/proc/self/fd"))
    authority = Authority.create()
    for number in range(20):
        authority.context_for(f"host-{number}.example")
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["bücher.example", ""])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Authority.create().context_for(host)
