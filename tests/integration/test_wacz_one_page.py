"""The signed WACZ of one capture: its own records only, and a signature that anybody can check."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import stat
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from sqlalchemy import select
from starlette.testclient import TestClient

from healtharchive.model.holdings import get_holding, segment_place
from healtharchive.model.tables import captures
from healtharchive.search.page_order import PageOrder
from healtharchive.warc.companions import TEXT_PREFIX, TEXT_TYPE, text_block
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.wacz_signing import KEY_NAME, signer
from healtharchive.web.app import create_app
from healtharchive.web.archived import place_of
from healtharchive.web.reading import Readers, ReadOrder
from tests.lab import warcs
from tests.lab.captured import Page, add_segment, page_record
from tests.lab.kept_collections import Editions, expect_right, on_sqlite
from tests.lab.warcs import record

SITE = "https://www.example.org"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Editions:
    """The editions, and a page with a request and a rendered text between two others."""
    made = on_sqlite(tmp_path_factory.mktemp("pages"))
    pages = [Page(f"/{name}", f"<p>{name}</p>".encode()) for name in ("before", "page", "after")]
    pages.append(Page("/large.png", random.Random(3).randbytes(3_000_000), mime="image/png"))
    records = [each for page in pages for each in (*_companions(page), page_record(page))]
    add_segment(made.first, records, 3)
    made.index(made.first)
    return made


def _companions(page: Page) -> list[bytes]:
    own = warcs.record_id(f"{page.url} {page.moment}")
    moment = ("WARC-Date", page.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    text = text_block("T", f"rendered {page.path}")
    rendered: warcs.Fields = (
        ("WARC-Record-ID", warcs.record_id(f"text {page.url}")),
        ("WARC-Target-URI", TEXT_PREFIX + page.url),
        ("WARC-Refers-To", own),
        ("Content-Type", TEXT_TYPE),
        moment,
    )
    asked = f"GET {page.path} HTTP/1.1\r\nHost: www.example.org\r\n\r\n".encode()
    request: warcs.Fields = (
        ("WARC-Record-ID", warcs.record_id(f"request {page.url}")),
        ("WARC-Target-URI", page.url),
        ("WARC-Concurrent-To", own),
        ("Content-Type", "application/http; msgtype=request"),
        moment,
    )
    return [record("conversion", text, rendered), record("request", asked, request)]


@pytest.fixture(scope="module")
def site(archive: Editions) -> TestClient:
    return TestClient(create_app(archive.settings, archive.database))


def download(archive: Editions, site: TestClient, url: str, kind: str = "response") -> bytes:
    query = select(captures.c.id).where(captures.c.url == url, captures.c.record_type == kind)
    with archive.database.read() as connection:
        number = connection.execute(query).scalar_one()
    answer = site.get(f"/wacz/{number}")
    assert answer.status_code == 200, answer.text
    assert f"capture-{number}.wacz" in answer.headers["Content-Disposition"]
    return answer.content


def kinds(wacz: zipfile.ZipFile) -> list[tuple[str, str]]:
    (name,) = [each for each in wacz.namelist() if each.startswith("archive/")]
    found = list(read_records(io.BytesIO(wacz.read(name))))
    assert all(isinstance(each, WarcRecord) for each in found)
    return [
        (each.record_type, each.target_uri or "") for each in found if isinstance(each, WarcRecord)
    ]


def test_it_holds_what_belongs_to_the_capture_and_nothing_else(
    archive: Editions, site: TestClient
) -> None:
    url = f"{SITE}/page"
    with zipfile.ZipFile(io.BytesIO(download(archive, site, url))) as wacz:
        expect_right(wacz)
        found = kinds(wacz)
        assert found == [("conversion", TEXT_PREFIX + url), ("request", url), ("response", url)]
        package = json.loads(wacz.read("datapackage.json"))
        assert package["mainPageUrl"] == url
        kept = package["healtharchive"]
    path = archive.segments(archive.first)[2]
    assert kept["segment"] == path.name
    assert kept["segment_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_revisit_brings_its_original(archive: Editions, site: TestClient) -> None:
    url = f"{SITE}/en/measles"
    with zipfile.ZipFile(io.BytesIO(download(archive, site, url, "revisit"))) as wacz:
        expect_right(wacz)
        assert kinds(wacz) == [("revisit", url), ("response", url)]


def test_its_signature_is_of_this_package_and_by_this_archive(
    archive: Editions, site: TestClient
) -> None:
    with zipfile.ZipFile(io.BytesIO(download(archive, site, f"{SITE}/page"))) as wacz:
        package = wacz.read("datapackage.json")
        said = json.loads(wacz.read("datapackage-digest.json"))
    signed = said["signedData"]
    assert set(signed) == {"hash", "created", "software", "version", "signature", "publicKey"}
    assert signed["hash"] == said["hash"] == f"sha256:{hashlib.sha256(package).hexdigest()}"
    assert signed["created"] == json.loads(package)["created"]
    assert signed["publicKey"] == signer(archive.settings.state_dir).public_key
    verify(signed, signed["hash"])
    with pytest.raises(InvalidSignature):
        verify(signed, f"sha256:{'0' * 64}")
    mode = (archive.settings.state_dir / KEY_NAME).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def verify(signed: dict[str, str], text: str) -> None:
    """As wabac.js does it: P-384, SHA-256, the two numbers side by side."""
    key = serialization.load_der_public_key(base64.b64decode(signed["publicKey"]))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"
    raw = base64.b64decode(signed["signature"])
    numbers = int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big")
    key.verify(encode_dss_signature(*numbers), text.encode(), ec.ECDSA(hashes.SHA256()))


def test_a_child_that_is_killed_leaves_nothing_behind(
    archive: Editions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(archive, f"{SITE}/large.png")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the child's
    with closing(Readers(limit=1)) as readers:
        reading = readers.read(ReadOrder("one_page", order.record, one_page=order))
        assert next(reading.body)
        reading.body.close()  # as when a reader hangs up
    assert os.listdir(tmp_path) == []


def _order(archive: Editions, url: str) -> PageOrder:
    with archive.database.read() as connection:
        number = connection.execute(select(captures.c.id).where(captures.c.url == url)).scalar_one()
        holding = get_holding(connection, number)
        _, file_bytes, sha256 = segment_place(connection, holding.segment)
        return PageOrder(
            capture_id=number,
            record=place_of(connection, holding),
            file_bytes=file_bytes,
            span_start=holding.record_offset,
            span_stop=holding.record_offset + holding.record_length,
            original=None,
            url=url,
            title="",
            captured_at=holding.captured_at,
            made_at=holding.captured_at,
            segment=holding.segment,
            segment_sha256=sha256,
            state_dir=str(archive.settings.state_dir),
        )


def test_what_is_not_there_is_404(site: TestClient) -> None:
    assert site.get("/wacz/999999").status_code == 404


def test_a_key_that_is_none_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).write_text("no key")
    with pytest.raises(ValueError, match="PEM"):
        signer(tmp_path)
    assert (tmp_path / KEY_NAME).read_text() == "no key"
