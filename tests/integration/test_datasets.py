"""Data sets: what is exported is what the database has, whole or not at all, and safely offered."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.robotparser import RobotFileParser

import pyarrow.parquet
import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from healtharchive.model import datasets, schema
from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.model.database import Database
from healtharchive.model.suppression import Reason, lift, rule_of_capture, suppress
from healtharchive.model.tables import captures, changes, segments, snapshots
from healtharchive.search.compare.edition import compare_after
from healtharchive.search.dataset import export as writing
from healtharchive.search.dataset.export import Exported, Order, export
from healtharchive.search.dataset.files import Format, writer_of
from healtharchive.search.dataset.tables import TABLES, Column, Row, TableName
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.settings import Settings, load
from healtharchive.web.app import create_app
from tests.lab.captured import (
    FIRST_MOMENT,
    SITE,
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.queue import ACTOR

LATER = FIRST_MOMENT + timedelta(days=365)
NOW = datetime(2027, 4, 1, 8, 30, 5, tzinfo=UTC)
ODD = '=HYPERLINK("http://x"), «a»;\r\n-1\t"b"\n\u2028 é 𝄞'
SOURCE = CollectionName(CollectionKind.SOURCE, "lab")
CAMPAIGN = CollectionName(CollectionKind.CAMPAIGN, "annual-2027")
DOSE = html_page("Dose", "Adults take 5 mg once daily with water. Do not drive.")
MORE = html_page("Dose", "Adults take 50 mg once daily with water. Do not drive.")
PROGRAM = """
import sys
from pathlib import Path
from tests.integration.test_datasets import NOW, ORDER, opened
from healtharchive.search.dataset.export import export

archive = opened(sys.argv[1], Path(sys.argv[2]))

def stop(rows):
    print("here", flush=True)
    sys.stdin.read()

export(ORDER, archive.out, archive.database, archive.settings.search_dir, NOW, stop)
"""
ORDER = Order(TableName.CAPTURES, Format.CSV, SOURCE)


@dataclass(frozen=True)
class Archive:
    """Two editions of `lab`, and one of another source that no export of `lab` may have."""

    settings: Settings
    database: Database

    @property
    def out(self) -> Path:
        return self.settings.datasets_dir

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEALTHARCHIVE_")}
        return kept | {
            "HEALTHARCHIVE_DATA_DIR": str(self.settings.data_dir),
            "HEALTHARCHIVE_DATABASE_URL": self.settings.database_url,
            "HEALTHARCHIVE_ENV_FILE": os.devnull,
        }

    def edition(self, source: str, campaign: str, *pages: Page) -> None:
        order = completed_job(self.database, self.settings.jobs_root, source, campaign)
        add_segment(order, [page_record(each) for each in pages])
        held, order = claim_index(self.database, order)
        index = SearchIndex(self.settings.search_dir)
        tools = Tools(self.database, index, ACTOR, lambda _: None, lambda: None)
        index_job(order, tools)
        compare_after(order, tools)
        finish_index(self.database, held)

    def export(
        self,
        table: TableName = TableName.CAPTURES,
        form: Format = Format.CSV,
        of: CollectionName = SOURCE,
        out: Path | None = None,
        now: datetime = NOW,
    ) -> Exported:
        order = Order(table, form, of, "The Lab", "https://archive.example")
        return export(order, out or self.out, self.database, self.settings.search_dir, now)

    def hide(self, path: str) -> int:
        """Suppress the newest capture of a path; the suppression's number."""
        with self.database.begin() as connection:
            newest = select(captures.c.id).where(captures.c.url == SITE + path)
            number = connection.execute(newest.order_by(captures.c.id.desc())).scalars().first()
            assert number is not None
            rule = rule_of_capture(connection, number)
            reason = Reason(why="a person asked", who="op@lab")
            done, _ = suppress(self.database, connection, rule, reason, actor=ACTOR)
        return done.id


def opened(database_url: str, directory: Path) -> Archive:
    """The archive in a directory, as another process opens it."""
    data = {"DATA_DIR": str(directory), "DATABASE_URL": database_url}
    settings = load({f"HEALTHARCHIVE_{name}": value for name, value in data.items()})
    return Archive(settings, Database(database_url, "the test"))


def in_directory(directory: Path) -> str:
    return f"sqlite:///{directory / 'archive.sqlite'}"


