"""pywb on the same WARC files: its CDX server, TimeGate and TimeMap answer as ours do.

Where they do not, the difference stands in DIFFERENCES and, with its reason, in docs/api.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from tests.lab.editions import Editions, build_editions
from tests.lab.judges import pywb
from tests.lab.processes import ROOT

PAGE = "https://www.example.org/page"
Line = dict[str, str]

# By name, as in docs/api.md: what it means for a line (ours, pywb's) or for an answer.
DIFFERENCES = {
    "source, source-coll, access": "pywb says which of its collections a line is from",
    "status of a revisit": "pywb's indexer leaves it out",
    "mime unk": "pywb writes `unk` where the server named no media type",
    "bad parameters": "pywb ignores them or answers 500",
    "limit=-N": "pywb gives nothing",
    "nearest capture is an error": "pywb leads to it",
    "302 from the TimeGate": "pywb answers with the memento itself",
    "first, last, until": "pywb's TimeMap does not say them",
}
QUERIES: list[dict[str, str]] = [
    {"url": PAGE},
    {"url": "www.example.org/page"},
    {"url": PAGE + "?a=%C3%A9%20x&b=2"},
    {"url": "https://www.example.org/never"},
    {"url": "https://www.example.org/dir/"},
    {"url": "https://www.example.org/dir/*"},
    {"url": "https://www.example.org/dir*"},
    {"url": "https://www.example.org/page?*"},
    {"url": "https://www.example.org/old"},
    {"url": "*.example.org"},
    {"url": "*.org"},
    {"url": "example.org", "matchType": "host"},
    {"url": "example.org", "matchType": "domain"},
    {"url": "example.org/dir", "matchType": "prefix"},
    {"url": "127.0.0.1:8080/", "matchType": "host"},
    {"url": "org", "matchType": "domain"},
    {"url": PAGE, "from": "2025"},
    {"url": PAGE, "to": "2025"},
    {"url": PAGE, "from": "202501", "to": "202507"},
    {"url": PAGE, "from": "20250110080000", "to": "20250110080000"},
    {"url": "*.example.org", "to": "20240110080003"},
    {"url": "*.example.org", "limit": "3"},
    {"url": PAGE, "sort": "reverse"},
    {"url": PAGE, "reverse": "true", "limit": "2"},
    {"url": "*.example.org", "sort": "reverse", "limit": "4"},
    {"url": PAGE, "sort": "closest", "closest": "20250401000000"},
    {"url": PAGE, "closest": "20250712080000", "limit": "2"},
    {"url": PAGE, "closest": "19990101000000", "limit": "1"},
    {"url": PAGE, "closest": "20990101000000", "from": "2025"},
    {"url": "*.example.org", "filter": "=status:404"},
    {"url": "*.example.org", "filter": "!=status:404"},
    {"url": "*.example.org", "filter": "status:40"},
    {"url": "*.example.org", "filter": "~mime:text/c.*"},
    {"url": "*.example.org", "filter": "!~mime:text/h"},
    {"url": "*.example.org", "filter": "mimetype:css"},
    {"url": "*.example.org", "filter": "~urlkey:org,example\\)/d"},
    {"url": "*.example.org", "filter": "warc/revisit"},
    {"url": PAGE, "collapseTime": "4"},
    {"url": "*.example.org", "collapseTime": "10"},
    {"url": PAGE, "fl": "urlkey,timestamp,digest"},
    {"url": PAGE, "fields": "filename,offset,length"},
]
MOMENTS = {
    "Thu, 01 Jan 1970 00:00:00 GMT": "same",
    "Wed, 10 Jan 2024 08:00:00 GMT": "same",
    "Fri, 10 Jan 2025 08:00:00 GMT": "same",
    "Fri, 10 Jan 2025 08:00:01 GMT": "nearest capture is an error",
    "Tue, 01 Jul 2025 00:00:00 GMT": "same",
    "Fri, 01 Jan 2038 00:00:00 GMT": "same",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Editions:
    return build_editions(tmp_path_factory.mktemp("editions"))


@pytest.fixture(scope="module")
def ours(archive: Editions) -> Iterator[httpx.Client]:
    with TestClient(archive.app(), follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def theirs(archive: Editions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    directory = tmp_path_factory.mktemp("judge") / "pywb"
    with (
        pywb(directory, archive.warcs) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30.0) as client,
    ):
        yield client


def levelled(ours: list[Line], theirs: list[Line], seen: set[str]) -> tuple[list[Line], list[Line]]:
    """Both without the differences that are known, which `seen` collects."""
    for line in theirs:
        for name in ("source", "source-coll", "access"):
            if line.pop(name, None) is not None:
                seen.add("source, source-coll, access")
        if line.get("mime") == "unk":
            del line["mime"]
            seen.add("mime unk")
    for line in ours:
        if line.get("mime") == "warc/revisit" and line.pop("status", None) is not None:
            seen.add("status of a revisit")
    return ours, theirs


def lines(answer: httpx.Response) -> list[Line]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: "&".join(map("=".join, query.items())))
def test_the_cdx_server_answers_as_pywb_does(
    ours: httpx.Client, theirs: httpx.Client, query: dict[str, str]
) -> None:
    asked = {**query, "output": "json"}
    one, other = levelled(
        lines(ours.get("/api/cdx", params=asked)), lines(theirs.get("cdx", params=asked)), set()
    )
    assert one == other


@pytest.mark.parametrize("output", ["cdxj", "text"])
def test_other_forms_are_pywbs_too(ours: httpx.Client, theirs: httpx.Client, output: str) -> None:
    asked = {"url": PAGE, "fl": "url,mime,digest,length,offset,filename", "output": output}
    one, other = ours.get("/api/cdx", params=asked), theirs.get("cdx", params=asked)
    assert one.text == other.text.replace("\n\n", "\n")
    mime, _, _ = one.headers["content-type"].partition(";")
    assert mime == other.headers["content-type"].partition(";")[0]


def test_each_difference_of_a_line_is_there(ours: httpx.Client, theirs: httpx.Client) -> None:
    seen: set[str] = set()
    asked = {"url": "*.example.org", "output": "json"}
    levelled(
        lines(ours.get("/api/cdx", params=asked)), lines(theirs.get("cdx", params=asked)), seen
    )
    assert seen == {"source, source-coll, access", "mime unk", "status of a revisit"}


def test_parameters_that_only_we_take(ours: httpx.Client, theirs: httpx.Client) -> None:
    bad = {"url": PAGE, "limit": "foo"}
    assert ours.get("/api/cdx", params=bad).status_code == 400
    assert theirs.get("cdx", params=bad).status_code == 500
    last = {"url": PAGE, "limit": "-1"}
    assert len(ours.get("/api/cdx", params=last).text.splitlines()) == 1
    assert theirs.get("cdx", params=last).text.strip() == ""


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_timegate_leads_where_pywb_does(
    ours: httpx.Client, theirs: httpx.Client, moment: str
) -> None:
    headers = {"Accept-Datetime": moment}
    gate = ours.get(f"/timegate/{PAGE}", headers=headers)
    assert gate.status_code == 302
    memento = ours.get(gate.headers["location"])
    direct = theirs.get(PAGE_PATH, headers=headers)
    assert gate.headers["vary"] == direct.headers["vary"] == "accept-datetime"
    same = memento.headers["memento-datetime"] == direct.headers["memento-datetime"]
    assert same == (MOMENTS[moment] == "same")
    assert direct.headers["content-location"].endswith(PAGE)


PAGE_PATH = f"./{PAGE}"  # httpx would take the bare URL for another server's


def test_a_memento_has_the_links_that_pywbs_has(ours: httpx.Client, theirs: httpx.Client) -> None:
    one = ours.get(f"/at/20240110080000/{PAGE}").headers
    other = theirs.get(f"./20240110080000/{PAGE}").headers
    assert one["memento-datetime"] == other["memento-datetime"]
    assert relations(one["link"]) == relations(other["link"])
    assert set(relations(one["link"])) == {"original", "timegate", "timemap", "memento"}


def relations(links: str) -> list[str]:
    return sorted(re.findall(r'rel="([^"]*)"', links))


def mementos(links: str) -> list[tuple[str, str, str]]:
    """Timestamp, original and date of each memento of a TimeMap."""
    found = re.findall(r'/(\d{14})(?:mp_)?/([^>]*)>; rel="[^"]*memento"; datetime="([^"]*)"', links)
    return [(stamp, url, date) for stamp, url, date in found]


def test_the_timemap_lists_what_pywbs_does(ours: httpx.Client, theirs: httpx.Client) -> None:
    one, other = ours.get(f"/timemap/link/{PAGE}"), theirs.get(f"./timemap/link/{PAGE}")
    assert mementos(one.text) == mementos(other.text)
    assert len(mementos(one.text)) == 4
    assert one.headers["content-type"] == other.headers["content-type"]
    plain = [re.sub("(first|last) ", "", each) for each in relations(one.text)]
    assert sorted(plain) == relations(other.text)
    assert "until=" in one.text
    assert "until=" not in other.text
    missing = [
        client.get(path)
        for client, path in (
            (ours, "/timemap/link/https://www.example.org/x"),
            (theirs, "./timemap/link/https://www.example.org/x"),
        )
    ]
    assert [each.status_code for each in missing] == [404, 404]


def test_every_difference_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    section = page.partition("## Where pywb answers otherwise")[2]
    named = re.findall(r"^\| \*\*(.+?)\*\* \|", section, re.MULTILINE)
    assert named == list(DIFFERENCES)
