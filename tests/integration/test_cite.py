"""The page that cites a capture: what it says can be followed and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from healtharchive.web.app import create_app
from tests.lab.small_archive import Exchange, SmallArchive, build

PATHS = ("/", "/measles.html?v=1&x=a%20b", "/caf%C3%A9")


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    return build(
        tmp_path,
        [Exchange(path, b"<p>Measles</p>", title=f"Page {path}", language="en") for path in PATHS],
    )


@pytest.mark.parametrize("path", PATHS)
def test_the_permanent_address_leads_back_to_the_capture(archive: SmallArchive, path: str) -> None:
    with TestClient(create_app(archive.settings, archive.database)) as site:
        facts = site.get(f"/en/cite/{archive.ids[path]}?format=json").json()
        permanent = facts["permanent_url"]
        assert permanent.endswith(f"/en/at/20261123101112/{facts['url']}")
        address = urlsplit(permanent)
        found = site.get(f"{address.path}?{address.query}", follow_redirects=False)
        assert found.headers["location"] == f"/en/capture/{archive.ids[path]}"


def test_the_chain_of_proof_holds(archive: SmallArchive) -> None:
    with TestClient(create_app(archive.settings, archive.database)) as site:
        facts = site.get(f"/fr/cite/{archive.ids['/']}?format=json").json()
        record = site.get(facts["record_url"]).content
    whole = archive.warc.read_bytes()
    offset, length = facts["record_offset"], facts["record_length"]
    assert whole[offset : offset + length] == record
    assert facts["segment_sha256"] == hashlib.sha256(whole).hexdigest()
    assert facts["segment_bytes"] == len(whole)
    assert facts["payload_digest"] == f"sha256:{hashlib.sha256(b'<p>Measles</p>').hexdigest()}"


def test_the_page_and_the_files_say_the_same(archive: SmallArchive) -> None:
    capture = archive.ids["/"]
    with TestClient(create_app(archive.settings, archive.database)) as site:
        facts = site.get(f"/en/cite/{capture}?format=json").json()
        for suffix, style in (("bib", "bibtex"), ("ris", "ris")):
            got = site.get(f"/cite/{capture}.{suffix}?ui=en")
            assert got.text == facts["styles"][style]
            assert (
                got.headers["content-disposition"]
                == f'attachment; filename="capture-{capture}.{suffix}"'
            )
        page = site.get(f"/fr/cite/{capture}").text
        assert "Citer et prouver" in page
        assert "Archivé le 23 novembre 2026" in page


def test_what_is_not_there_is_said(archive: SmallArchive) -> None:
    with TestClient(create_app(archive.settings, archive.database)) as site:
        assert site.get("/en/cite/999").status_code == 404
        assert site.get("/cite/999.bib").status_code == 404
        assert site.get("/cite/x.bib").status_code in (404, 422)