def filled(database_url: str, directory: Path) -> Archive:
    archive = opened(database_url, directory)
    archive.edition(
        "lab",
        "annual-2026",
        Page("/dose", DOSE),
        Page("/old", b"", "", "301 Moved", more=(("Location", "/dose"),)),
        Page("/picture", b"\x89PNG", "image/png"),
        Page("/gone", html_page("Gone", "This page will go away."), moment=FIRST_MOMENT),
        Page("/notice", html_page("Avis", "Les adultes prennent un comprimé.", "fr")),
    )
    archive.edition(
        "lab",
        "annual-2027",
        Page("/dose", MORE, moment=LATER),
        Page("/gone", b"", "text/html", "404 Not Found", LATER),
        Page("/new", html_page("New", "A page that was not there before."), moment=LATER),
    )
    archive.edition("other", "annual-2027", Page("/elsewhere", html_page("Other", "Not of lab.")))
    with archive.database.begin() as connection:
        odd = snapshots.c.url == SITE + "/gone"
        connection.execute(update(snapshots).where(odd).values(title=ODD))
    return archive


@pytest.fixture
def archive(database_url: str, tmp_path: Path) -> Iterator[Archive]:
    """One on each kind of database."""
    made = filled(database_url, tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one on SQLite, to be copied: exports need its database and index only."""
    directory = tmp_path_factory.mktemp("model")
    url = in_directory(directory)
    database = Database(url, "the test")
    schema.upgrade(database)
    database.dispose()
    made = filled(url, directory)
    made.database.dispose()
    return directory


@pytest.fixture
def small(model: Path, tmp_path: Path) -> Iterator[Archive]:
    """One on SQLite, for what the database does not matter to."""
    directory = tmp_path / "archive"
    shutil.copytree(model, directory)
    made = opened(in_directory(directory), directory)
    yield made
    made.database.dispose()


@pytest.fixture
def site(small: Archive) -> Iterator[TestClient]:
    with TestClient(create_app(small.settings, small.database)) as client:
        yield client


def read_csv(path: Path) -> list[dict[str, str | None]]:
    text = io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline="")
    return [
        {name: value or None for name, value in row.items()}
        for row in csv.DictReader(text, strict=True)
    ]


def read_parquet(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


def as_text(rows: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    return [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]


def files_of(made: Exported) -> list[Path]:
    return [made.directory / each.name for each in made.data.files]


def command(archive: Archive, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "healtharchive.cli.main", "export", "dataset", *words],
        env=archive.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# -- what is in it -------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [SOURCE, CAMPAIGN], ids=str)
def test_parquet_and_csv_and_the_database_say_the_same(
    archive: Archive, of: CollectionName
) -> None:
    for table in TableName:
        parquet = read_parquet(files_of(archive.export(table, Format.PARQUET, of))[0])
        plain = read_csv(files_of(archive.export(table, Format.CSV, of))[0])
        assert as_text(parquet) == plain, table
        assert parquet, table
        with archive.database.read() as connection:
            told = {
                (row.name, row.record_offset): row
                for row in connection.execute(
                    select(
                        segments.c.name,
                        captures.c.record_offset,
                        captures.c.record_length,
                        captures.c.url,
                        captures.c.status_code,
                        captures.c.payload_digest,
                        captures.c.source_id,
                        snapshots.c.campaign_id,
                        snapshots.c.title,
                        snapshots.c.text_chars,
                        changes.c.score,
                        changes.c.kind,
                    )
                    .join(segments, segments.c.id == captures.c.segment_id)
                    .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
                    .outerjoin(changes, changes.c.to_capture == captures.c.id)
                )
            }
        wanted = {key for key in told if key[0].startswith("lab-" if of is SOURCE else "")}
        if of is CAMPAIGN:
            wanted = {key for key in wanted if "-annual-2027-" in key[0]}
        if table is TableName.TEXT:
            wanted = {key for key in wanted if told[key].text_chars}
        if table is TableName.CHANGES:
            wanted = {key for key in wanted if told[key].kind is not None}
        assert {(row["segment"], row["offset"]) for row in parquet} == wanted
        assert len(parquet) == len(wanted)
        for row in parquet:
            known = told[row["segment"], row["offset"]]
            assert row["url"] == known.url
            if table is TableName.CAPTURES:
                assert row["digest"] == known.payload_digest
                assert (row["status"], row["length"]) == (known.status_code, known.record_length)
            if table is TableName.TEXT:
                assert row["title"] == known.title
                assert len(row["text"]) == known.text_chars
            if table is TableName.CHANGES:
                assert (row["kind"], row["score"]) == (known.kind, known.score)


def test_what_the_rows_say(archive: Archive) -> None:
    rows = {(r["url"], r["timestamp"]): r for r in read_csv(files_of(archive.export())[0])}
    dose = rows[SITE + "/dose", "20260301120000"]
    assert (dose["title"], dose["language"], dose["campaign"]) == ("Dose", "en", "annual-2026")
    assert (dose["record_type"], dose["truncated"]) == ("response", None)
    assert rows[SITE + "/gone", "20260301120000"]["title"] == ODD
    texts = read_csv(files_of(archive.export(TableName.TEXT))[0])
    assert any("Les adultes prennent" in (each["text"] or "") for each in texts)
    changed = {r["url"]: r for r in read_csv(files_of(archive.export(TableName.CHANGES))[0])}
    dose = changed[SITE + "/dose"]
    assert (dose["from_timestamp"], dose["to_timestamp"]) == ("20260301120000", "20270301120000")
    assert "+ Adults take 50 mg" in (dose["summary"] or "")
    assert changed[SITE + "/new"]["from_timestamp"] is None
    assert changed[SITE + "/gone"]["kind"] == "gone"


@pytest.mark.parametrize("form", Format)
def test_portions_and_files_come_to_the_same(
    archive: Archive, form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_csv if form is Format.CSV else read_parquet
    whole = read(files_of(archive.export(form=form))[0])
    monkeypatch.setattr(datasets, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(writing, "GROUP_ROWS", 1)
    monkeypatch.setattr(writing, "FILE_ROWS", 3)
    made = archive.export(form=form, out=tmp_path / "a")
    assert [each.name for each in files_of(made)] == [
        f"captures-{serial:05d}{form.suffix}" for serial in (1, 2, 3)
    ]
    assert [row for path in files_of(made) for row in read(path)] == whole
    assert [each.rows for each in made.data.files] == [4, 3, 1]  # no portion is cut
    again = archive.export(form=form, out=tmp_path / "b")
    for path in made.directory.iterdir():
        assert path.read_bytes() == (again.directory / path.name).read_bytes(), path.name


def test_the_dictionary_covers_every_column(small: Archive) -> None:
    types = {"string": "string", "integer": "int64", "number": "double"}
    for table in TableName:
        parquet, plain = (small.export(table, form) for form in (Format.PARQUET, Format.CSV))
        columns = TABLES[table].columns
        for made in (parquet, plain):
            package = json.loads((made.directory / "datapackage.json").read_bytes())
            said = package["resources"][0]["schema"]["fields"]
            assert [each["name"] for each in said] == [each.name for each in columns]
            assert all(each["description"] and each["description_fr"] for each in said)
            readme = (made.directory / "README.md").read_text(encoding="utf-8")
            assert all(f"| `{each.name}` | {each.type} |" in readme for each in columns)
            assert "for a formula" in readme
            assert made.data.citation in readme
        arrow = pyarrow.parquet.read_schema(files_of(parquet)[0])
        assert [(f.name, str(f.type), f.nullable) for f in arrow] == [
            (each.name, types[each.type], not each.required) for each in columns
        ]
        header = gzip.decompress(files_of(plain)[0].read_bytes()).decode().split("\r\n")[0]
        assert header.split(",") == [each.name for each in columns]


@pytest.mark.parametrize("form", Format)
def test_checksums_are_those_of_every_file(small: Archive, form: Format) -> None:
    made = small.export(form=form)
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made.directory, check=True
    )
    sums = (made.directory / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    names = {line.partition("  ")[2] for line in sums}
    assert names | {"SHA256SUMS"} == {each.name for each in made.directory.iterdir()}
    package = json.loads((made.directory / "datapackage.json").read_bytes())
    for each in package["resources"]:
        content = (made.directory / each["path"]).read_bytes()
        assert each["bytes"] == len(content)
        assert each["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("form", Format)
def test_odd_texts_come_back_as_they_were(form: Format, tmp_path: Path) -> None:
    columns = (Column("a", "string", "", ""), Column("b", "string", "", ""))
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    signs = ('"', "'", ",", ";", "\r", "\n", "\r\n", "=", "+", "@", "\t", "\0", "\ufeff", "é", "𝄞")
    rows: list[Row] = [(ODD, None), ("=1+1", '"')]
    rows += [
        tuple("".join(chance.choices(signs, k=chance.randint(1, 8))) for _ in columns)
        for _ in range(500)
    ]
    path = tmp_path / f"odd{form.suffix}"
    with path.open("wb") as stream:
        writer = writer_of(form, stream, columns)
        writer.write(rows)
        writer.close()
    read = read_csv if form is Format.CSV else read_parquet
    assert [tuple(row.values()) for row in read(path)] == rows


def test_a_nul_is_not_written(small: Archive) -> None:
    with small.database.begin() as connection:  # PostgreSQL would refuse it
        connection.execute(update(snapshots).values(title="a\0b"))
    titles = {row["title"] for row in read_csv(files_of(small.export(TableName.TEXT))[0])}
    assert titles == {"a\ufffdb"}


# -- whole or not at all -------------------------------------------------------------------------


def test_a_killed_export_leaves_nothing_under_its_name(small: Archive) -> None:
    words = (small.settings.database_url, str(small.settings.data_dir))
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        left = list(small.out.iterdir())
        assert [each.suffix for each in left] == [".part"]
        with pytest.raises(writing.BadInput, match="Another process is writing"):
            small.export()
        small.export(now=NOW + timedelta(days=1))  # another name: that one is left alone
        assert left[0].exists()
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert not left[0].with_suffix("").exists()
    assert list(left[0].iterdir())
    with TestClient(create_app(small.settings, small.database)) as site:
        assert [each["as_of"] for each in offered(site)] == ["2027-04-02"]
    small.export(now=NOW + timedelta(days=2))
    assert not left[0].exists()  # cleared by whoever exports next
    assert small.export().directory == left[0].with_suffix("")


def test_an_export_that_fails_leaves_no_directory(small: Archive) -> None:
    SearchIndex(small.settings.search_dir).clear()
    done = command(small, "text", "--source", "lab", "--format", "csv")
    assert done.returncode == 3
    assert "The search index lacks the text of" in done.stderr
    assert "healtharchive rebuild" in done.stderr
    assert list(small.out.iterdir()) == []


def test_a_data_set_that_is_there_is_not_written_over(small: Archive) -> None:
    made = small.export()
    before = {each.name: each.stat().st_mtime_ns for each in made.directory.iterdir()}
    with pytest.raises(writing.BadInput, match="is there already"):
        small.export()
    assert before == {each.name: each.stat().st_mtime_ns for each in made.directory.iterdir()}


@pytest.mark.parametrize("form", Format)
def test_the_command_writes_where_the_web_offers_it(small: Archive, form: Format) -> None:
    done = command(small, "captures", "--campaign", "annual-2027", "--format", form, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["directory"]).parent == small.out
    assert said["rows"] == 4
    assert [each.name for each in small.out.iterdir()] == [Path(said["directory"]).name]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["captures"], 2, "Give one of --source"),
        (["captures", "--source", "lab", "--campaign", "annual-2027"], 2, "Give one of --source"),
        (["captures", "--source", "none"], 4, "There is no source none"),
        (["text", "--campaign", "none"], 4, "campaign list"),
        (["pictures", "--source", "lab"], 2, "pictures"),
        (["captures", "--source", "lab", "--output", "/dev/null/x"], 3, "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    small: Archive, words: list[str], code: int, said: str
) -> None:
    done = command(small, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


# -- suppression ---------------------------------------------------------------------------------


def test_what_is_suppressed_is_in_no_data_set(archive: Archive, tmp_path: Path) -> None:
    archive.hide("/dose")  # the newer of two
    for table in TableName:
        for form, read in ((Format.CSV, read_csv), (Format.PARQUET, read_parquet)):
            made = archive.export(table, form, out=tmp_path / "out")
            rows = [row for path in files_of(made) for row in read(path)]
            assert rows
            assert "50 mg" not in str(rows)
            moments = {r.get("timestamp") for r in rows if r["url"] == SITE + "/dose"}
            assert moments <= {"20260301120000"}


def test_a_data_set_with_something_suppressed_since_is_withdrawn(
    small: Archive, site: TestClient
) -> None:
    with small.database.read() as connection:
        now = small.database.now(connection)
    of_lab = small.export(now=now)
    of_other = small.export(of=CollectionName(CollectionKind.SOURCE, "other"), now=now)
    addresses = [f"/data/{each.data.name}/README.md" for each in (of_lab, of_other)]
    assert [site.get(each).status_code for each in addresses] == [200, 200]
    number = small.hide("/gone")
    assert [site.get(each).status_code for each in addresses] == [404, 200]
    assert "withdrawn" in site.get(f"{addresses[0]}?format=json").json()["sentence"]
    assert [each["of"] for each in offered(site)] == ["other"]
    with small.database.begin() as connection:
        lift(small.database, connection, number, who="op@lab", why="an error", actor=ACTOR)
    assert [site.get(each).status_code for each in addresses] == [200, 200]


# -- on the web ----------------------------------------------------------------------------------


def offered(site: TestClient) -> list[dict[str, Any]]:
    """The data sets of the page, each with its day."""
    found: list[dict[str, Any]] = site.get("/api/data").json()["datasets"]
    return [{**each, "as_of": each["created"][:10]} for each in found]


def test_the_page_says_what_there_is_in_both_languages(small: Archive, site: TestClient) -> None:
    empty = site.get("/en/data", headers={"Accept": "text/html"})
    assert "No data set has been exported yet" in empty.text
    made = [small.export(table) for table in TableName]
    (small.out / "something else").mkdir()
    (small.out / "source-x-text-20260101-csv").mkdir()
    english = site.get("/en/data", headers={"Accept": "text/html"})
    french = site.get("/fr/data", headers={"Accept": "text/html"})
    for page in (english, french):
        assert page.status_code == 200
        for each in made:
            assert f"/data/{each.data.name}/{each.data.files[0].name}" in page.text
            assert each.data.files[0].sha256 in page.text
        for address in ("job/1", "source/lab", "campaign/annual-2027"):
            assert f"/api/wacz/{address}.wacz" in page.text
        assert "/api/captures" in page.text
    for table in TableName:
        for column in TABLES[table].columns:
            assert f"<code>{column.name}</code>" in english.text
            assert column.description_fr in french.text.replace("&#39;", "'")
    assert ">Data</a>" in english.text
    assert ">Données</a>" in french.text
    facts = site.get("/en/data?format=json").json()
    assert facts == site.get("/api/data").json()
    assert [each["table"] for each in facts["datasets"]] == ["captures", "changes", "text"]
    assert {each["name"] for each in facts["sources"]} == {"lab", "other"}
    assert sum(each["size_bytes"] for each in facts["jobs"]) == sum(
        each["size_bytes"] for each in facts["sources"]
    )


@pytest.mark.parametrize("form", Format)
def test_a_file_is_downloaded_whole_and_in_ranges(
    small: Archive, site: TestClient, form: Format
) -> None:
    made = small.export(form=form)
    for path in made.directory.iterdir():
        address = f"/data/{made.data.name}/{path.name}"
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        full = site.get(address)
        assert (full.status_code, full.content) == (200, content)
        assert full.headers["ETag"] == etag
        assert int(full.headers["Content-Length"]) == len(content)
        assert path.name in full.headers["Content-Disposition"]
        assert "Content-Encoding" not in full.headers
        head = site.head(address)
        assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", etag)
        part = site.get(address, headers={"Range": "bytes=5-20", "If-Range": etag})
        assert (part.status_code, part.content) == (206, content[5:21])
        assert part.headers["Content-Range"] == f"bytes 5-20/{len(content)}"
        assert site.get(address, headers={"Range": "bytes=-7"}).content == content[-7:]
        other = site.get(address, headers={"Range": "bytes=0-3", "If-Range": '"old"'})
        assert (other.status_code, other.content) == (200, content)
        behind = site.get(address, headers={"Range": f"bytes={len(content)}-"})
        assert behind.status_code == 416
        assert site.get(address, headers={"If-None-Match": etag}).status_code == 304


def test_nothing_but_the_files_of_a_data_set_is_given_out(small: Archive, site: TestClient) -> None:
    name = small.export().data.name
    secret = small.settings.data_dir / "secret.txt"
    secret.write_text("SECRET", encoding="utf-8")
    place = small.out / name
    (place / "notes.txt").write_text("SECRET", encoding="utf-8")
    (place / "link.csv.gz").symlink_to(secret)
    (small.out / "secret.txt").write_text("SECRET", encoding="utf-8")
    shutil.copytree(place, small.settings.data_dir, dirs_exist_ok=True)  # as if it were one itself
    asked = [
        "/data/%2e%2e/README.md",
        "/data/%2e%2e/captures-00001.csv.gz",
        f"/data/{name}/notes.txt",
        f"/data/{name}/link.csv.gz",
        f"/data/{name}/../secret.txt",
        f"/data/{name}/..%2Fsecret.txt",
        f"/data/{name}/%2e%2e%2f%2e%2e%2fsecret.txt",
        f"/data/{name}/..%5Csecret.txt",
        f"/data/{name}/captures-00001.csv.gz%00",
        f"/data/{name}/.",
        f"/data/{name}/",
        f"/data/{name}",
        "/data/../secret.txt",
        "/data/%2e%2e/secret.txt",
        "/data/..%2F/secret.txt",
        "/data/./secret.txt",
        f"/data/{name}.part/README.md",
        "/data/source-x-text-20260101-csv/README.md",
    ]
    for address in asked:
        answer = site.get(address)
        assert answer.status_code == 404, address
        assert "SECRET" not in answer.text, address


@pytest.mark.parametrize(
    "path", ["../secret.txt", "/etc/passwd", "..", "a/b", ".hidden", "link.csv.gz", "sub", ""]
)
def test_a_data_package_cannot_name_what_is_not_its_own(
    small: Archive, site: TestClient, path: str
) -> None:
    made = small.export()
    secret = small.out / "secret.txt"
    secret.write_bytes(b"S" * made.data.files[0].size_bytes)
    (made.directory / "link.csv.gz").symlink_to(secret)
    (made.directory / "sub").mkdir()
    where = made.directory / "datapackage.json"
    package = json.loads(where.read_bytes())
    package["resources"][0]["path"] = path
    where.write_text(json.dumps(package), encoding="utf-8")
    for asked in {path, path.replace("/", "%2F")}:
        assert site.get(f"/data/{made.data.name}/{asked}").status_code == 404
    assert site.get("/en/data").status_code == 200


def test_a_link_is_no_data_set_and_a_changed_file_is_not_given_out(
    small: Archive, site: TestClient, tmp_path: Path
) -> None:
    elsewhere = small.export(out=tmp_path / "elsewhere")
    small.out.mkdir()
    (small.out / elsewhere.data.name).symlink_to(elsewhere.directory)
    assert offered(site) == []
    assert site.get(f"/data/{elsewhere.data.name}/README.md").status_code == 404
    made = small.export(form=Format.PARQUET)
    path = files_of(made)[0]
    address = f"/data/{made.data.name}/{path.name}"
    assert site.get(address).status_code == 200
    path.write_bytes(path.read_bytes()[:-1])
    assert site.get(address).status_code == 404


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"resources": []}', b"\xff", b'{"healtharchive": 3}']
)
def test_a_damaged_package_is_passed_over(small: Archive, site: TestClient, content: bytes) -> None:
    made = small.export()
    (made.directory / "datapackage.json").write_bytes(content)
    assert offered(site) == []
    assert site.get(f"/data/{made.data.name}/README.md").status_code == 404


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"table": "captures"', '"table": "pictures"'),
        ('"format": "csv",\n    "of"', '"format": "doc",\n    "of"'),
        ('"kind": "source"', '"kind": "planet"'),
        ("2027-04-01T08:30:05Z", "2027-04-01T08:30:05"),
        ('"hash": "sha256:', '"hash": "md5:'),
    ],
)
def test_a_package_of_another_kind_is_passed_over(
    small: Archive, site: TestClient, old: str, new: str
) -> None:
    made = small.export()
    where = made.directory / "datapackage.json"
    text = where.read_text(encoding="utf-8")
    assert text.count(old) == 1
    where.write_text(text.replace(old, new), encoding="utf-8")
    assert offered(site) == []
    assert site.get("/en/data", headers={"Accept": "text/html"}).status_code == 200


def test_robots_may_read_pages_and_data_but_no_archived_bodies(site: TestClient) -> None:
    answer = site.get("/robots.txt")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    rules = RobotFileParser()
    rules.parse(answer.text.splitlines())
    for path in ("/", "/en/", "/en/data", "/fr/capture/1", "/data/x/y.parquet", "/api/captures"):
        assert rules.can_fetch("AnyBot", path), path
    for path in ("/raw/1", "/at/2026/http://x/", "/warc/1", "/api/wacz/job/1.wacz"):
        assert not rules.can_fetch("AnyBot", path), path
